"""Factorial designs as surrogates take them: a motif is a position, what it can be are its symbols.

The symbols of a motif are its levels in the design: absent, or one of its sequences at a place and
on a strand. So additive effects are those of a motif by place and strand, pairs are interactions of
motifs (by spacing and orientation, too), and gauges, errors and predictions are what they are for
sequences. Backgrounds are noise; rows of one stay together when rows are split, so that what it
adds to all of them leaves no effect.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..checks import check_memory
from ..libraries import FactorialLibrary, Mutations
from ..mave import Mave
from . import Arrays, Surrogate, levels

# Fewest backgrounds of which some can be held out.
FEWEST = 20
# What the points that make a point of a spacing curve have in common.
PLACED = ["first", "second", "sequence_1", "sequence_2", "strand_1", "strand_2", "spacing"]


@dataclass(frozen=True, eq=False)
class Factors:
    """The motifs of a factorial library as positions, and their levels as symbols.

    table: a row for every level: position and motif, symbol (its number, as text: 0 is absent where
    the motif ever is), sequence (its name), start and end (0-based, end excluded; −1 if absent) and
    strand, "" if absent. tokens: uint8[points, motifs], the levels at every design point.
    """

    library: FactorialLibrary
    table: pd.DataFrame
    tokens: np.ndarray

    @classmethod
    def of(cls, library: FactorialLibrary) -> "Factors":
        """Raises GeneqError for motifs of more levels than there are tokens."""
        found = [_levels(library, number) for number in range(len(library.motifs))]
        tables, columns = zip(*found, strict=True)
        levels.alphabet(max(map(len, tables)))  # refused before they are tokens of a byte
        return cls(library, pd.concat(tables, ignore_index=True),
                   np.stack(columns, axis=1).astype(np.uint8))  # fmt: skip

    @property
    def alphabet(self) -> str:
        """That of the motif of most levels; the others lack its last ones."""
        return levels.alphabet(self.table["position"].value_counts().max())

    def arrays(self, mave: Mave) -> Arrays:
        """Scores of the library, in the form that `surrogates.fit` takes.

        Of a paired design, where all points share their backgrounds, what a background adds to all
        of its rows is taken away: their mean, less that of all rows.
        """
        n, (points, motifs) = mave.n_rows, self.tokens.shape
        check_memory(n * motifs * 16, f"The levels of {n:,} rows take about", "Leave motifs out")
        background, point = np.divmod(np.arange(n), points)
        tokens = self.tokens[point]
        row, position = np.nonzero(tokens)
        changes = Mutations(row, position.astype(np.int32), tokens[row, position])
        paired = self.library.paired
        y = mave.y.reshape(-1, points, len(mave.targets)).astype(np.float64)
        if paired:
            y += y.mean(axis=(0, 1)) - y.mean(axis=1, keepdims=True)
        together = paired and self.library.n_backgrounds >= FEWEST
        return Arrays(
            np.zeros(motifs, np.uint8), changes, y.reshape(n, -1), mave.sigma, self.alphabet,
            mave.targets, groups=background if together else None,
        )  # fmt: skip

    def gauge(self, name: str) -> str | np.ndarray:
        """A gauge of surrogates; the uniform one is over the levels that a motif has."""
        if name != "uniform":
            return name
        counts = self.table["position"].value_counts(sort=False).sort_index().to_numpy()
        return (np.arange(counts.max()) < counts[:, None]) / counts[:, None]

    def named(self, table: pd.DataFrame, suffix: str = "") -> pd.DataFrame:
        """A table of a surrogate with motif, sequence, start and strand for position and symbol.

        suffix: of all these columns. Levels that a motif does not have are left out.
        """
        keys = [f"position{suffix}", f"symbol{suffix}"]
        own = self.table.drop(columns="end").add_suffix(suffix)
        named = table.merge(own, on=keys)
        at = table.columns.get_loc(keys[0])
        front = [*table.columns[:at].drop("wild", errors="ignore"), *own.columns.drop(keys)]
        return named[[*front, *table.columns[at:].difference(["wild", *keys], sort=False)]]


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


# --- two motifs, by what lies between them --------------------------------------------------------

# What is told of both motifs, one alone, the other alone, and neither.
CONTRASTS = {"y": (1, 0, 0, -1), "alone": (0, 1, 1, -2), "phi": (1, -1, -1, 1)}


def spacings(factors: Factors, surrogate: Surrogate, mave: Mave) -> pd.DataFrame:
    """What two motifs do by the symbols between them, the other motifs at their first level.

    first, second: the motifs in the order in which they lie, with their sequences and strands;
    spacing: symbols between them. Of every target `y:<target>`, what both do to the score together;
    `alone:<target>`, the sum of what each does without the other; `phi:<target>`, their interaction
    in the phenotype; with `se_` before these their standard errors, where the fit has replicates;
    and `measured:<target>` and `se_measured:<target>`, what both do together by the scores
    themselves: the mean over backgrounds and its standard error. Means over the places at which
    the same lies at the same spacing.
    """
    table, contrasts = _cells(factors)
    phi = surrogate.phi(factors.tokens)
    y = surrogate.curve(phi)
    by_background = mave.y.reshape(-1, len(factors.tokens), len(mave.targets)).astype(np.float64)
    n = len(by_background)
    for k, target in enumerate(surrogate.targets):
        for name, matrix in contrasts.items():
            table[f"{name}:{target}"] = matrix @ (phi if name == "phi" else y)[:, k]
        if surrogate.outputs[k].replicates is not None:
            table = table.assign(**_errors(surrogate, target, contrasts, factors.tokens))
        measured = contrasts["y"] @ by_background[:, :, k].T
        spread = measured.std(axis=1, ddof=1) if n > 1 else np.nan
        table[f"measured:{target}"] = measured.mean(axis=1)
        table[f"se_measured:{target}"] = spread / np.sqrt(n)
    return table


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
    """Points where two motifs are there and the others at their first level.

    A row of PLACED for each, and int64[rows, 4]: the point, those with the one and with the other
    motif alone, and the one with neither. Points of which the design lacks one are left out.
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
        "first": first["motif"], "second": second["motif"],
        "sequence_1": first["sequence"], "sequence_2": second["sequence"],
        "strand_1": first["strand"], "strand_2": second["strand"],
        "spacing": (second["start"] - first["end"]).astype(np.int32),
    })  # fmt: skip
    return table[kept], quartets[kept]


def _numbers(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64[...]: which of the points, uint8[n, motifs], each of uint8[..., motifs] is; or −1."""
    # A row as one value: text of bytes, which compares as fast as a number.
    keys, sought = (np.ascontiguousarray(rows).view(f"S{points.shape[1]}")[..., 0]
                    for rows in (points, wanted))  # fmt: skip
    order = np.argsort(keys)
    at = order[np.minimum(np.searchsorted(keys, sought, sorter=order), len(keys) - 1)]
    return np.where(keys[at] == sought, at, -1)


def _errors(
    surrogate: Surrogate, target: str, contrasts: dict[str, csr_matrix], tokens: np.ndarray
) -> dict[str, np.ndarray]:
    """Standard errors of contrasts of design points, by name of the column."""
    moved = list(surrogate.resampled_differences(tokens, target))
    return {
        f"se_{name}:{target}": np.sqrt(np.mean(
            [(matrix @ (phi if name == "phi" else y)) ** 2 for phi, y in moved], axis=0
        ))
        for name, matrix in contrasts.items()
    }  # fmt: skip


def _contrasts(
    group: np.ndarray, quartets: np.ndarray, weights: tuple[int, ...], points: int
) -> csr_matrix:
    """Of every group the mean of the weighted sums of its quartets: [groups, points]."""
    values = np.array(weights) / np.bincount(group)[group, None]
    where = (np.repeat(group, 4), quartets.ravel())
    return csr_matrix((values.ravel(), where), shape=(group.max(initial=-1) + 1, points))
