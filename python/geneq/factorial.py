"""Factorial designs as surrogates take them: a motif is a position, what it can be are its letters.

The letters of a motif are its levels in the design: absent, or one of its sequences at a place and
on a strand. So additive effects are those of a motif by place and strand, pairs are interactions of
motifs (by spacing and orientation, too), and gauges, errors and predictions are what they are for
sequences. Backgrounds are noise; rows of one stay together when rows are split, so that what it
adds to all of them leaves no effect.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from .libraries import FactorialLibrary, Mutations
from .libraries.base import check_room
from .mave import Mave
from .phi import Arrays, Surrogate, levels

# Fewest backgrounds of which some can be held out.
FEWEST = 20
# What the points that make a point of a spacing curve have in common.
PLACED = ["first", "second", "sequence_1", "sequence_2", "strand_1", "strand_2", "spacing"]


@dataclass(frozen=True, eq=False)
class Factors:
    """The motifs of a factorial library as positions, and their levels as letters.

    table: a row for every level: position and motif, letter (its number, as text: 0 is absent where
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
        levels.alphabet(max(map(len, tables)))
        return cls(library, pd.concat(tables, ignore_index=True),
                   np.stack(columns, axis=1).astype(np.uint8))  # fmt: skip

    @property
    def alphabet(self) -> str:
        """That of the motif of most levels; the others lack its last ones."""
        return levels.alphabet(self.table["position"].value_counts().max())

    def arrays(self, mave: Mave) -> Arrays:
        """Scores of the library, in the form that `phi.fit` takes."""
        n, (points, motifs) = mave.n_rows, self.tokens.shape
        check_room(n * motifs * 16, f"The levels of {n:,} rows take about", "Leave motifs out")
        background, point = np.divmod(np.arange(n), points)
        tokens = self.tokens[point]
        row, position = np.nonzero(tokens)
        changes = Mutations(row, position.astype(np.int32), tokens[row, position])
        together = self.library.paired and self.library.n_backgrounds >= FEWEST
        return Arrays(
            np.zeros(motifs, np.uint8), changes, mave.y, mave.sigma, self.alphabet, mave.targets,
            groups=background if together else None,
        )  # fmt: skip

    def gauge(self, name: str) -> str | np.ndarray:
        """A gauge of surrogates; the uniform one is over the levels that a motif has."""
        if name != "uniform":
            return name
        counts = self.table["position"].value_counts(sort=False).sort_index().to_numpy()
        return (np.arange(counts.max()) < counts[:, None]) / counts[:, None]

    def named(self, table: pd.DataFrame, suffix: str = "") -> pd.DataFrame:
        """A table of a surrogate with motif, sequence, start and strand for position and letter.

        suffix: of all these columns. Levels that a motif does not have are left out.
        """
        keys = [f"position{suffix}", f"letter{suffix}"]
        own = self.table.drop(columns="end").add_suffix(suffix)
        named = table.reset_index().merge(own, on=keys).set_index("index").sort_index()
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
        "position": np.int32(number), "letter": [str(level) for level in range(found.shape[1])],
        "motif": motif.name, "sequence": np.where(there, names[chosen], ""),
        "start": start.astype(np.int32), "end": end.astype(np.int32),
        "strand": np.array(["", "-", "+"])[side],
    })  # fmt: skip
    return table, which.ravel()


# --- two motifs, by what lies between them --------------------------------------------------------


def spacings(factors: Factors, surrogate: Surrogate, mave: Mave) -> pd.DataFrame:
    """What two motifs do by the letters between them, the other motifs at their first level.

    first, second: the motifs in the order in which they lie, with their sequences and strands;
    spacing: letters between them. Of every target `y:<target>`, what both do to the score together;
    `alone:<target>`, the sum of what each does without the other; `phi:<target>`, their interaction
    in the phenotype; `measured:<target>` and `se_measured:<target>`, the mean over backgrounds of
    the measured difference, and its error.
    """
    cells = [_pair(factors, *pair) for pair in combinations(range(factors.tokens.shape[1]), 2)]
    both = pd.concat([table for table, _ in cells], ignore_index=True)
    if both.empty:
        return both
    tokens = np.concatenate([tokens for _, tokens in cells])
    columns = _effects(surrogate, tokens) | _measured(factors, mave, tokens[:, 0])
    named = both.assign(**{f"{what}:{target}": values[:, k] for what, values in columns.items()
                           for k, target in enumerate(surrogate.targets)})  # fmt: skip
    return named.groupby(PLACED, as_index=False, sort=False).mean()
