"""Maps from a sequence to its latent phenotype φ, linear in their parameters.

A map is what the user selects. On a wild type it becomes a Layout, which defines its parameters; on
the mutations of some rows this becomes a Design, which computes φ of the rows and the gradient.
One-hot is never used: a row is represented by its mutations.

Parameters θ are, first, an effect for each mutation (position × other symbol, in that order), then
one for each interaction of mutations. They are fitted in centred coordinates: mutation f
is x_f − p_f, with p_f its frequency in the training rows. The columns of the model are then nearly
uncorrelated, and shrinking interactions does not change the additive effects.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.sparse import csr_matrix

from .. import _ext
from ..checks import check_int, check_memory
from ..errors import GeneqError
from ..libraries import Mutations
from .gauges import Effects, Term

Window = tuple[int, int]


class Map(Protocol):
    """A model of φ that the user selects."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def layout(
        self, wild_type: np.ndarray, symbols: int, windows: Sequence[Window] | None = None
    ) -> "Layout":
        """The map on a wild type, tokens uint8[length], of an alphabet with `symbols` symbols.

        windows: where there are mutations (pairs elsewhere use no memory); None for anywhere.
        """


@dataclass(frozen=True)
class Additive:
    """One effect per symbol and position."""

    kind: ClassVar[str] = "additive"

    def layout(self, wild_type, symbols, windows=None):
        return Layout(wild_type, symbols)


@dataclass(frozen=True)
class Pairwise:
    """Effects of symbols and of pairs of symbols.

    Parameters
    ----------
    window : (int, int), optional
        [start, end), 0-based: only pairs with both positions within it.
    between : two windows, optional
        Only pairs with one position in each window.
    distance : int, optional
        Only pairs at most this far apart.

    Raises
    ------
    GeneqError
        When it is applied to a wild type: for windows that overlap or are not within the sequence.
    """

    window: Window | None = None
    between: tuple[Window, Window] | None = None
    distance: int | None = None
    kind: ClassVar[str] = "pairwise"

    def layout(self, wild_type, symbols, windows=None):
        length = len(wild_type)
        if self.window is not None and self.between is not None:
            raise GeneqError("Give either window or between, not both", value=str(self))
        start, end = checked(self.window, length)
        first, second = np.arange(length), np.full(length, end)
        first = np.where((first >= start) & (first < end), first + 1, second)
        if self.between is not None:
            if len(self.between) != 2:
                raise GeneqError("between must be two windows", value=str(self.between))
            (a, b), (c, d) = sorted(checked(window, length) for window in self.between)
            if c < b:
                raise GeneqError("The two windows must not overlap", value=str(self.between))
            inside = (np.arange(length) >= a) & (np.arange(length) < b)
            first, second = np.where(inside, c, d), np.full(length, d)
        if self.distance is not None:
            reach = np.arange(length) + check_int(self.distance, "distance", 1) + 1
            second = np.maximum(np.minimum(second, reach), first)
        mutable = within(windows, length)
        second = np.minimum(second, np.flatnonzero(mutable)[-1] + 1)
        return PairwiseLayout(wild_type, symbols, np.where(mutable, first, second), second)


@dataclass(frozen=True)
class Neighbour:
    """Effects of symbols and of pairs of adjacent symbols."""

    kind: ClassVar[str] = "neighbour"

    def layout(self, wild_type, symbols, windows=None):
        return Pairwise(distance=1).layout(wild_type, symbols, windows)


@dataclass(frozen=True)
class Order:
    """Effects of symbols and of sets of up to `order` symbols.

    There is a parameter for every set of mutations that occurs in the training rows.

    Parameters
    ----------
    order : int
        1 to 8.
    window : (int, int), optional
        [start, end), 0-based: only sets within it.
    """

    order: int = 3
    window: Window | None = None
    kind: ClassVar[str] = "order"

    def layout(self, wild_type, symbols, windows=None):
        window = checked(self.window, len(wild_type))
        check_int(self.order, "order", 1, 8)
        return OrderLayout(wild_type, symbols, self.order, window)


KINDS: dict[str, type] = {kind.kind: kind for kind in (Additive, Neighbour, Pairwise, Order)}


def to_dict(map: Map) -> dict:
    """Kind and fields, for JSON."""
    return {"kind": map.kind, **asdict(map)}


def checked(window: Window | None, length: int) -> Window:
    """A window [start, end) of a sequence of this length; None means all. Raises GeneqError."""
    if window is None:
        return 0, length
    try:
        start, end = (int(edge) for edge in window)
    except (TypeError, ValueError):
        raise GeneqError("A window must be a start and an end", value=repr(window)) from None
    if not 0 <= start < end <= length:
        raise GeneqError(
            f"A window [start, end) must be within the {length} symbols of the sequence, not empty",
            value=f"[{start}, {end})",
        )
    return start, end


def within(windows: Sequence[Window] | None, length: int) -> np.ndarray:
    """bool[length]: the positions of windows; all for None. Raises GeneqError."""
    places = np.zeros(length, bool)
    for window in [None] if windows is None else windows:
        places[slice(*checked(window, length))] = True
    return places


# --- on a wild type ---------------------------------------------------------------------------


class Layout:
    """The parameters of an additive map: feature = position × (symbols − 1) + which other symbol.

    Maps with interactions have more parameters after these, `size` in total.
    """

    def __init__(self, wild_type: np.ndarray, symbols: int):
        self.wild_type, self.symbols = wild_type, symbols
        self.others = symbols - 1
        self.n_additive = len(wild_type) * self.others
        self.position = np.repeat(np.arange(len(wild_type), dtype=np.int32), self.others)
        which = np.tile(np.arange(self.others), len(wild_type))
        self.symbol = (which + (which >= wild_type[self.position])).astype(np.uint8)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.n_additive

    @property
    def groups(self) -> np.ndarray:
        """int64[interactions]: the number of the set of positions of each, from 0."""
        return np.empty(0, np.int64)

    def rows(self, mutations: Mutations, n_rows: int) -> "_ext.FeatureRows":
        """The features of rows 0 to n_rows − 1, from mutations ordered by row.

        Raises GeneqError for a symbol that is unknown or that of the wild type.
        """
        row, position, symbol = mutations
        wild = self.wild_type[position]
        bad = (symbol >= self.symbols) | (symbol == wild) | (wild >= self.symbols)
        if bad.any():
            at = int(np.argmax(bad))
            raise GeneqError(
                "A mutation must be from one known symbol to another",
                value=f"token {wild[at]} to {symbol[at]} at position {position[at]} (0-based) of "
                f"row {row[at]}",
            )
        features = position.astype(np.int64) * self.others + symbol - (symbol > wild)
        starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n_rows))])
        try:
            return _ext.FeatureRows(starts, features.astype(np.uint32), self.n_additive)
        except ValueError as error:
            raise GeneqError("Mutations must be ordered by row and position", value=str(error),
                             fix="Give every position of a row at most once") from None  # fmt: skip

    def learn(self, rows: "_ext.FeatureRows", mutations: Mutations) -> None:
        """Learn from the training rows what the parameters depend on."""

    def learnt(self) -> dict[str, np.ndarray]:
        """What `learn` learned, by name."""
        return {}

    def recall(self, arrays: dict[str, np.ndarray]) -> None:
        """Restore what `learnt` returned."""

    def design(self, rows: "_ext.FeatureRows", mutations: Mutations, threads: int = 1) -> "Design":
        """φ of rows, which are those of `mutations`."""
        return Design(rows, threads)

    def spread(self, rows: "_ext.FeatureRows", threads: int = 1) -> np.ndarray:
        """float64[size]: the approximate variance of each column of the model in these rows."""
        p = rows.transposed(np.ones(rows.rows), threads) / max(rows.rows, 1)
        return p * (1 - p)

    def effects(self, theta: np.ndarray) -> Effects:
        """θ in the wild-type gauge; its constant, φ of the wild type, is 0 here."""
        return Effects(0.0, (self._additive(theta[: self.n_additive]),))

    def _additive(self, theta: np.ndarray) -> Term:
        table = np.zeros((len(self.wild_type), self.symbols))
        table[self.position, self.symbol] = theta
        return Term(np.arange(len(self.wild_type), dtype=np.int32)[:, None], table)


class Design:
    """φ of some rows, up to a constant, and its transpose; for one vector or k of them."""

    def __init__(self, rows: "_ext.FeatureRows", threads: int):
        self.additive, self.threads = rows, threads

    @property
    def n_rows(self) -> int:
        return self.additive.rows

    def phi(self, theta: np.ndarray) -> np.ndarray:
        """float64[n] of θ, float64[size]; or float64[k, n] of float64[k, size]."""
        return self.additive.sums(theta, self.threads)

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        """float64[size]: Σ weights · dφ/dθ over rows; weights, float64[n], of sum 0.

        Or float64[k, size] of float64[k, n].
        """
        return self.additive.transposed(weights, self.threads)


class PairwiseLayout(Layout):
    """Pairs of position i with first[i] ≤ j < second[i], all symbols of both."""

    def __init__(self, wild_type, symbols, first: np.ndarray, second: np.ndarray):
        super().__init__(wild_type, symbols)
        first, second = np.minimum(first, second), second
        width = (second - first) * self.others**2
        check_memory(int(width.sum()) * 200, f"{int(width.sum()):,} pairs of mutations take about",
                   "Name a window, two windows, or a distance")  # fmt: skip
        self.partners = np.repeat(np.stack([first, second]) * self.others, self.others, axis=1)
        self.pairs = _ext.PairLayout(*np.ascontiguousarray(self.partners, dtype=np.uint32))
        counts = self.partners[1] - self.partners[0]
        self.one = np.repeat(np.arange(self.n_additive, dtype=np.int32), counts)
        starts = np.cumsum(counts) - counts
        place = np.arange(self.pairs.size) - np.repeat(starts, counts)
        self.two = (place + np.repeat(self.partners[0], counts)).astype(np.int32)
        self.centre = np.zeros(self.n_additive)

    @property
    def size(self) -> int:
        return self.n_additive + self.pairs.size

    @cached_property
    def _sites(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of positions, int32[pairs, 2], and the number of the pair of each interaction."""
        first, second = self.position[self.one], self.position[self.two]
        keys = first.astype(np.int64) * len(self.wild_type) + second
        _, where, which = np.unique(keys, return_index=True, return_inverse=True)
        return np.stack([first[where], second[where]], axis=1), which

    @property
    def groups(self) -> np.ndarray:
        return self._sites[1]

    def learn(self, rows, mutations):
        self.centre = rows.transposed(np.ones(rows.rows)) / max(rows.rows, 1)

    def learnt(self):
        return {"centre": self.centre}

    def recall(self, arrays):
        self.centre = arrays["centre"]

    def design(self, rows, mutations, threads=1):
        return PairwiseDesign(self, rows, threads)

    def spread(self, rows, threads=1):
        single = super().spread(rows, threads)
        return np.concatenate([single, single[self.one] * single[self.two]])

    def shifted(self, table: np.ndarray) -> np.ndarray:
        """Σ_g table[f, g] p_g, float64[features]: centring subtracts it from additive effects."""
        return self.pairs.shifted(table, self.centre)

    def effects(self, theta):
        additive, table = np.split(theta, [self.n_additive])
        single = self._additive(additive - self.shifted(table))
        sites, which = self._sites
        values = np.zeros((len(sites), self.symbols, self.symbols))
        values[which, self.symbol[self.one], self.symbol[self.two]] = table
        return Effects(0.0, (single, Term(sites, values)))


class PairwiseDesign(Design):
    """Additive effects and pairs in centred coordinates."""

    def __init__(self, layout: PairwiseLayout, rows: "_ext.FeatureRows", threads: int):
        super().__init__(rows, threads)
        self.layout = layout

    def phi(self, theta):
        additive, table = _split(theta, self.layout.n_additive)
        single = super().phi(additive - self.layout.shifted(table))
        return single + self.layout.pairs.sums(self.additive, table, self.threads)

    def gradient(self, weights):
        single, layout = super().gradient(weights), self.layout
        pairs = layout.pairs.transposed(self.additive, weights, single, layout.centre, self.threads)
        return np.concatenate([single, pairs], axis=-1)


def _split(theta: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray]:
    """θ of the first parameters and of the others, each contiguous."""
    return np.ascontiguousarray(theta[..., :at]), np.ascontiguousarray(theta[..., at:])


class OrderLayout(Layout):
    """Sets of up to `order` mutations that occur in the training rows."""

    def __init__(self, wild_type, symbols, order: int, window: Window):
        super().__init__(wild_type, symbols)
        if float(self.n_additive) ** order >= 2.0**62:
            raise GeneqError("There are too many sets of mutations to number",
                             value=f"order {order}, {self.n_additive:,} mutations")  # fmt: skip
        self.order, self.window = order, window
        self.keys = np.empty(0, np.int64)
        self._centred(np.zeros(self.n_additive))

    @property
    def size(self) -> int:
        return self.n_additive + len(self.keys)

    @property
    def groups(self) -> np.ndarray:
        members = self._members()
        sites = np.where(members >= 0, self.position[members], -1)
        return np.unique(sites, axis=0, return_inverse=True)[1].ravel()

    def learn(self, rows, mutations):
        self.keys = np.unique(self._sets(mutations)[1])
        self._centred(rows.transposed(np.ones(rows.rows)) / max(rows.rows, 1))

    def _centred(self, centre: np.ndarray) -> None:
        """Compute the matrix from centred coordinates to those of plain mutations.

        The product of x_f − p_f over a set is a sum over its subsets, each of which occurs where
        the set does: the product of x_f in the subset, times that of −p_f in the rest.
        """
        self.centre, members = centre, self._members()
        there = members >= 0
        number = np.arange(self.n_additive, self.size)
        parts = [(np.arange(self.size), np.arange(self.size), np.ones(self.size))]
        for chosen in product((False, True), repeat=self.order):
            inside, rest = there & chosen, there & ~np.array(chosen)
            # Each subset once: where a smaller set has no member, none is chosen.
            used = inside.any(axis=1) & rest.any(axis=1) & (there | ~np.array(chosen)).all(axis=1)
            factors = np.where(rest, -centre[members], 1).prod(axis=1)
            parts.append((self._numbers(members[used], inside[used]), number[used], factors[used]))
        row, column, value = map(np.concatenate, zip(*parts, strict=True))
        self.plain = csr_matrix((value, (row, column)), shape=(self.size, self.size))

    def _numbers(self, members: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """The parameters of the subsets of `members` that are inside."""
        key = np.zeros(len(members), np.int64)
        for feature, kept in zip(members.T, inside.T, strict=True):
            key = np.where(kept, key * (self.n_additive + 1) + feature + 1, key)
        single = inside.sum(axis=1) == 1
        return np.where(single, key - 1, self.n_additive + np.searchsorted(self.keys, key))

    def learnt(self):
        return {"keys": self.keys, "centre": self.centre}

    def recall(self, arrays):
        self.keys = arrays["keys"]
        self._centred(arrays["centre"])

    def _sets(self, mutations: Mutations) -> tuple[np.ndarray, np.ndarray]:
        """Row and key of every set of 2 to `order` mutations; larger sets have larger keys."""
        inside = (mutations.position >= self.window[0]) & (mutations.position < self.window[1])
        row, position, symbol = (column[inside] for column in mutations)
        feature = position * np.int64(self.others) + symbol - (symbol > self.wild_type[position])
        _, first, counts = np.unique(row, return_index=True, return_counts=True)
        sets = sum(_choose(counts, size).sum() for size in range(2, self.order + 1))
        check_memory(int(sets) * 40, f"{int(sets):,} sets of mutations take about",
                   "Name a window, or a lower order")  # fmt: skip
        found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        for count in np.unique(counts):
            begin = first[counts == count]
            for size in range(2, min(self.order, int(count)) + 1):
                chosen = np.array(list(combinations(range(count), size)))
                key = np.zeros((len(begin), len(chosen)), np.int64)
                for column in chosen.T:
                    key = key * (self.n_additive + 1) + feature[begin[:, None] + column] + 1
                found.append((np.repeat(row[begin], len(chosen)), key.ravel()))
        rows, keys = map(np.concatenate, zip(*found, strict=True))
        return rows, keys

    def design(self, rows, mutations, threads=1):
        row, key = self._sets(mutations)
        place = np.searchsorted(self.keys, key)
        known = place < len(self.keys)
        known[known] = self.keys[place[known]] == key[known]
        row, place = row[known], place[known]
        order = np.lexsort((place, row))
        starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows.rows))])
        sets = _ext.FeatureRows(starts, place[order].astype(np.uint32), len(self.keys))
        return OrderDesign(self.plain, rows, sets, threads)

    def spread(self, rows, threads=1):
        single = super().spread(rows, threads)
        sets = np.ones(len(self.keys))
        for members in self._members().T:
            sets *= np.where(members >= 0, single[members], 1)
        return np.concatenate([single, sets])

    def _members(self) -> np.ndarray:
        """int64[sets, order]: the features of every set; −1 before the first of a smaller one."""
        digits = (self.n_additive + 1) ** np.arange(self.order - 1, -1, -1)
        return self.keys[:, None] // digits % (self.n_additive + 1) - 1

    def effects(self, theta):
        theta = self.plain @ theta
        members, terms = self._members(), [self._additive(theta[: self.n_additive])]
        for size in range(2, self.order + 1):
            chosen = (members >= 0).sum(axis=1) == size
            features = members[chosen][:, self.order - size :]
            sites = self.position[features]
            unique, which = np.unique(sites, axis=0, return_inverse=True)
            values = np.zeros((len(unique),) + (self.symbols,) * size)
            symbols = tuple(self.symbol[features].T)
            values[(which.ravel(), *symbols)] = theta[self.n_additive :][chosen]
            terms.append(Term(unique.reshape(-1, size), values))
        return Effects(0.0, tuple(terms))


def _choose(n: np.ndarray, k: int) -> np.ndarray:
    ways = np.ones(len(n))
    for i in range(k):
        ways *= np.maximum(n - i, 0) / (i + 1)
    return ways


class OrderDesign(Design):
    """Additive effects and sets of mutations in centred coordinates.

    plain: the matrix from these to the coordinates of plain mutations.
    """

    def __init__(
        self,
        plain: csr_matrix,
        rows: "_ext.FeatureRows",
        sets: "_ext.FeatureRows",
        threads: int,
    ):
        super().__init__(rows, threads)
        self.plain, self.sets = plain, sets

    def phi(self, theta):
        additive, table = _split((self.plain @ theta.T).T, self.additive.size)
        return super().phi(additive) + self.sets.sums(table, self.threads)

    def gradient(self, weights):
        parts = [super().gradient(weights), self.sets.transposed(weights, self.threads)]
        return (self.plain.T @ np.concatenate(parts, axis=-1).T).T
