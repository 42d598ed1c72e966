"""Gauges: which of the many sets of effects with the same predictions are reported.

A phenotype φ = constant + Σ effects of symbols + Σ effects of pairs of symbols + … does not change
when a number is added to all symbols of a position and subtracted from the constant. A gauge
removes this freedom: with probabilities p of symbols at every position, the mean under p over any
position of any term is 0, and a term contains only what no lower-order term can express (the
hierarchical gauge of Posfai et al. 2025). In the wild-type gauge the wild type's symbols have
probability 1.
"""

from dataclasses import dataclass

import numpy as np

from ..checks import choices
from ..errors import GeneqError
from ..libraries import Mutations

# Effects of sequences that are looked up at a time.
TOGETHER = 10**7
NAMES = ("wild_type", "uniform", "empirical", "consensus")


@dataclass(frozen=True)
class Term:
    """Effects of sets of positions, all of the same order.

    Attributes
    ----------
    sites : int32[sets, order]
        0-based positions, ascending in a row; sets are sorted and unique.
    values : float64[sets, symbols, …, symbols]
        One axis of symbols for each of the positions.
    """

    sites: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Effects:
    """φ as a constant and terms.

    Attributes
    ----------
    constant : float
    terms : tuple of Term
        terms[0] of single symbols, terms[1] of pairs, and so on.
    """

    constant: float
    terms: tuple[Term, ...]

    @property
    def symbols(self) -> int:
        return self.terms[0].values.shape[1]

    @property
    def values(self) -> list[np.ndarray]:
        """The constant, as an array, and the values of every term."""
        return [np.asarray(self.constant), *(term.values for term in self.terms)]

    def additive(self, length: int) -> np.ndarray:
        """float64[length, symbols], 0 where there is no effect."""
        table = np.zeros((length, self.symbols))
        table[self.terms[0].sites[:, 0]] = self.terms[0].values
        return table

    def scaled(self, factor: float) -> "Effects":
        """The effects multiplied by a factor."""
        terms = (Term(term.sites, term.values * factor) for term in self.terms)
        return Effects(self.constant * factor, tuple(terms))

    def plus(self, other: "Effects") -> "Effects":
        """The sum of these and other effects of the same sites."""
        terms = (Term(one.sites, one.values + more.values)
                 for one, more in zip(self.terms, other.terms, strict=True))  # fmt: skip
        return Effects(self.constant + other.constant, tuple(terms))

    def phi(self, tokens: np.ndarray) -> np.ndarray:
        """φ, float64[n], of tokens uint8[n, length]; unknown symbols have no effect."""
        phi = np.full(len(tokens), self.constant)
        for term in self.terms:
            step = max(1, TOGETHER // max(1, len(term.sites)))
            for start in range(0, len(tokens), step):
                phi[start : start + step] += self._of_term(term, tokens[start : start + step])
        return phi

    def _of_term(self, term: Term, tokens: np.ndarray) -> np.ndarray:
        flat = np.zeros((len(tokens), len(term.sites)), np.int64)
        known = np.ones(flat.shape, bool)
        for axis in range(term.sites.shape[1]):
            symbols = tokens[:, term.sites[:, axis]]
            known &= symbols < self.symbols
            flat = flat * self.symbols + symbols
        table = term.values.reshape(len(term.sites), self.symbols ** term.sites.shape[1])
        found = table[np.arange(len(term.sites)), np.where(known, flat, 0)]
        return np.where(known, found, 0).sum(axis=1)

    def fixed(self, probabilities: np.ndarray) -> "Effects":
        """The same φ in the gauge of probabilities, float64[length, symbols], with rows of sum 1.

        Exact for terms of any order: from the highest order on, the mean over each position is
        moved to the term of the other positions.
        """
        terms = {term.sites.shape[1]: term for term in self.terms}
        constant = self.constant
        for order in range(max(terms), 0, -1):
            if order not in terms:
                continue
            sites, values = terms[order].sites, terms[order].values
            for axis in range(order):
                values, means = _centred(values, probabilities[sites[:, axis]], axis + 1)
                if order == 1:
                    constant += float(means.sum())
                else:
                    others = np.delete(sites, axis, axis=1)
                    terms[order - 1] = _added(terms.get(order - 1), others, means)
            terms[order] = Term(sites, values)
        return Effects(constant, tuple(terms[order] for order in sorted(terms)))


def _centred(values: np.ndarray, weights: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """`values` minus their means over `axis` under weights[sets, symbols], and these means."""
    shape = [1] * values.ndim
    shape[0], shape[axis] = weights.shape
    means = (values * weights.reshape(shape)).sum(axis=axis)
    return values - np.expand_dims(means, axis), means


def _added(term: Term | None, sites: np.ndarray, values: np.ndarray) -> Term:
    """`term` with more values; those of repeated sets of positions are summed."""
    if term is not None:
        sites = np.concatenate([term.sites, sites])
        values = np.concatenate([term.values, values])
    # One number per set of positions: much faster to sort than rows.
    if not len(sites):
        return Term(sites, values)
    span = int(sites.max()) + 1
    keys = sites.astype(np.int64) @ span ** np.arange(sites.shape[1] - 1, -1, -1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    flat = values.reshape(len(values), -1)
    total = np.stack(
        [np.bincount(which, column, minlength=len(first)) for column in flat.T], axis=1
    )
    return Term(sites[first].astype(np.int32), total.reshape(len(first), *values.shape[1:]))


# --- probabilities ----------------------------------------------------------------------------


def probabilities(
    gauge: str | np.ndarray, wild_type: np.ndarray, symbols: int, frequencies: np.ndarray
) -> np.ndarray:
    """float64[length, symbols] of a gauge: one of NAMES, or custom probabilities.

    frequencies: float64[length, symbols] of the library. Where the wild type has an unknown symbol,
    all symbols have equal probability. Raises GeneqError for other names or shapes, and for values
    that are not probabilities.
    """
    if isinstance(gauge, str):
        if gauge == "uniform":
            return np.full((len(wild_type), symbols), 1 / symbols)
        if gauge == "empirical":
            return frequencies
        if gauge == "consensus":
            return _certain(np.argmax(frequencies, axis=1).astype(np.uint8), symbols)
        if gauge == "wild_type":
            return _certain(wild_type, symbols)
        raise GeneqError("Unknown gauge", value=gauge, fix=choices(NAMES))
    given = np.asarray(gauge, dtype=np.float64)
    if given.shape != (len(wild_type), symbols):
        raise GeneqError(
            f"Probabilities of a gauge must be of shape {(len(wild_type), symbols)}",
            value=str(given.shape),
        )
    fine = (given >= 0).all(axis=1) & np.isclose(given.sum(axis=1), 1, atol=1e-6)
    if not fine.all():
        bad = int(np.argmin(fine))
        raise GeneqError(
            "Probabilities of a gauge must be at least 0 and add up to 1 at every position",
            value=f"{given[bad].tolist()} at position {bad} (0-based)",
        )
    return given / given.sum(axis=1, keepdims=True)


def _certain(tokens: np.ndarray, symbols: int) -> np.ndarray:
    known = np.eye(symbols + 1, symbols)
    known[symbols] = 1 / symbols
    return known[np.minimum(tokens, symbols)]


def frequencies(
    wild_type: np.ndarray, mutations: Mutations, n_rows: int, symbols: int
) -> np.ndarray:
    """float64[length, symbols]: frequencies of the symbols at each position of a library's rows."""
    length = len(wild_type)
    places = mutations.position.astype(np.int64) * symbols + mutations.symbol
    counts = np.bincount(places, minlength=length * symbols).reshape(length, symbols)
    share = counts / max(n_rows, 1)
    return share + (1 - share.sum(axis=1, keepdims=True)) * _certain(wild_type, symbols)
