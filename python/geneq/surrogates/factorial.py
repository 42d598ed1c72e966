"""Factorial designs in the form that surrogates are fitted to: a motif is a position.

The symbols of this position are the levels of the motif in the design: absent, or one of its
sequences at a place and on a strand. Additive effects are then those of a motif by place and
strand, pairs are interactions of motifs (which depend on spacing and orientation), and gauges,
standard errors and predictions are the same as for sequences. Backgrounds are noise; the rows of a
background are held out together.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..checks import check_memory
from ..libraries import FactorialLibrary, Mutations
from ..mave import Mave
from . import levels
from .fit import Arrays
from .surrogate import Output, Surrogate

__all__ = ["Factors", "arrays", "spacings"]

# Fewest backgrounds of which some can be held out.
FEWEST = 20
# What identifies a point of a spacing curve.
PLACED = ["motif_1", "motif_2", "sequence_1", "sequence_2", "strand_1", "strand_2", "spacing"]


@dataclass(frozen=True, eq=False)
class Factors:
    """The motifs of a factorial library as positions, and their levels as symbols.

    Parameters
    ----------
    library : FactorialLibrary
        The design.
    table : DataFrame
        A row for each level: position (number of the motif) and motif; symbol, the number of the
        level as text ("0" is absent, if the motif can be); sequence (name), start and end (0-based,
        end excluded) and strand: "", −1, −1 and "" if absent.
    tokens : ndarray
        uint8[points, motifs], the levels at every design point.
    """

    library: FactorialLibrary
    table: pd.DataFrame
    tokens: np.ndarray

    @classmethod
    def of(cls, library: FactorialLibrary) -> "Factors":
        """The levels of a design. Raises GeneqError for motifs with more than 254 levels."""
        found = [_levels(library, number) for number in range(len(library.motifs))]
        tables, columns = zip(*found, strict=True)
        levels.alphabet(max(map(len, tables)))  # refused before they are tokens of a byte
        return cls(library, pd.concat(tables, ignore_index=True),
                   np.stack(columns, axis=1).astype(np.uint8))  # fmt: skip

    @property
    def alphabet(self) -> str:
        """That of the motif with most levels; the others lack its last ones."""
        return levels.alphabet(self.table["position"].value_counts().max())

    def arrays(self, mave: Mave) -> Arrays:
        """Scores of the library, in the form that `surrogates.fit` takes.

        In a paired design, where all points share their backgrounds, the mean of each background is
        subtracted and the mean of all rows added.
        """
        n, (points, motifs) = mave.n_rows, self.tokens.shape
        check_memory(n * motifs * 16, f"The levels of {n:,} rows take about", "Use fewer motifs")
        background, point = np.divmod(np.arange(n), points)
        tokens = self.tokens[point]
        row, position = np.nonzero(tokens)
        changes = Mutations(row, position.astype(np.int32), tokens[row, position])
        paired = self.library.paired
        y = mave.y.reshape(-1, points, len(mave.targets)).astype(np.float64)
        if paired:
            y += y.mean(axis=(0, 1)) - y.mean(axis=1, keepdims=True)
        together = paired and len(y) >= FEWEST
        return Arrays(
            np.zeros(motifs, np.uint8), changes, y.reshape(n, -1), mave.sigma, self.alphabet,
            mave.targets, groups=background if together else None,
        )  # fmt: skip

    def gauge(self, name: str | np.ndarray) -> str | np.ndarray:
        """A gauge of surrogates; "uniform" is over the levels that a motif has."""
        if not isinstance(name, str) or name != "uniform":
            return name
        counts = self.table["position"].value_counts(sort=False).sort_index().to_numpy()
        return (np.arange(counts.max()) < counts[:, None]) / counts[:, None]

    def named(self, table: pd.DataFrame, suffix: str = "") -> pd.DataFrame:
        """A table of a surrogate with motif, sequence, start and strand for position and symbol.

        suffix: of these columns ("_1", "_2" in tables of pairs). Rows of levels that a motif does
        not have are dropped.
        """
        keys = [f"position{suffix}", f"symbol{suffix}"]
        names = self.table.drop(columns="end").add_suffix(suffix)
        at = list(table).index(keys[0])
        columns = [*table.columns[:at], *names.columns.drop(keys), *table.columns[at:].drop(keys)]
        return table.merge(names, on=keys)[[name for name in columns if name != "wild"]]


def arrays(mave: Mave) -> Mave | Arrays:
    """What a surrogate of `mave` is fitted to: the levels of a factorial design, else `mave`."""
    if isinstance(mave.library, FactorialLibrary):
        return Factors.of(mave.library).arrays(mave)
    return mave


def _levels(library: FactorialLibrary, number: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The levels of a motif, and which of them each design point has."""
    motif, (start, end, chosen, side) = library.motifs[number], library.points
    keys = np.stack([side != 0, chosen, start, -side, end])[:, :, number]
    found, which = np.unique(keys, axis=1, return_inverse=True)
    there, chosen, start, side, end = found
    names = np.array(list(motif.sequences))
    table = pd.DataFrame({
        "position": np.int32(number), "symbol": [str(level) for level in range(found.shape[1])],
        "motif": motif.name, "sequence": np.where(there, names[chosen], ""),
        "start": start.astype(np.int32), "end": end.astype(np.int32),
        "strand": np.array(["", "-", "+"])[side],
    })  # fmt: skip
    return table, which.ravel()


# --- two motifs, by their spacing -----------------------------------------------------------------

# Weights of the points with both motifs, with one alone, with the other alone, and with neither.
CONTRASTS = {"y": (1, 0, 0, -1), "alone": (0, 1, 1, -2), "phi": (1, -1, -1, 1)}


def spacings(factors: Factors, surrogate: Surrogate, mave: Mave) -> pd.DataFrame:
    """Joint effects of two motifs by their spacing, as `artifacts.SPACINGS`.

    Parameters
    ----------
    factors : Factors
        Of the design.
    surrogate : Surrogate
        Fitted to `factors.arrays(mave)`.
    mave : Mave
        The design with its scores.

    Returns
    -------
    DataFrame
        A row for each target, pair of motifs with their sequences and strands, and spacing: means
        over the places at which they have this spacing, other motifs at their first level.
    """
    cells, contrasts = _cells(factors)
    phi = surrogate.phi(factors.tokens)
    y = surrogate.curve(phi)
    by_background = mave.y.reshape(-1, len(factors.tokens), len(mave.targets)).astype(np.float64)
    n, tables = len(by_background), []
    for k, output in enumerate(surrogate.outputs):
        measured = contrasts["y"] @ by_background[:, :, k].T
        spread = measured.std(axis=1, ddof=1) if n > 1 else np.full(len(measured), np.nan)
        columns = {name: matrix @ (phi if name == "phi" else y)[:, k]
                   for name, matrix in contrasts.items()}  # fmt: skip
        columns |= {"measured": measured.mean(axis=1)}
        columns |= _errors(surrogate, output, contrasts, factors.tokens)
        columns |= {"se_measured": spread / np.sqrt(n)}
        table = cells.assign(**columns)
        table.insert(0, "target", output.target)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _cells(factors: Factors) -> tuple[pd.DataFrame, dict[str, csr_matrix]]:
    """PLACED of all pairs of motifs, and their CONTRASTS as weights of points: [rows, points]."""
    pairs = [_pair(factors, *pair) for pair in combinations(range(factors.tokens.shape[1]), 2)]
    nothing = pd.DataFrame(columns=PLACED).astype({"spacing": np.int32})
    table = pd.concat([nothing, *(table for table, _ in pairs)])
    quartets = np.concatenate([np.empty((0, 4), np.int64), *(rows for _, rows in pairs)])
    group = table.groupby(PLACED, sort=False).ngroup().to_numpy()
    return table.drop_duplicates(ignore_index=True), {
        name: _contrasts(group, quartets, weights, len(factors.tokens))
        for name, weights in CONTRASTS.items()
    }


def _pair(factors: Factors, one: int, other: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Points where two motifs are present and the others at their first level.

    A row of PLACED for each, and int64[rows, 4]: the point, the points with either motif alone, and
    the point with neither. Points for which the design lacks one of these are dropped.
    """
    tokens = factors.tokens
    levels = [factors.table[factors.table["position"] == number] for number in (one, other)]
    left, right = (own.iloc[tokens[:, at]].reset_index(drop=True)
                   for own, at in zip(levels, (one, other), strict=True))  # fmt: skip
    there = (left["start"] >= 0) & (right["start"] >= 0)
    there &= (np.delete(tokens, (one, other), axis=1) == 0).all(axis=1)
    alone = np.repeat(tokens[:, None], 4, axis=1)
    alone[:, (2, 3), one] = alone[:, (1, 3), other] = 0
    quartets = _numbers(tokens, alone)
    kept = there & (quartets >= 0).all(axis=1)
    swapped = left["start"] > right["start"]
    first, second = (
        {name: np.where(swapped, other[name], own[name]) for name in own}
        for own, other in ((left, right), (right, left))
    )
    table = pd.DataFrame({
        "motif_1": first["motif"], "motif_2": second["motif"],
        "sequence_1": first["sequence"], "sequence_2": second["sequence"],
        "strand_1": first["strand"], "strand_2": second["strand"],
        "spacing": (second["start"] - first["end"]).astype(np.int32),
    })  # fmt: skip
    return table[kept], quartets[kept]


def _numbers(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64[...]: index in points, uint8[n, motifs], of each of uint8[..., motifs]; −1 if none."""
    # A row as one byte string, which compares as fast as a number.
    keys, sought = (np.ascontiguousarray(rows).view(f"S{points.shape[1]}")[..., 0]
                    for rows in (points, wanted))  # fmt: skip
    order = np.argsort(keys)
    at = order[np.minimum(np.searchsorted(keys, sought, sorter=order), len(keys) - 1)]
    return np.where(keys[at] == sought, at, -1)


def _errors(
    surrogate: Surrogate, output: Output, contrasts: dict[str, csr_matrix], tokens: np.ndarray
) -> dict[str, np.ndarray | float]:
    """Standard errors of contrasts of design points, by name of the column; NaN if unknown."""
    if output.replicates is None:
        return dict.fromkeys((f"se_{name}" for name in contrasts), np.nan)
    moved = list(surrogate.resampled_differences(tokens, output.target))
    return {
        f"se_{name}": np.sqrt(np.mean(
            [(matrix @ (phi if name == "phi" else y)) ** 2 for phi, y in moved], axis=0
        ))
        for name, matrix in contrasts.items()
    }  # fmt: skip


def _contrasts(
    group: np.ndarray, quartets: np.ndarray, weights: tuple[int, ...], points: int
) -> csr_matrix:
    """The matrix [groups, points] of the mean, in each group, of weighted sums of its quartets."""
    values = np.array(weights) / np.bincount(group)[group, None]
    where = (np.repeat(group, 4), quartets.ravel())
    return csr_matrix((values.ravel(), where), shape=(group.max(initial=-1) + 1, points))
