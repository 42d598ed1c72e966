"""Figures, as SVG.

They are coloured by the style sheet of the page, so that one figure is legible on light, dark and
printed pages; `files.write_svg` writes one to a file.
"""
