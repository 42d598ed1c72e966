"""Every figure: SVG made here, small and coloured by the page's style sheet, so that one figure
is legible on light, dark and printed pages."""
