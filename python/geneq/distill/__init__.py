"""The search for the equation of a cell type: variables, candidates, and the choice among them.

`geneq distill` does it once; `geneq stability` repeats it on resampled genes.
"""
