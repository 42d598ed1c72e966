"""Figures of a fitted surrogate, by target."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .. import encoding
from ..surrogates import Surrogate, levels
from ..surrogates.epistasis import Element, interactions, matrices
from ..surrogates.gauges import Term
from . import factors, latent, pairs, scatter
from .logo import logo
from .svg import Drawing

__all__ = ["curve", "effects_logo", "figures", "pair_strengths", "triangle"]

# Share of the noise in the band of the curve, and points of the curve.
SHARE, GRID = 0.95, 200
# Dots and pairs of positions in figures on disk, and pixels of those of pairs.
DOTS, PAIRS, LARGE = 4000, 8000, (600, 360)


def figures(
    surrogate: Surrogate,
    number: int,
    tables: dict[str, pd.DataFrame],
    gauge: str | np.ndarray,
    elements: Sequence[Element] = (),
) -> dict[str, Drawing]:
    """All figures of a target.

    Parameters
    ----------
    surrogate : Surrogate
        The surrogate.
    number : int
        Number of the target.
    tables : dict of str to DataFrame
        As of `geneq.surrogates.tables`.
    gauge : str or ndarray
        Gauge of the effects.
    elements : sequence of Element
        Those whose interactions are in the tables.

    Returns
    -------
    dict of str to Drawing
        Of a mutated sequence: logo, pairs, between and elements; of a factorial design: levels and
        spacings; of both: latent and agreement. Those that do not apply are missing.
    """
    target = surrogate.targets[number]
    chosen = {name: table[table["target"] == target] for name, table in tables.items()}
    made = (_motif_figures(chosen, target) if "levels" in chosen
            else _symbol_figures(surrogate, number, chosen, gauge, elements))  # fmt: skip
    held_out = chosen["latent"]
    made["latent"] = curve(surrogate, number, held_out, DOTS)
    predicted = _curve_at(surrogate, number, held_out["phi"].to_numpy(float))
    agreement = scatter.scatter(predicted, held_out["y"].to_numpy(float), "predicted score",
                                "score", "measured", "rows that were not fitted")  # fmt: skip
    return {**made, "agreement": agreement} if isinstance(agreement, Drawing) else made


def _symbol_figures(
    surrogate: Surrogate,
    number: int,
    tables: dict[str, pd.DataFrame],
    gauge: str | np.ndarray,
    elements: Sequence[Element],
) -> dict[str, Drawing]:
    target, made = surrogate.targets[number], {}
    made["logo"] = effects_logo(surrogate, number, gauge)
    effects = surrogate.effects(gauge, number)
    if len(effects.terms) > 1:
        made["pairs"] = triangle(surrogate, number, effects.terms[1], most=PAIRS, size=LARGE)
    if between := getattr(surrogate.map, "between", None):
        wild = encoding.strings(surrogate.wild_type[None], surrogate.alphabet)[0]
        first, second = sorted(between)
        made["between"] = pairs.window_map(interactions(surrogate, number), first, second, wild,
                                           f"Interactions of two windows on {target}")  # fmt: skip
    if elements:
        made["elements"] = pairs.element_map(*matrices(tables["elements"], elements)[target],
                                             f"Interactions of elements on {target}")  # fmt: skip
    return made


def _motif_figures(tables: dict[str, pd.DataFrame], target: str) -> dict[str, Drawing]:
    made = {"levels": factors.level_effects(tables["levels"], target)}
    if len(tables["spacings"]):
        made["spacings"] = factors.spacing_curves(tables["spacings"], target)
    return made


def effects_logo(surrogate: Surrogate, number: int, gauge: str | np.ndarray) -> Drawing:
    """Effects of symbols on φ minus their mean at each position, from the first window to the last.

    Bars are standard errors of the largest effect of each position, if the fit has replicates.
    """
    length, errors = len(surrogate.wild_type), None
    effects = surrogate.effects(gauge, number).additive(length)
    effects -= effects.mean(axis=1, keepdims=True)
    inside = surrogate.inside
    start, end = np.flatnonzero(inside)[[0, -1]] + (0, 1)
    if surrogate.outputs[number].replicates is not None:
        effects, spread = surrogate.symbols_at(gauge, number)
        largest = np.abs(effects).argmax(axis=1)
        errors = spread[np.arange(length), largest][start:end]
    shown = np.where(inside[:, None], effects, np.nan)[start:end]
    name = f"Effects of symbols on {surrogate.targets[number]}"
    symbols = "".join(levels.names(surrogate.alphabet)[0])
    return logo(shown, symbols, name, errors, int(start), "effect on φ")


def triangle(surrogate: Surrogate, number: int, term: Term, **options) -> Drawing:
    """The strongest pairs of positions, by the norm of the effects of their symbols.

    options: as of `pairs.triangle`.
    """
    name = f"Pairs of positions that interact in {surrogate.targets[number]}"
    start, end = np.flatnonzero(surrogate.inside)[[0, -1]] + (0, 1)
    return pairs.triangle(term.sites, pair_strengths(term), int(end - start), name, int(start),
                          **options)  # fmt: skip


def pair_strengths(term: Term) -> np.ndarray:
    """float64[pairs]: norms of the effects of pairs of positions."""
    return np.sqrt((term.values**2).sum(axis=(1, 2)))


def curve(
    surrogate: Surrogate, number: int, held_out: pd.DataFrame, most: int = latent.DOTS
) -> Drawing:
    """Scores of test rows against φ, the fitted curve, and the band that should contain 95 %.

    held_out: LATENT of the target. With empirical noise, which differs from row to row, no band.
    """
    phi, y = (held_out[name].to_numpy(float) for name in ("phi", "y"))
    low, high = (float(phi.min()), float(phi.max())) if len(phi) else (0.0, 1.0)
    grid = np.linspace(low, high, GRID)
    band = None
    if surrogate.noise.kind != "empirical":
        edges = surrogate.band(_of_all(surrogate, grid), SHARE)
        band = edges[0][:, number], edges[1][:, number]
    name = f"Scores of {surrogate.targets[number]} against the latent phenotype"
    return latent.curve(phi, y, grid, _curve_at(surrogate, number, grid), band, name, most)


def _curve_at(surrogate: Surrogate, number: int, phi: np.ndarray) -> np.ndarray:
    return surrogate.curve(_of_all(surrogate, phi))[:, number]


def _of_all(surrogate: Surrogate, phi: np.ndarray) -> np.ndarray:
    """φ float64[n, targets] of which one column is used."""
    return np.tile(phi[:, None], len(surrogate.outputs))
