"""Elements that were planted to interact are found to, and others are not."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq import cli, surrogates
from geneq.artifacts import ELEMENTS as ELEMENTS_TABLE
from geneq.artifacts import PAIRS
from geneq.errors import GeneqError
from geneq.libraries import RandomLibrary
from geneq.mave import Mave
from geneq.surrogates import epistasis
from geneq.surrogates.epistasis import Element

SEED, LENGTH, ROWS = 3, 80, 20_000
SITES = {"AP1": "TGACTCA", "GATA": "AGATAAG", "DRE": "TATCGAT", "ETS": "CCGGAAG"}
PLACES = dict(zip(SITES, (8, 26, 44, 62), strict=True))
ELEMENTS = [Element(name, at, at + 7) for name, at in PLACES.items()]
NAMED = ",".join(f"{element.name}:{element.start}-{element.end}" for element in ELEMENTS)


def wild_type() -> str:
    symbols = np.random.default_rng(SEED).choice(list("ACGT"), LENGTH)
    for name, site in SITES.items():
        symbols[PLACES[name] : PLACES[name] + 7] = list(site)
    return "".join(symbols)


LIBRARY = RandomLibrary(wild_type(), n=ROWS, rate=0.1, seed=SEED)


def matches() -> dict[str, np.ndarray]:
    """How much of each site is left, float64[rows], from 1 for all of it."""
    mutated = LIBRARY.tokens() != LIBRARY.tokens(0, 1)
    return {name: 1 - mutated[:, at : at + 7].sum(axis=1) / 7 for name, at in PLACES.items()}


def scored(interaction: float) -> Mave:
    """AP1 and GATA help each other as strongly as said, the other pairs do not; behind a curve."""
    left = matches()
    latent = left["AP1"] + left["GATA"] + left["DRE"] - left["ETS"] - 1
    latent += interaction * (left["AP1"] - 0.9) * (left["GATA"] - 0.9)
    y = np.tanh(latent) + np.random.default_rng(SEED).normal(0, 0.02, ROWS)
    return Mave(LIBRARY, None, "dna", y[:, None].astype(np.float32), ["y"])


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """The results of `geneq surrogate` between the elements."""
    folder = tmp_path_factory.mktemp("elements")
    scored(4).save(folder / "mave.parquet")
    assert surrogate(folder, "--map", "pairwise", "--elements", NAMED) == 0
    return folder / "out"


def surrogate(folder: Path, *options) -> int:
    arguments = ["--mave", str(folder / "mave.parquet"), "--out", str(folder / "out")]
    return cli.main(["surrogate", "--threads", "1", *arguments, *map(str, options)])


def test_elements_that_interact_are_found_and_no_others(results):
    table = ELEMENTS_TABLE.read(results / "elements.parquet")
    assert len(table) == 10  # four elements, each with each and with itself
    first, others = table.iloc[0], table.iloc[1:]
    assert (first["element_1"], first["element_2"], first["pairs"]) == ("AP1", "GATA", 49)
    assert first["phi"] > 10 * first["se_phi"]
    assert (others["phi"].abs() < 0.02 * first["phi"]).all()
    assert (others["variance"] < 0.01 * first["variance"]).all()


def test_the_strongest_pairs_of_positions_lie_in_them(results):
    strongest = PAIRS.read(results / "pairs.parquet").head(100)
    for position, name in (("position_1", "AP1"), ("position_2", "GATA")):
        assert strongest[position].between(PLACES[name], PLACES[name] + 6).all()


def test_where_nothing_interacts_nothing_is_said_to():
    fit = surrogates.fit(scored(0), surrogates.Pairwise())
    table = epistasis.element_pairs(fit, ELEMENTS)
    assert (table["phi"].abs() < 0.05).all()
    assert (table["variance"] < 1e-4).all()


def test_pairs_between_two_windows_alone(tmp_path):
    scored(4).save(tmp_path / "mave.parquet")
    between = f"{PLACES['AP1']}-{PLACES['AP1'] + 7},{PLACES['GATA']}-{PLACES['GATA'] + 7}"
    elements = tmp_path / "elements.tsv"
    rows = [f"{element.name}\t{element.start}\t{element.end}" for element in ELEMENTS]
    elements.write_text("\n".join(["name\tstart\tend", *rows]))
    options = ("--map", "pairwise", "--between", between, "--elements", elements)
    assert surrogate(tmp_path, *options) == 0
    table = ELEMENTS_TABLE.read(tmp_path / "out" / "elements.parquet")
    assert table["pairs"].tolist() == [49] + 9 * [0]
    assert table["phi"][0] > 5
    for name in ("between", "elements"):
        assert (tmp_path / "out" / "figures" / f"0_{name}.svg").stat().st_size < 100_000


def test_a_sum_is_what_replacing_elements_by_random_symbols_gives():
    """Between two elements of two symbols: over all that either may be, exactly."""
    library = RandomLibrary("ACGTAC", n=3000, rate=0.4, seed=SEED)
    tokens = library.tokens()
    y = (tokens[:, 0] == tokens[:, 4]) + 0.3 * (tokens[:, 1] == 2) * (tokens[:, 5] == 3)
    y = y + np.random.default_rng(SEED).normal(0, 0.1, len(y))
    data = surrogates.Arrays(tokens[0], library.mutations(), y)
    fit = surrogates.fit(data, surrogates.Pairwise(), surrogates.Linear(), surrogates.Gaussian(0))
    table = epistasis.element_pairs(fit, [Element("a", 0, 2), Element("b", 4, 6)])
    found = table.set_index(["element_1", "element_2"])["phi"]["a", "b"]
    symbols = np.array(list(product(range(4), repeat=4)), np.uint8)
    everything = np.repeat(tokens[:1], len(symbols), axis=0)
    everything[:, [0, 1, 4, 5]] = symbols
    values = fit.phi(everything)[:, 0].reshape(16, 16)
    wild = values[0 * 4 + 1, 0 * 4 + 1]
    expected = wild - values[:, 1].mean() - values[1].mean() + values.mean()
    assert found == pytest.approx(expected)
    assert epistasis.interactions(fit)[np.ix_((0, 1), (4, 5))].sum() == pytest.approx(expected)


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".csv.gz", ".parquet"])
def test_elements_are_read_from_any_table_of_ones_own(tmp_path, suffix):
    table, path = pd.DataFrame(ELEMENTS), tmp_path / f"elements{suffix}"
    if suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    assert epistasis.read_elements(str(path)) == ELEMENTS


def test_a_table_without_places_is_refused_by_its_name(tmp_path):
    (tmp_path / "x.csv").write_text("name,start,end\na,1,\n")
    with pytest.raises(GeneqError, match=r"has the columns name, start and end .*x\.csv"):
        epistasis.read_elements(str(tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--elements", "a:1-5"], "needs a map with pairs"),
        (["--map", "pairwise", "--elements", "a:1-5,b:4-9"], "must not overlap: 'a and b'"),
        (["--map", "pairwise", "--elements", "a:1-5,a:6-9"], "must have different names"),
        (["--map", "pairwise", "--elements", "a:1-500"], "must be within the 80 symbols"),
        (["--map", "pairwise", "--elements", "a-5"], "Elements are NAME:START-END"),
        (["--map", "pairwise", "--elements", "no.tsv"], "no.tsv"),
    ],
)
def test_elements_that_make_no_sense_are_refused(tmp_path, capsys, options, message):
    scored(0).save(tmp_path / "mave.parquet")
    assert surrogate(tmp_path, *options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
