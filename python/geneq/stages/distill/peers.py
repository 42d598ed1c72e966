"""The baselines of one cell type: which are fitted, their predictions, sizes, and SHAP values."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from ...distill.cell_type import CellType
from ...errors import GeneqError
from ...evaluation import BASELINES
from .additive import additive_splines, explainable_boosting
from .baselines import boosted_trees, decays, degree_two_lasso, elastic_net, ridge

__all__ = ["DEFAULT", "OFFERED", "Peers", "chosen", "fit"]

DEFAULT = ("elastic_net", "lasso2", "ridge", "trees")
OFFERED = (*BASELINES, "shap")
# Name → module that it needs, and the extra of geneq that has it.
NEEDED = {
    "ebm": ("interpret", "baselines"),
    "gam": ("pygam", "baselines"),
    "shap": ("shap", "shap"),
}
SHAP_GENES = 500


def chosen(text: str) -> tuple[str, ...]:
    """The names in a list with commas, in the order of OFFERED.

    Raises GeneqError if one is unknown, repeated, or cannot run here.
    """
    names = text.split(",")
    for name in names:
        if name not in OFFERED or names.count(name) > 1:
            raise GeneqError(
                "--baselines must be different names with commas between them",
                value=name,
                fix=f"Choose from {', '.join(OFFERED)}",
            )
        module, extra = NEEDED.get(name, ("geneq", ""))
        if not find_spec(module):
            raise GeneqError(
                f"The baseline {name} needs the Python package {module}",
                fix=f"Install it (pip install 'geneq[{extra}]'), or drop {name} from --baselines",
            )
    if "shap" in names and "trees" not in names:
        raise GeneqError(
            "SHAP values are those of the boosted trees", value=text, fix="Add trees to --baselines"
        )
    return tuple(name for name in OFFERED if name in names)


@dataclass(frozen=True)
class Fit:
    """A fitted baseline: values: float64[n], predictions of all genes; terms that are not zero."""

    values: np.ndarray
    terms: int
    model: Any = None


@dataclass(frozen=True)
class Genes:
    """What baselines of a cell type are fitted to, n genes in the order of its rows.

    known: bool[n], training and validation genes; y, fold: of those.
    """

    cell: CellType
    seed: int

    @cached_property
    def known(self) -> np.ndarray:
        return self.cell.split("train", "valid")

    @cached_property
    def y(self) -> np.ndarray:
        return self.cell.rows["measured"].to_numpy()[self.known]

    @cached_property
    def fold(self) -> np.ndarray:
        return self.cell.rows["fold"].to_numpy()[self.known]

    @cached_property
    def columns(self) -> np.ndarray:
        """All features on the teacher's scale, float32[n, columns]."""
        return self.cell.source.columns[self.cell.places]

    @cached_property
    def variables(self) -> np.ndarray:
        """What equations can be written in, float64[n, variables]."""
        return np.column_stack([*self.cell.x.values(), np.empty((len(self.known), 0))])

    def mean(self) -> Fit:
        """Where there is nothing to fit."""
        return Fit(np.full(len(self.known), self.y.mean()), 0)

    @property
    def flat(self) -> bool:
        return bool(np.ptp(self.y) == 0)


def _elastic_net(genes: Genes) -> Fit:
    x = genes.columns.astype(float)
    model = elastic_net(x[genes.known], genes.y, genes.fold, genes.seed)
    return Fit(model.predict(x), int(np.count_nonzero(model[-1].coef_)))


def _lasso2(genes: Genes) -> Fit:
    x = genes.variables
    if not x.shape[1]:
        return genes.mean()
    model = degree_two_lasso(x[genes.known], genes.y, genes.fold, genes.seed)
    return Fit(model.predict(x), int(np.count_nonzero(model[-1].coef_)))


def _ridge(genes: Genes) -> Fit:
    x = decays(genes.cell.source.features.of_genes(genes.cell.rows["gene_id"]), genes.columns)
    terms = int(np.count_nonzero(np.ptp(x[genes.known], axis=0)))
    return Fit(ridge(x, genes.y, genes.fold, genes.known), terms)


def _trees(genes: Genes) -> Fit:
    measured, train = genes.cell.rows["measured"].to_numpy(), genes.cell.split("train")
    model = boosted_trees(genes.columns, measured, train, genes.known, genes.seed)
    # scikit-learn has no public way to the trees.
    leaves = sum(tree.get_n_leaf_nodes() for (tree,) in model._predictors)
    return Fit(model.predict(genes.columns), leaves, model)


def _ebm(genes: Genes) -> Fit:
    x = genes.columns
    if genes.flat:
        return genes.mean()
    model = explainable_boosting(x[genes.known], genes.y, genes.seed)
    return Fit(model.predict(x), model.terms)


def _gam(genes: Genes) -> Fit:
    x = genes.variables
    if genes.flat or not x.shape[1]:
        return genes.mean()
    model = additive_splines(x[genes.known], genes.y, genes.fold)
    return Fit(model.predict(x), int(np.count_nonzero(np.ptp(x[genes.known], axis=0))))


FITS: dict[str, Callable[[Genes], Fit]] = {
    "elastic_net": _elastic_net,
    "lasso2": _lasso2,
    "ridge": _ridge,
    "trees": _trees,
    "ebm": _ebm,
    "gam": _gam,
}


@dataclass(frozen=True)
class Peers:
    """The fitted baselines of one cell type.

    values: name → float64[n]; sizes: model, terms, seconds; shap: the table SHAP, or None.
    """

    values: dict[str, np.ndarray]
    sizes: pd.DataFrame
    shap: pd.DataFrame | None


def fit(cell: CellType, names: tuple[str, ...], seed: int) -> Peers:
    """Fit the baselines of these names (see `chosen`) to measured expression.

    They see training and validation genes, and predict all.
    """
    genes = Genes(cell, seed)
    fits, sizes = {}, []
    for name in names:
        if name in FITS:
            start = perf_counter()
            fits[name] = FITS[name](genes)
            sizes.append((name, fits[name].terms, perf_counter() - start))
    return Peers(
        {name: found.values for name, found in fits.items()},
        pd.DataFrame(sizes, columns=["model", "terms", "seconds"]),
        _shap(genes, fits["trees"].model) if "shap" in names else None,
    )


def _shap(genes: Genes, trees) -> pd.DataFrame:
    """The table SHAP, over at most SHAP_GENES of the training genes, drawn with the seed."""
    from shap import TreeExplainer

    train = np.flatnonzero(genes.cell.split("train"))
    drawn = np.random.default_rng(genes.seed).permutation(train)[:SHAP_GENES]
    values = TreeExplainer(trees).shap_values(genes.columns[np.sort(drawn)])
    columns = genes.cell.source.features.columns
    table = pd.DataFrame(
        {
            "cell_type": genes.cell.name,
            "block": [column.block for column in columns],
            "class": [column.name for column in columns],
            "shap": np.abs(values).mean(0),
        }
    )
    return table.groupby(["cell_type", "block", "class"], sort=False, as_index=False).sum()
