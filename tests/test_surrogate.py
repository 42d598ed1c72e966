"""`geneq surrogate`: from scores to tables and figures that show what was planted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq import cli, encoding
from geneq.libraries import RandomLibrary
from geneq.mave import Mave
from geneq.surrogates import StudentT, Surrogate

LENGTH, ROWS, SEED = 24, 3000, 11
WILD_TYPE = "".join(np.random.default_rng(SEED).choice(list("ACGT"), LENGTH))
LIBRARY = RandomLibrary(WILD_TYPE, n=ROWS, rate=0.15, seed=SEED)
# Symbols from the wild type's at these positions, and a pair, drive the score.
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
    effects = pd.read_parquet(tmp_path / "effects.parquet")
    assert len(effects) == LENGTH * 4
    strength = effects.groupby("position")["phi:a/b c"].agg(lambda values: values.abs().max())
    assert set(strength.nlargest(3).index) == set(SITES)
    own = effects[effects["wild"] == effects["symbol"]]
    assert (own[["phi:a/b c", "y:noise"]] == 0).all(axis=None)
    pairs = pd.read_parquet(tmp_path / "pairs.parquet")
    first = pairs[pairs["target"] == "a/b c"].head(9)  # three symbols at either position
    assert (first[["position_1", "position_2"]] == PAIR).all(axis=None)
    assert (first["phi"].abs() > 5 * first["se_phi"]).all() and (first["se_phi"] > 0).all()
    assert (effects[["se_phi:a/b c", "se_y:noise"]] >= 0).all(axis=None)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{number}_{what}.svg"
        for number in (0, 1)
        for what in ("logo", "pairs", "latent", "agreement")
    }
    loaded = Surrogate.load(tmp_path)
    y = Mave.load(scored).y[:, 0]
    assert np.corrcoef(loaded.predict(LIBRARY.tokens())[:, 0], y)[0, 1] > 0.98


def test_a_table_of_ones_own(tmp_path):
    rng = np.random.default_rng(SEED)
    table = pd.DataFrame({
        "sequence": encoding.strings(LIBRARY.tokens()),
        "y": latent() + rng.normal(0, 0.2, ROWS), "sigma": 0.2, "who": "me",
    })  # fmt: skip
    table.to_csv(tmp_path / "my.tsv.gz", sep="\t", index=False)
    options = ["--noise", "empirical", "--wild_type", WILD_TYPE, "--nonlinearity", "linear"]
    assert surrogate(tmp_path / "my.tsv.gz", tmp_path / "out", *options) == 0
    effects = pd.read_parquet(tmp_path / "out" / "effects.parquet")
    strength = effects.groupby("position")["y:y"].agg(np.ptp)
    assert set(strength.nlargest(3).index) == set(SITES)


def test_errors_are_left_out_where_none_are_asked_for(scored, tmp_path):
    assert surrogate(scored, tmp_path, "--replicates", 0, "--map", "neighbour") == 0
    for table in ("effects", "pairs"):
        columns = pd.read_parquet(tmp_path / f"{table}.parquet").columns
        assert not columns.str.startswith("se_").any()


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
    effects = pd.read_parquet(tmp_path / "out" / "effects.parquet")
    stops = effects[effects["symbol"] == "*"]
    assert len(stops) == 10 and (stops["y:y"] < -4 * stops["se_y:y"]).all()
    assert effects.loc[effects["phi:y"].idxmax(), ["position", "symbol"]].tolist() == [3, "W"]


def test_targets_are_chosen(scored, tmp_path):
    tails = ("--noise", "student_t", "--noise_order", 1, "--noise_shape_order", 2)
    assert surrogate(scored, tmp_path, "--target", "noise", *tails) == 0
    found = Surrogate.load(tmp_path)
    assert found.targets == ["noise"] and found.noise == StudentT(1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "dev"], "no such target: 'dev'. It has a/b c, noise"),
        (["--window", "2-9"], "--map additive has no such options: '--window'"),
        (["--map", "pairwise", "--window", "2-90"], "must be within the 24 symbols"),
        (["--map", "pairwise", "--between", "2-9,5-12"], "must not overlap"),
        (["--noise", "empirical"], "Empirical noise needs sigma"),
        (["--noise", "gaussian", "--noise_shape_order", "1"], "--noise gaussian has no shape"),
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


def test_a_gauge_of_ones_own(scored, tmp_path, capsys):
    """Probabilities of the wild type's symbols alone are the wild-type gauge."""
    table = pd.DataFrame(np.eye(4)[encoding.tokens(WILD_TYPE)[0]], columns=list("TGCA")[::-1])
    table.to_csv(tmp_path / "own.csv", index=False)
    own = ("--probabilities", tmp_path / "own.csv", "--replicates", 0)
    assert surrogate(scored, tmp_path / "own", *own) == 0
    assert surrogate(scored, tmp_path / "wild", "--gauge", "wild_type", "--replicates", 0) == 0
    found, wanted = (
        pd.read_parquet(tmp_path / name / "effects.parquet") for name in ("own", "wild")
    )
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


def test_a_file_cut_off_is_refused(scored, tmp_path, capsys):
    (tmp_path / "mave.parquet").write_bytes(scored.read_bytes()[:-200])
    assert surrogate(tmp_path / "mave.parquet", tmp_path / "out") == 1
    assert "Not a whole parquet file" in capsys.readouterr().err
