"""`geneq surrogate`: from scores to tables and figures that show what was planted."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from geneq import cli, encoding
from geneq.artifacts import ATTRIBUTION_AGREEMENT, ATTRIBUTIONS, EFFECTS, LATENT, PAIRS
from geneq.errors import GeneqError
from geneq.libraries import FactorialLibrary, Motif, RandomLibrary
from geneq.mave import Mave
from geneq.surrogates import Settings, StudentT, Surrogate, tables
from geneq.surrogates.epistasis import Element
from geneq.surrogates.fit import TEST
from geneq.surrogates.tables import TABLES

LENGTH, ROWS, SEED = 24, 3000, 11
WILD_TYPE = "".join(np.random.default_rng(SEED).choice(list("ACGT"), LENGTH))
LIBRARY = RandomLibrary(WILD_TYPE, n=ROWS, rate=0.15, seed=SEED)
# Symbols other than the wild type's at these positions, and a pair, change the score.
SITES, PAIR = (5, 6, 7), (5, 16)


def latent() -> np.ndarray:
    changed = LIBRARY.tokens() != encoding.tokens(WILD_TYPE)
    return changed[:, SITES].sum(1) - 2.0 * changed[:, PAIR].all(1)


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Path:
    """Scores of two targets: of the latent phenotype through a sigmoid, and noise."""
    rng = np.random.default_rng(SEED)
    y = np.stack([1 / (1 + np.exp(3 * latent() - 3)), rng.normal(size=ROWS)], axis=1)
    y[:, 0] += rng.normal(0, 0.03, ROWS)
    path = tmp_path_factory.mktemp("mave") / "mave.parquet"
    Mave(LIBRARY, None, "dna", y.astype(np.float32), ["a/b c", "noise"]).save(path)
    return path


def surrogate(mave: Path, out: Path, *options) -> int:
    arguments = ["--mave", str(mave), "--out", str(out), "--threads", "1", *map(str, options)]
    return cli.main(["surrogate", *arguments])


def test_tables_and_figures_show_what_was_planted(scored, tmp_path):
    assert surrogate(scored, tmp_path, "--map", "pairwise", "--gauge", "wild_type") == 0
    effects = EFFECTS.read(tmp_path / "effects.parquet")
    assert len(effects) == 2 * LENGTH * 4
    assert effects["target"].unique().tolist() == ["a/b c", "noise"]
    strength = strongest(effects[effects["target"] == "a/b c"], "phi")
    assert set(strength.nlargest(3).index) == set(SITES)
    own = effects[effects["wild"] == effects["symbol"]]
    assert (own[["phi", "y"]] == 0).all(axis=None)
    pairs = PAIRS.read(tmp_path / "pairs.parquet")
    first = pairs[pairs["target"] == "a/b c"].head(9)  # three symbols at either position
    assert (first[["position_1", "position_2"]] == PAIR).all(axis=None)
    assert (first["phi"].abs() > 5 * first["se_phi"]).all() and (first["se_phi"] > 0).all()
    assert (effects[["se_phi", "se_y"]] >= 0).all(axis=None)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{number}_{what}.svg"
        for number in (0, 1)
        for what in ("logo", "pairs", "latent", "agreement")
    }
    loaded = Surrogate.load(tmp_path)
    y = Mave.load(scored).y[:, 0]
    assert np.corrcoef(loaded.predict(LIBRARY.tokens())[:, 0], y)[0, 1] > 0.98


def strongest(effects: pd.DataFrame, units: str) -> pd.Series:
    """By position, the largest effect without its sign."""
    return effects.groupby("position")[units].agg(lambda values: values.abs().max())


def test_a_user_supplied_table(tmp_path):
    rng = np.random.default_rng(SEED)
    table = pd.DataFrame({
        "sequence": encoding.strings(LIBRARY.tokens()),
        "y": latent() + rng.normal(0, 0.2, ROWS), "sigma": 0.2, "who": "me",
    })  # fmt: skip
    table.to_csv(tmp_path / "my.tsv.gz", sep="\t", index=False)
    options = ["--noise", "empirical", "--wild_type", WILD_TYPE, "--nonlinearity", "linear"]
    assert surrogate(tmp_path / "my.tsv.gz", tmp_path / "out", *options) == 0
    effects = EFFECTS.read(tmp_path / "out" / "effects.parquet")
    strength = effects.groupby("position")["y"].agg(np.ptp)
    assert set(strength.nlargest(3).index) == set(SITES)


def test_standard_errors_are_missing_where_none_are_asked_for(scored, tmp_path):
    assert surrogate(scored, tmp_path, "--replicates", 0, "--map", "neighbour") == 0
    for table in (EFFECTS, PAIRS):
        found = table.read(tmp_path / f"{table.name}.parquet")
        assert len(found) and found[["se_phi", "se_y"]].isna().all(axis=None)


@pytest.mark.parametrize("settings", [
    Settings(replicates=5),
    Settings(map="pairwise", window=(3, 20), noise="gaussian", seed=3, replicates=0),
], ids=["default", "pairwise"])  # fmt: skip
def test_every_table_is_had_from_one_call(scored, tmp_path, settings):
    """The same values as in the files, also after they are read again."""
    options = ["--replicates", settings.replicates, "--seed", settings.seed]
    elements = []
    if settings.map:
        options += ["--map", settings.map, "--window", "3-20", "--noise", settings.noise,
                    "--elements", "a:4-8,b:14-18"]  # fmt: skip
        elements = [Element("a", 4, 8), Element("b", 14, 18)]
    assert surrogate(scored, tmp_path, *options) == 0
    mave = Mave.load(scored)
    found = tables(settings.fit(mave), mave, elements=elements)
    assert {f"{name}.parquet" for name in found} == {
        path.name for path in tmp_path.glob("*.parquet")
    }
    for name, table in found.items():
        written = TABLES[name].read(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(table, written, check_exact=True, check_dtype=False)
        assert list(written.columns) == list(TABLES[name].columns)


def test_every_table_of_a_factorial_design_is_had_from_one_call(tmp_path):
    motifs = [Motif("A", "TGACTCA", positions=[3], optional=True),
              Motif("B", "GATAA", spacings=[2, 5], orientations="+-", optional=True)]  # fmt: skip
    library = FactorialLibrary(motifs=motifs, length=30, n_backgrounds=30, seed=SEED)
    design = library.design()
    y = (design["A_start"] >= 0) + (design["B_strand"] == "+") * 0.5
    y = (y + np.random.default_rng(SEED).normal(0, 0.1, len(y))).to_numpy(np.float32)
    mave = Mave(library, None, "dna", np.stack([y, 2 * y], axis=1), ["y", "twice"])
    mave.save(tmp_path / "mave.parquet")
    out = tmp_path / "out"
    assert surrogate(tmp_path / "mave.parquet", out, "--replicates", 5) == 0
    found = tables(Settings(replicates=5).fit(mave), mave)
    assert set(found) == {"levels", "level_pairs", "spacings", "surrogate_metrics", "latent"}
    for name, table in found.items():
        written = TABLES[name].read(out / f"{name}.parquet")
        pd.testing.assert_frame_equal(table, written, check_exact=True, check_dtype=False)
        assert table["target"].unique().tolist() == ["y", "twice"]
    one, other = (part["y"].to_numpy() for _, part in found["spacings"].groupby("target"))
    np.testing.assert_allclose(one, 2 * other, rtol=1e-4)  # "twice" is first
    with pytest.raises(GeneqError, match="not of a factorial design"):
        tables(Settings(replicates=0).fit(mave), mave, elements=[Element("a", 1, 5)])
    with pytest.raises(GeneqError, match=r"The MAVE must have the targets .*: 'y, not y, twice'"):
        tables(Settings(replicates=0).fit(mave), mave.of_targets(["y"]))


def test_one_replicate_is_refused_for_it_has_no_scatter(scored, tmp_path, capsys):
    assert surrogate(scored, tmp_path / "out", "--replicates", 1) == 1
    assert "Standard errors need at least two replicates: 1." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_latent_has_the_scores_of_test_rows(scored, tmp_path):
    assert surrogate(scored, tmp_path, "--replicates", 0) == 0
    latent, mave = LATENT.read(tmp_path / "latent.parquet"), Mave.load(scored)
    loaded = Surrogate.load(tmp_path)
    assert len(latent) == 2 * (loaded.split == TEST).sum() == 2 * ROWS / 10
    for number, (target, rows) in enumerate(latent.groupby("target", sort=False)):
        assert target == mave.targets[number]
        np.testing.assert_array_equal(rows["y"], mave.y[rows["row"], number])
        phi = loaded.phi(LIBRARY.tokens())[rows["row"], number]
        np.testing.assert_allclose(rows["phi"], phi, rtol=1e-5, atol=1e-6)


def test_tables_and_figures_of_an_earlier_fit_do_not_remain(scored, tmp_path):
    options = ("--replicates", 0, "--map", "pairwise", "--elements", "a:4-8,b:14-18")
    assert surrogate(scored, tmp_path, *options) == 0
    assert (tmp_path / "elements.parquet").exists()
    (tmp_path / "notes.txt").write_text("mine")
    assert surrogate(scored, tmp_path, "--replicates", 0) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        *("surrogate.npz", "surrogate.json", "figures", "notes.txt"),
        *("effects.parquet", "surrogate_metrics.parquet", "latent.parquet"),
    }
    assert not [*(tmp_path / "figures").glob("*_pairs.svg")]


def test_a_target_named_twice_is_fitted_once(scored, tmp_path):
    assert surrogate(scored, tmp_path, "--target", "noise", "noise", "--replicates", 0) == 0
    assert Surrogate.load(tmp_path).targets == ["noise"]


def test_figures_are_files_that_need_no_other(scored, tmp_path):
    assert surrogate(scored, tmp_path, "--target", "a/b c", "--replicates", 0) == 0
    for path in (tmp_path / "figures").iterdir():
        root = ElementTree.parse(path).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        text = path.read_text()
        assert "var(" not in text and "<script" not in text and "@import" not in text
        references = re.findall(r'href="(.)', text)
        assert set(references) <= {"#"}
        assert "a/b c" in text


def test_a_table_in_another_form_is_refused_with_its_name(scored, tmp_path):
    """Such as those with a column for each target, which geneq once wrote."""
    path = tmp_path / "effects.parquet"
    pd.DataFrame({"position": [0], "symbol": ["A"], "phi:y": [1.0]}).to_parquet(path)
    with pytest.raises(GeneqError, match=r"'effects' lacks columns: 'target, .*effects\.parq"):
        EFFECTS.read(path)
    assert surrogate(scored, tmp_path / "out", "--replicates", 0) == 0
    with pytest.raises(GeneqError, match="Not a table of effects written by geneq"):
        EFFECTS.read(tmp_path / "out" / "latent.parquet")


def test_a_measured_protein_with_stops_and_errors(tmp_path):
    rng = np.random.default_rng(SEED)
    symbols = "symbols:ACDEFGHIKLMNPQRSTVWY*"
    library = RandomLibrary("MKTAYIAKQR", n=2500, rate=0.15, alphabet=symbols, seed=SEED)
    sequences = encoding.strings(library.tokens(), symbols)
    sigma = rng.uniform(0.1, 0.3, 2500)
    y = [-2.0 * ("*" in sequence) + (sequence[3] == "W") for sequence in sequences]
    table = pd.DataFrame({"sequence": sequences, "y": y + sigma * rng.normal(size=2500)})
    table.assign(sigma=sigma).to_csv(tmp_path / "my.csv", index=False)
    options = ("--alphabet", symbols, "--noise", "empirical", "--gauge", "wild_type")
    assert surrogate(tmp_path / "my.csv", tmp_path / "out", *options) == 0
    effects = EFFECTS.read(tmp_path / "out" / "effects.parquet")
    stops = effects[effects["symbol"] == "*"]
    assert len(stops) == 10 and (stops["y"] < -4 * stops["se_y"]).all()
    assert effects.loc[effects["phi"].idxmax(), ["position", "symbol"]].tolist() == [3, "W"]


def test_targets_are_chosen(scored, tmp_path):
    tails = ("--noise", "student_t", "--noise_order", 1, "--noise_shape_order", 2)
    assert surrogate(scored, tmp_path, "--target", "noise", *tails) == 0
    found = Surrogate.load(tmp_path)
    assert found.targets == ["noise"] and found.noise == StudentT(1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "dev"], "no such target: 'dev'. It has a/b c, noise"),
        (["--window", "2-9"], "The map additive does not take these options: 'window'"),
        (["--map", "pairwise", "--window", "2-90"], "within the 24 symbols"),
        (["--map", "pairwise", "--between", "2-9,5-12"], "must not overlap"),
        (["--noise", "empirical"], "Empirical noise needs sigma"),
        (
            ["--noise", "gaussian", "--noise_shape_order", "1"],
            "The noise model gaussian has no shape parameters",
        ),
        (["--strength", "-1"], "strength must be at least 0"),
        (["--noise_order", "-1"], "The order of noise must be between 0"),
        (["--seed", "-1"], "seed must be between 0"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    scored, tmp_path, capsys, options, message
):
    assert surrogate(scored, tmp_path / "out", *options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_custom_gauge(scored, tmp_path, capsys):
    """Probabilities of the wild type's symbols alone are the wild-type gauge."""
    table = pd.DataFrame(np.eye(4)[encoding.tokens(WILD_TYPE)[0]], columns=list("TGCA")[::-1])
    table.to_csv(tmp_path / "own.csv", index=False)
    own = ("--probabilities", tmp_path / "own.csv", "--replicates", 0)
    assert surrogate(scored, tmp_path / "own", *own) == 0
    assert surrogate(scored, tmp_path / "wild", "--gauge", "wild_type", "--replicates", 0) == 0
    found, wanted = (EFFECTS.read(tmp_path / name / "effects.parquet") for name in ("own", "wild"))
    pd.testing.assert_frame_equal(found, wanted)
    for wrong, message in [
        (table * 0.9, "add up to 1 at every position: '["),
        (table.iloc[1:], "must be of shape (24, 4): '(23, 4)' (in"),
        (table.drop(columns="G"), "lacks columns: 'G' (in"),
        (table.replace(1.0, "one"), "must be at least 0"),
    ]:
        wrong.to_csv(tmp_path / "own.csv", index=False)
        assert surrogate(scored, tmp_path / "out", *own) == 1
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_pairs_between_windows_have_two_of_them(scored, tmp_path, capsys):
    with pytest.raises(SystemExit):
        surrogate(scored, tmp_path, "--map", "pairwise", "--between", "2-9")
    assert "argument --between: two windows are START-END,START-END" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["5", "a-b", "1-2-3"])
def test_a_window_is_written_as_start_and_end(scored, tmp_path, capsys, text):
    with pytest.raises(SystemExit):
        surrogate(scored, tmp_path, "--map", "pairwise", "--window", text)
    assert "argument --window: a window is START-END" in capsys.readouterr().err


def test_a_truncated_file_is_refused(scored, tmp_path, capsys):
    (tmp_path / "mave.parquet").write_bytes(scored.read_bytes()[:-200])
    assert surrogate(tmp_path / "mave.parquet", tmp_path / "out") == 1
    assert "Truncated or damaged parquet file" in capsys.readouterr().err


def test_a_custom_gauge_needs_a_mutated_sequence(tmp_path, capsys):
    library = FactorialLibrary(motifs=[Motif("A", "TGA", optional=True)], length=20, seed=SEED)
    y = np.random.default_rng(SEED).normal(size=(len(library), 1)).astype(np.float32)
    Mave(library, None, "dna", y, ["y"]).save(tmp_path / "mave.parquet")
    table = pd.DataFrame(np.full((20, 4), 0.25), columns=list("ACGT"))
    table.to_csv(tmp_path / "p.csv", index=False)
    options = ("--probabilities", tmp_path / "p.csv")
    assert surrogate(tmp_path / "mave.parquet", tmp_path / "out", *options) == 1
    assert "--probabilities needs a mutated sequence. Use --gauge" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(map="magic"), "Unknown map: 'magic'. There are: additive, neighbour"),
        (Settings(noise="magic"), "Unknown noise model: 'magic'"),
        (Settings(nonlinearity="magic"), "Unknown nonlinearity: 'magic'"),
        (Settings(distance=3), "The map additive does not take these options: 'distance'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(scored, settings, message):
    with pytest.raises(GeneqError, match=re.escape(message)):
        settings.fit(Mave.load(scored))


@pytest.mark.parametrize("table", [*TABLES.values(), ATTRIBUTIONS, ATTRIBUTION_AGREEMENT],
                         ids=lambda table: table.name)  # fmt: skip
def test_the_documentation_has_every_column_of_a_table_in_its_order(table):
    page = (Path(__file__).parents[1] / "docs" / "surrogates.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{table.name}.parquet` |"))
    columns = row.split(" | ")[2]
    assert columns.startswith("target, ")
    found = re.sub(r" ?\([^)]*\)", "", columns.split(":")[0].split(";")[0])
    assert [name.strip(" |") for name in found.split(",")] == list(table.columns)
