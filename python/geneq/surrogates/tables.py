"""What a surrogate found, as tables: those that `geneq surrogate` writes.

Columns, units and coordinates of each are documented in `geneq.artifacts`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..artifacts import (
    EFFECTS,
    ELEMENTS,
    LATENT,
    LEVEL_PAIRS,
    LEVELS,
    PAIRS,
    SPACINGS,
    SURROGATE_METRICS,
    Table,
)
from ..errors import GeneqError
from ..libraries import FactorialLibrary
from ..mave import Mave
from . import levels
from .epistasis import Element, element_pairs
from .factorial import Factors, arrays, spacings
from .fit import TEST, Arrays
from .quality import Estimate, Quality, quality
from .surrogate import UNITS, Output, Surrogate

__all__ = ["TABLES", "default_gauge", "latent", "metrics", "pairs", "tables"]

# Every table by the name of its file, without .parquet.
TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *(EFFECTS, PAIRS, ELEMENTS, LEVELS, LEVEL_PAIRS, SPACINGS, SURROGATE_METRICS, LATENT),
    )
}


def tables(
    surrogate: Surrogate,
    mave: Mave,
    gauge: str | np.ndarray | None = None,
    elements: Sequence[Element] = (),
    threads: int = 1,
) -> dict[str, pd.DataFrame]:
    """Every table that `geneq surrogate` writes.

    Parameters
    ----------
    surrogate : Surrogate
        Fitted to `mave` (`Settings.fit`).
    mave : Mave
        The library with its scores.
    gauge : str or ndarray, optional
        As of `Surrogate.effects`; by default "empirical", and "wild_type" for factorial designs,
        which compares levels with the first one.
    elements : sequence of Element
        Parts of the sequence whose interactions are summed, for maps with pairs.
    threads : int
        They change no bit of the result.

    Returns
    -------
    dict of str to DataFrame
        By name of the file without .parquet. Of a mutated sequence: effects, pairs (for maps with
        interactions) and elements (if given). Of a factorial design: levels, level_pairs and
        spacings. Of both: surrogate_metrics and latent. Columns are those of the tables in
        `geneq.artifacts`.

    Raises
    ------
    GeneqError
        If elements are given for a map without pairs, or for a factorial design; if the targets of
        `mave` are not those of `surrogate`.
    """
    if list(mave.targets) != list(surrogate.targets):
        raise GeneqError("The MAVE must have the targets that the surrogate was fitted to",
                         value=f"{', '.join(mave.targets)}, not {', '.join(surrogate.targets)}",
                         fix="Select them with mave.of_targets")  # fmt: skip
    gauge = default_gauge(mave) if gauge is None else gauge
    data = arrays(mave)
    if isinstance(mave.library, FactorialLibrary):
        if elements:
            raise GeneqError("Elements are parts of a mutated sequence, not of a factorial design")
        made = _of_motifs(surrogate, mave, mave.library, gauge)
    else:
        made = _of_symbols(surrogate, gauge, elements)
    phi, test = surrogate.phi_of(data.mutations(), mave.n_rows, threads), surrogate.split == TEST
    return {
        **made,
        "surrogate_metrics": metrics(surrogate, phi, data, test),
        "latent": latent(surrogate, phi, data, test),
    }


def default_gauge(mave: Mave) -> str:
    """The gauge in which effects are given if none is named."""
    return "wild_type" if isinstance(mave.library, FactorialLibrary) else "empirical"


def _of_symbols(
    surrogate: Surrogate, gauge: str | np.ndarray, elements: Sequence[Element]
) -> dict[str, pd.DataFrame]:
    made = {"effects": surrogate.table(gauge)}
    if surrogate.map.kind != "additive":
        made["pairs"] = pairs(surrogate, gauge)
    if elements:
        made["elements"] = element_pairs(surrogate, elements)
    return made


def _of_motifs(
    surrogate: Surrogate, mave: Mave, library: FactorialLibrary, gauge: str | np.ndarray
) -> dict[str, pd.DataFrame]:
    factors = Factors.of(library)
    gauge = factors.gauge(gauge)
    made = {
        "levels": factors.named(surrogate.table(gauge)),
        "spacings": spacings(factors, surrogate, mave),
    }
    if surrogate.map.kind != "additive":
        both = factors.named(pairs(surrogate, gauge), "_1")
        made["level_pairs"] = factors.named(both, "_2")
    return made


def pairs(surrogate: Surrogate, gauge: str | np.ndarray = "empirical") -> pd.DataFrame:
    """Effects of pairs of symbols, strongest first, as `artifacts.PAIRS`.

    Parameters
    ----------
    surrogate : Surrogate
        With a map that has interactions; otherwise the table is empty.
    gauge : str or ndarray
        As of `Surrogate.effects`.

    Returns
    -------
    DataFrame
        Pairs whose effect is 0 have no row.
    """
    made = [_pairs_of(surrogate, gauge, output) for output in surrogate.outputs]
    return pd.concat(made, ignore_index=True)


def _pairs_of(surrogate: Surrogate, gauge: str | np.ndarray, output: Output) -> pd.DataFrame:
    symbols = np.array(levels.names(surrogate.alphabet)[0], object)
    terms = surrogate.effects(gauge, output.target).terms
    if len(terms) < 2:
        return pd.DataFrame(columns=list(PAIRS.columns)).astype(PAIRS.columns)
    term = terms[1]
    at, one, other = np.nonzero(term.values)
    phi = term.values[at, one, other]
    errors: dict[str, Any] = dict.fromkeys((f"se_{units}" for units in UNITS), np.nan)
    if output.replicates is not None:
        for units in UNITS:
            spread = surrogate.errors(gauge, output.target, units).terms[1].values
            errors[f"se_{units}"] = spread[at, one, other]
    table = pd.DataFrame({
        "target": output.target,
        "position_1": term.sites[at, 0], "symbol_1": symbols[one],
        "position_2": term.sites[at, 1], "symbol_2": symbols[other],
        "phi": phi, "y": phi * surrogate.slope(output), **errors,
    })  # fmt: skip
    return table.sort_values("phi", key=np.abs, ascending=False, kind="stable")


def metrics(
    surrogate: Surrogate, phi: np.ndarray, data: Mave | Arrays, test: np.ndarray
) -> pd.DataFrame:
    """Quality on test rows, as `artifacts.SURROGATE_METRICS`.

    Parameters
    ----------
    surrogate : Surrogate
        The surrogate.
    phi : ndarray
        float64[n, targets], latent phenotypes of all rows.
    data : Mave or Arrays
        What the surrogate was fitted to.
    test : ndarray
        bool[n], the rows to use.
    """
    sigma = None if data.sigma is None else data.sigma[test].astype(np.float64)
    found = quality(surrogate, phi[test], data.y[test].astype(np.float64), sigma)
    rows = [
        (target, name, estimate.value, estimate.error)
        for target, one in zip(surrogate.targets, found, strict=True)
        for name, estimate in _estimates(one).items()
    ]
    return pd.DataFrame(rows, columns=list(SURROGATE_METRICS.columns))


def _estimates(quality: Quality) -> dict[str, Estimate]:
    names = ("r2", "explained", "i_pred", "i_var")
    return {
        **{name: getattr(quality, name) for name in names},
        **{f"coverage_{share}": value for share, value in quality.coverage.items()},
        "ks": Estimate(quality.ks, np.nan),
        "ks_p": Estimate(quality.ks_p, np.nan),
    }


def latent(
    surrogate: Surrogate, phi: np.ndarray, data: Mave | Arrays, test: np.ndarray
) -> pd.DataFrame:
    """Latent phenotypes and scores of test rows, as `artifacts.LATENT`; arguments as of `metrics`.

    Scores are those that were fitted: of a paired factorial design, with the mean of each
    background removed.
    """
    rows = np.flatnonzero(test)
    made = [
        pd.DataFrame({
            "target": target, "row": rows,
            "phi": phi[rows, number].astype(np.float32),
            "y": data.y[rows, number].astype(np.float32),
        })
        for number, target in enumerate(surrogate.targets)
    ]  # fmt: skip
    return pd.concat(made, ignore_index=True)
