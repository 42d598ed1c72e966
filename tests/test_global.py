"""Global designs: an element in random contexts, and motifs embedded in backgrounds.

What drives the scores is planted, and behind a curve; the surrogate finds it again.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq import cli
from geneq.libraries import GlobalLibrary
from geneq.mave import Mave
from geneq.phi import Surrogate

SEED, LENGTH = 5, 40
# Two halves of an element; what stands elsewhere is drawn for every row.
WINDOWS = ((12, 18), (22, 27))
PAIR = (14, 24)


def surrogate(mave: Path, out: Path, *options) -> int:
    arguments = ["--mave", str(mave), "--out", str(out), "--threads", "1", *map(str, options)]
    return cli.main(["surrogate", *arguments])


def correlation(one, other) -> float:
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])


# --- an element in random contexts --------------------------------------------------------------

ELEMENT = GlobalLibrary(
    "N" * 12 + "TGACTC" + "NNNN" + "GATAA" + "N" * 13, n=6000, rate=0.2, windows=WINDOWS, seed=SEED
)
INSIDE = np.r_[12:18, 22:27]


def planted() -> np.ndarray:
    """float64[11, 4]: effects of the letters of the element, in the uniform gauge."""
    effects = np.random.default_rng(SEED).normal(size=(len(INSIDE), 4))
    return effects - effects.mean(axis=1, keepdims=True)


def scores() -> np.ndarray:
    """The element through a sigmoid, and C and G around it, which shift the score of every row.

    Of the pair, letters of one kind (A, C or G, T) help, others harm.
    """
    tokens = ELEMENT.tokens()
    phi = planted()[np.arange(len(INSIDE)), tokens[:, INSIDE]].sum(axis=1)
    phi += np.where(tokens[:, PAIR] < 2, 1, -1).prod(axis=1)
    flanks = np.isin(np.delete(tokens, INSIDE, axis=1), (1, 2)).mean(axis=1)
    return 4 / (1 + np.exp(-phi)) + 2 * (flanks - 0.5)


@pytest.fixture(scope="module")
def element(tmp_path_factory) -> Path:
    """The results of `geneq surrogate` for the element."""
    folder = tmp_path_factory.mktemp("element")
    y = scores().astype(np.float32)[:, None]
    Mave(ELEMENT, None, "dna", y, ["y"]).save(folder / "m.parquet")
    options = ("--map", "pairwise", "--gauge", "uniform")
    assert surrogate(folder / "m.parquet", folder / "out", *options) == 0
    return folder / "out"


def test_effects_of_the_element_are_found_whatever_is_around_it(element):
    effects = pd.read_parquet(element / "effects.parquet")
    found = effects["phi:y"].to_numpy().reshape(LENGTH, 4)
    assert correlation(found[INSIDE], planted()) > 0.99
    assert np.isnan(np.delete(found, INSIDE, axis=0)).all()


def test_pairs_are_those_within_the_windows_and_the_planted_one_is_first(element):
    pairs = pd.read_parquet(element / "pairs.parquet")
    positions = pairs[["position_1", "position_2"]]
    assert np.isin(positions, INSIDE).all()
    assert (positions.head(16) == PAIR).all(axis=None)


def test_contexts_are_noise_of_the_spread_that_they_have(element):
    metrics = pd.read_parquet(element / "metrics.parquet").set_index("metric")["value"]
    assert abs(metrics["coverage_0.68"] - 0.68) < 0.06
    assert abs(metrics["coverage_0.95"] - 0.95) < 0.03


def test_a_prediction_looks_at_the_windows_alone(element):
    loaded = Surrogate.load(element)
    tokens = ELEMENT.tokens(0, 50)
    elsewhere = np.random.default_rng(SEED).integers(0, 5, tokens.shape, np.uint8)
    elsewhere[:, INSIDE] = tokens[:, INSIDE]
    assert loaded.windows == WINDOWS
    np.testing.assert_array_equal(loaded.predict(elsewhere), loaded.predict(tokens))


def test_pairs_outside_of_the_windows_take_no_room(element):
    layout = Surrogate.load(element).layout
    hull = WINDOWS[1][1] - WINDOWS[0][0]
    assert layout.size - layout.n_additive < hull * (hull - 1) / 2 * 9
