"""Standard errors of surrogates: as large as the scatter over libraries, though oracles are exact."""

import numpy as np
import pytest

from geneq import phi
from geneq.encoding import tokens as tokens_of
from geneq.errors import GeneqError
from geneq.libraries import Mutations, RandomLibrary
from geneq.phi import Surrogate

SEED, SEEDS, LENGTH, ROWS = 11, 20, 20, 3000
WILD = "".join(np.random.default_rng(SEED).choice(list("ACGT"), LENGTH))
TOKENS = tokens_of(WILD)[0]
# A landscape without noise, part of which no additive model accounts for.
LAYOUT = phi.Pairwise().layout(TOKENS, 4)
THETA = np.random.default_rng(SEED).normal(size=LAYOUT.size)
THETA[LAYOUT.n_additive :] *= 0.5
EFFECTS = LAYOUT.effects(THETA)


def landscape(tokens: np.ndarray) -> np.ndarray:
    return 3 / (1 + np.exp(0.4 - 0.5 * EFFECTS.phi(tokens)))


def data(seed: int, rows: int = ROWS, noise: float = 0.0) -> phi.Arrays:
    library = RandomLibrary(WILD, n=rows, rate=0.15, seed=seed)
    scatter = noise * np.random.default_rng(seed).standard_normal(rows)
    return phi.Arrays(TOKENS, library.mutations(), landscape(library.tokens()) + scatter)


def mutants() -> np.ndarray:
    """All single mutants, uint8[3 · length, length]."""
    made = np.repeat(TOKENS[None], 3 * LENGTH, axis=0)
    at = np.arange(3 * LENGTH)
    made[at, at // 3] = (made[at, at // 3] + 1 + at % 3) % 4
    return made


def told(surrogate: Surrogate) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What has errors, and these."""
    found = {"difference": surrogate.differences(mutants())}
    for units in ("phi", "y"):
        values, errors = (f("uniform", 0, units) for f in (surrogate.effects, surrogate.errors))
        terms = zip(values.terms, errors.terms, strict=True)
        for order, (value, error) in enumerate(terms):
            found[f"{units} {order + 1}"] = value.values.ravel(), error.values.ravel()
    return found


def ratios(surrogates: list[dict], what: str) -> np.ndarray:
    """Errors as a share of the standard deviation, of whatever scatters."""
    values, errors = (np.array([each[what][i] for each in surrogates]) for i in (0, 1))
    scatter, error = values.std(axis=0, ddof=1), np.sqrt((errors**2).mean(axis=0))
    return error[scatter > 0] / scatter[scatter > 0]


@pytest.fixture(scope="module")
def surrogate():
    return phi.fit(data(1), replicates=100)


def test_errors_are_the_scatter_over_libraries():
    """Of 20 seeds, with all that a fit chooses. A standard deviation of 20 is known to 16 %."""
    found = [told(phi.fit(data(s), split_seed=s, replicates=50)) for s in range(SEEDS)]
    for what in ("phi 1", "y 1", "difference"):
        ratio = ratios(found, what)
        print(what, np.quantile(ratio, [0.1, 0.5, 0.9]))
        assert 0.8 < np.median(ratio) < 1.25, what
        assert (np.abs(np.log2(ratio)) < 1).mean() > 0.95, what


def test_errors_of_pairs_are_the_scatter_over_libraries():
    fits = (phi.fit(data(s, 6000), phi.Pairwise(), split_seed=s, replicates=30) for s in range(SEEDS))
    found = [told(fit) for fit in fits]
    for what in ("phi 1", "phi 2", "y 2", "difference"):
        ratio = ratios(found, what)
        print(what, len(ratio), np.quantile(ratio, [0.1, 0.5, 0.9]))
