"""geneq: short equations that predict gene expression from DNA, per cell type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .equations import Equation

__all__ = ["__version__", "load_equation"]
__version__ = "0.1.0"


def load_equation(path: str | Path) -> Equation:
    """Load an equation that `geneq distill` wrote.

    Parameters
    ----------
    path : str or Path
        `equations/<n>.json`.

    Returns
    -------
    geneq.equations.Equation

    Raises
    ------
    GeneqError
        The file is missing, truncated, of another format, or its expression is not allowed.
    """
    from .equations import Equation

    return Equation.load(path)
