"""Gauges: which of the many effects with the same predictions are shown.

A phenotype φ = constant + Σ effects of symbols + Σ effects of pairs of symbols + … stays the
same when something is added to all symbols of a position and taken from the constant. A gauge
ends this freedom: with probabilities p of symbols at every position, the mean under p over any
position of any term is 0, and a term holds only what no lower one can (the hierarchical gauge
of Posfai et al. 2025). The probabilities of the wild type's symbols are 1 in the wild-type
gauge.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import GeneqError
from ..libraries import Mutations

# Effects of sequences that are looked up together.
TOGETHER = 10**7
NAMES = ("wild_type", "uniform", "empirical", "consensus")


@dataclass(frozen=True)
class Term:
    """Effects of some sets of `order` positions.

    sites: int32[sets, order], rising in a row, 0-based; sets in order, each once.
    values: float64[sets, symbols, …, symbols], an axis for each of the positions.
    """

    sites: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Effects:
    """φ as a constant and terms: terms[0] of single symbols, terms[1] of pairs, and so on."""

    constant: float
    terms: tuple[Term, ...]

    @property
    def symbols(self) -> int:
        return self.terms[0].values.shape[1]

    @property
    def values(self) -> list[float | np.ndarray]:
        """The constant, and the values of every term."""
        return [self.constant, *(term.values for term in self.terms)]

    def additive(self, length: int) -> np.ndarray:
        """float64[length, symbols], 0 where there is no effect."""
        table = np.zeros((length, self.symbols))
        table[self.terms[0].sites[:, 0]] = self.terms[0].values
        return table

    def scaled(self, factor: float) -> "Effects":
        """Everything times a factor."""
        terms = (Term(term.sites, term.values * factor) for term in self.terms)
        return Effects(self.constant * factor, tuple(terms))

    def phi(self, tokens: np.ndarray) -> np.ndarray:
        """float64[n] of uint8[n, length]; a symbol that is unknown has no effect."""
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
        """The same φ in the gauge of probabilities, float64[length, symbols], rows of sum 1.

        Exact for terms of any order: from the highest on, the mean over each position goes to the
        term of the other positions.
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
    """`values` less their means over `axis` under weights[sets, symbols], and these means."""
    shape = [1] * values.ndim
    shape[0], shape[axis] = weights.shape
    means = (values * weights.reshape(shape)).sum(axis=axis)
    return values - np.expand_dims(means, axis), means


def _added(term: Term | None, sites: np.ndarray, values: np.ndarray) -> Term:
    """`term` with more values; where a set of positions comes twice, their sum."""
    if term is not None:
        sites = np.concatenate([term.sites, sites])
        values = np.concatenate([term.values, values])
    # One number for a set of positions: much faster to sort than rows.
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
    """float64[length, symbols] of a gauge: one of NAMES, or the user's own probabilities.

    frequencies: float64[length, symbols] of the library. An unknown symbol of the wild type stands
    for all symbols alike. Raises GeneqError for other names, shapes, and what is no probability.
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
        raise GeneqError("No such gauge", value=gauge, fix=f"There are: {', '.join(NAMES)}")
    own = np.asarray(gauge, dtype=np.float64)
    if own.shape != (len(wild_type), symbols):
        raise GeneqError(
            f"Probabilities of a gauge must be of shape {(len(wild_type), symbols)}",
            value=str(own.shape),
        )
    if not (own >= 0).all() or not np.allclose(own.sum(axis=1), 1, atol=1e-6):
        bad = int(np.argmax(~((own >= 0).all(axis=1) & np.isclose(own.sum(axis=1), 1, atol=1e-6))))
        raise GeneqError(
            "Probabilities of a gauge must be at least 0 and add up to 1 at every position",
            value=f"{own[bad].tolist()} at position {bad} (0-based)",
        )
    return own / own.sum(axis=1, keepdims=True)


def _certain(tokens: np.ndarray, symbols: int) -> np.ndarray:
    known = np.eye(symbols + 1, symbols)
    known[symbols] = 1 / symbols
    return known[np.minimum(tokens, symbols)]


def frequencies(
    wild_type: np.ndarray, mutations: Mutations, n_rows: int, symbols: int
) -> np.ndarray:
    """float64[length, symbols]: how often each symbol stands at a position of a library's rows."""
    length = len(wild_type)
    places = mutations.position.astype(np.int64) * symbols + mutations.symbol
    counts = np.bincount(places, minlength=length * symbols).reshape(length, symbols)
    share = counts / max(n_rows, 1)
    return share + (1 - share.sum(axis=1, keepdims=True)) * _certain(wild_type, symbols)
