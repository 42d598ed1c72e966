"""Global designs: an element in random contexts, and motifs embedded in backgrounds.

What drives the scores is planted, and behind a curve; the surrogate finds it again.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geneq import cli, surrogates
from geneq.artifacts import (
    EFFECTS,
    LEVEL_PAIRS,
    LEVELS,
    PAIRS,
    SPACINGS,
    SURROGATE_METRICS,
)
from geneq.errors import GeneqError
from geneq.libraries import FactorialLibrary, GlobalLibrary, Motif
from geneq.mave import Mave
from geneq.surrogates import Surrogate
from geneq.surrogates.factorial import Factors, spacings
from test_report import Page

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
    """float64[11, 4]: effects of the symbols of the element, in the uniform gauge."""
    effects = np.random.default_rng(SEED).normal(size=(len(INSIDE), 4))
    return effects - effects.mean(axis=1, keepdims=True)


def scores() -> np.ndarray:
    """The element through a sigmoid, and C and G around it, which shift the score of every row.

    Of the pair, symbols of one kind (A, C or G, T) help, others harm.
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
    effects = EFFECTS.read(element / "effects.parquet")
    found = effects["phi"].to_numpy().reshape(LENGTH, 4)
    assert correlation(found[INSIDE], planted()) > 0.99
    assert np.isnan(np.delete(found, INSIDE, axis=0)).all()


def test_pairs_are_those_within_the_windows_and_the_planted_one_is_first(element):
    pairs = PAIRS.read(element / "pairs.parquet")
    positions = pairs[["position_1", "position_2"]]
    assert np.isin(positions, INSIDE).all()
    assert (positions.head(16) == PAIR).all(axis=None)


def test_contexts_are_noise_of_the_spread_that_they_have(element):
    metrics = SURROGATE_METRICS.read(element / "surrogate_metrics.parquet")
    metrics = metrics.set_index("metric")["value"]
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


# --- motifs embedded in backgrounds -------------------------------------------------------------

DESIGN = FactorialLibrary(
    motifs=[
        Motif("AP1", "TGASTCA", positions=[10], optional=True),
        Motif("GATA", "GATAA", spacings=range(1, 22, 2), orientations="+-", optional=True),
        Motif("CCAAT", "CCAAT", positions=[48], optional=True),
    ],
    length=60,
    n_backgrounds=60,
    seed=SEED,
)
ALONE = {("AP1", "+"): 1.0, ("GATA", "+"): 0.5, ("GATA", "-"): 0.2, ("CCAAT", "+"): -0.4}


def together(spacing):
    """The interaction of AP1 and GATA: a period of about a turn of the helix, and a decay."""
    return 1.2 * np.cos(2 * np.pi * spacing / 10.5) * np.exp(-spacing / 15)


def measured(library: FactorialLibrary, background: float = 1.0) -> np.ndarray:
    """float32[n, 1]: effects of motifs, what a background adds to all of its rows, and noise."""
    design, rng = library.design(), np.random.default_rng(SEED)
    y = sum(effect * (design[f"{name}_strand"] == strand)
            for (name, strand), effect in ALONE.items())  # fmt: skip
    spacing = design["GATA_spacing"].to_numpy()
    y += np.where(spacing >= 0, together(spacing), 0)
    y += background * rng.normal(size=len(library))[design["background"]]
    return (y + rng.normal(0, 0.2, len(y))).to_numpy(np.float32)[:, None]


def fitted(library: FactorialLibrary, y: np.ndarray, folder: Path, *options) -> Path:
    """The results of `geneq surrogate` for a factorial design."""
    Mave(library, None, "dna", y, ["y"]).save(folder / "mave.parquet")
    assert surrogate(folder / "mave.parquet", folder / "out", *options) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def motifs(tmp_path_factory) -> Path:
    return fitted(DESIGN, measured(DESIGN), tmp_path_factory.mktemp("motifs"))


def test_motifs_have_the_effects_that_they_have_alone(motifs):
    levels = LEVELS.read(motifs / "levels.parquet")
    assert len(levels) == 2 + (1 + 22) + 2
    for (motif, strand), effect in ALONE.items():
        found = levels[(levels["motif"] == motif) & (levels["strand"] == strand)]["y"]
        np.testing.assert_allclose(found, effect, atol=0.15)
        assert abs(found.mean() - effect) < 0.06


def test_the_spacing_curve_is_the_planted_one(motifs):
    curves = SPACINGS.read(motifs / "spacings.parquet")
    curve = curves[(curves["motif_1"] == "AP1") & (curves["motif_2"] == "GATA")]
    assert len(curve) == 22
    found, planted = curve["y"] - curve["alone"], together(curve["spacing"])
    assert correlation(found, planted) > 0.98
    np.testing.assert_allclose(found, planted, atol=0.15)
    away = (curve["y"] - curve["measured"]) / curve["se_measured"]
    assert (away.abs() < 3).all()
    assert (motifs / "figures" / "0_spacings.svg").stat().st_size < 100_000


def test_errors_of_a_spacing_curve_are_the_scatter_between_backgrounds():
    """In a design where motifs do more in some backgrounds than in others."""
    y = measured(DESIGN, background=0)
    y *= np.random.default_rng(SEED).normal(1, 0.4, 60)[DESIGN.design()["background"], None]
    mave, factors = Mave(DESIGN, None, "dna", y, ["y"]), Factors.of(DESIGN)
    fit = surrogates.fit(
        factors.arrays(mave),
        surrogates.Pairwise(),
        surrogates.Linear(),
        surrogates.Gaussian(0),
        strength=0,
        replicates=100,
    )
    curves = spacings(factors, fit, mave)
    assert 0.8 < (curves["se_y"] / curves["se_measured"]).median() < 1.25
    interaction = curves["y"] - curves["alone"]
    assert correlation(interaction / fit.slope(fit.outputs[0]), curves["phi"]) > 0.999


def test_motifs_that_do_not_interact_are_not_said_to(motifs):
    pairs = LEVEL_PAIRS.read(motifs / "level_pairs.parquet")
    strongest = pairs.groupby(["motif_1", "motif_2"])["y"].agg(lambda values: values.abs().max())
    assert strongest["AP1", "GATA"] > 0.6
    assert (strongest.drop(("AP1", "GATA")) < 0.2).all()  # 3.5 standard errors


def test_what_a_background_adds_to_all_of_its_rows_leaves_no_effect(motifs, tmp_path):
    plain = fitted(DESIGN, measured(DESIGN, background=0), tmp_path)
    one, other = (LEVELS.read(folder / "levels.parquet")["y"] for folder in (motifs, plain))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_backgrounds_are_held_out_as_a_whole(motifs):
    split = Surrogate.load(motifs).split.reshape(DESIGN.n_backgrounds, -1)
    assert (split == split[:, :1]).all()
    assert np.bincount(split[:, 0]).tolist() == [48, 6, 6]


def test_designs_whose_rows_share_no_background(tmp_path):
    library = replace(DESIGN, paired=False, n_backgrounds=30)
    out = fitted(library, measured(library, background=0.2), tmp_path, "--map", "additive")
    assert not (out / "level_pairs.parquet").exists()
    curves = SPACINGS.read(out / "spacings.parquet")
    np.testing.assert_allclose(curves["y"], curves["alone"])


def test_a_choice_of_sequences_that_are_always_there(tmp_path):
    sequences = {"strong": "TGACTCA", "weak": "TGACGCA"}
    motif = Motif("AP1", sequences, positions=[5, 20], orientations="+-")
    library = FactorialLibrary(motifs=[motif], length=40, seed=SEED)
    design = library.design()
    y = (design["AP1_sequence"] == "strong") + 0.5 * (design["AP1_start"] == 20)
    y = y.to_numpy(np.float32)[:, None]
    out = fitted(library, y, tmp_path, "--gauge", "uniform")
    levels = LEVELS.read(out / "levels.parquet")
    strong, far = levels["sequence"] == "strong", levels["start"] == 20
    np.testing.assert_allclose(levels["y"], strong + 0.5 * far - 0.75, atol=1e-3)
    assert len(SPACINGS.read(out / "spacings.parquet")) == 0


def test_motifs_in_any_order_and_of_many_places():
    """Interactions by spacing are means over places, whichever of the two comes first."""
    motifs = [Motif(name, symbols, positions=range(0, 30, 6), optional=True)
              for name, symbols in (("A", "CACGT"), ("B", "GATA"))]  # fmt: skip
    with pytest.raises(GeneqError, match="must not overlap"):
        FactorialLibrary(motifs=motifs, length=40)
    motifs[1] = replace(motifs[1], positions=[13, 37])
    motifs[0] = replace(motifs[0], positions=[0, 20, 30])
    library = FactorialLibrary(motifs=motifs, length=50, n_backgrounds=20)
    design = library.design()
    y = ((design["B_start"] == 13) & (design["A_start"] >= 0)).to_numpy(np.float32)[:, None]
    mave, factors = Mave(library, None, "dna", y, ["y"]), Factors.of(library)
    fit = surrogates.fit(
        factors.arrays(mave),
        surrogates.Pairwise(),
        surrogates.Linear(),
        surrogates.Gaussian(0),
        strength=0,
    )
    found = spacings(factors, fit, mave).set_index(["motif_1", "motif_2", "spacing"])
    planted = {("A", "B", 8): 1, ("B", "A", 3): 1, ("B", "A", 13): 1, ("A", "B", 32): 0,
               ("A", "B", 12): 0, ("A", "B", 2): 0}  # fmt: skip
    assert found["measured"].to_dict() == pytest.approx(planted)
    assert (found["y"] - found["alone"]).to_dict() == pytest.approx(planted, abs=0.05)


def test_motifs_of_too_many_levels_are_refused():
    motif = Motif("A", "ACGT", positions=range(150), orientations="+-")
    library = FactorialLibrary(motifs=[motif], length=200, n_backgrounds=2)
    with pytest.raises(GeneqError, match="2 to 254 levels: 300"):
        Factors.of(library)


# --- on the page of a run -----------------------------------------------------------------------


def test_global_experiments_have_their_place_on_the_page_of_loci(element, motifs, tmp_path):
    for name, folder in (("element", element), ("motifs", motifs)):
        (tmp_path / "surrogates").mkdir(exist_ok=True)
        (tmp_path / "surrogates" / name).symlink_to(folder)
    words = ("--surrogates", tmp_path / "surrogates", "--out", tmp_path / "page")
    assert cli.main(["loci_report", *map(str, words), "--threads", "1"]) == 0
    page = Page(tmp_path / "page" / "loci.html")
    assert [a["id"] for tag, a in page.tags if tag == "article"] == [
        "locus-element", "locus-motifs",
    ]  # fmt: skip
    labels = [a.get("aria-label", "") for tag, a in page.tags if tag == "svg"]
    assert sum(label.startswith("Effects of the symbols of element") for label in labels) == 1
    assert sum("against the latent phenotype" in label for label in labels) == 2
    assert "AP1 AP1 + 1.0" in page.text
    table = page.text[page.text.index("Pairs of motifs whose joint effect") :]
    assert "first second symbols between joint effect sum of effects AP1 + GATA" in table
