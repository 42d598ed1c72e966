"""geneq: short equations that predict gene expression from DNA, per cell type."""

__version__ = "0.1.0"


def load_equation(path):
    """Load one `equations/<n>.json`; see `geneq.equations.Equation`."""
    from .equations import Equation

    return Equation.load(path)
