"""The page of loci: what a reader finds in it, and that it is one safe, whole, light file."""

import re

import numpy as np
import pandas as pd
import pytest

from geneq import encoding
from geneq.artifacts import AGREEMENT
from geneq.artifacts import VARIANTS as TABLE
from geneq.cli import main
from geneq.libraries import RandomLibrary
from geneq.locus import Experiment, Failure, Locus, read_failed, write_failed
from geneq.mave import Mave
from geneq.plots.logo import COLUMN, LEFT
from geneq.stages.loci_report import strongest_symbol
from test_report import Page

SEED, LENGTH, ROWS = 3, 24, 3000
WILD = "".join(np.random.default_rng(SEED).choice(list("ACGT"), LENGTH))
# Positions that drive the score, and a pair of them.
SITES, PAIR = (5, 6, 7), (5, 16)
PLACE = Locus("pair", "chr1", 1000, 1000 + LENGTH, "motifs:core", strand="-", map="pairwise")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Surrogates of a locus with pairs and of an experiment, two targets each."""
    root = tmp_path_factory.mktemp("loci")
    library = RandomLibrary(WILD, n=ROWS, rate=0.15, seed=SEED)
    changed = library.tokens() != encoding.tokens(WILD)
    phi = changed[:, SITES].sum(1) - 2.0 * changed[:, PAIR].all(1)
    rng = np.random.default_rng(SEED)
    y = np.stack([1 / (1 + np.exp(3 * phi - 3)), rng.normal(size=ROWS)], axis=1)
    y[:, 0] += rng.normal(0, 0.03, ROWS)
    mave = Mave(library, None, "dna", y.astype(np.float32), ["a <b>", "noise"])
    for name in ("pair", "x.1"):
        mave.save(root / "score" / name / "mave.parquet")
    PLACE.save(root / "score" / "pair")
    Experiment("x.1", "r.json", "sei:w", reduce="max", precision="bfloat16").save(
        root / "score" / "x.1"
    )
    words = ("--scores", root / "score", "--noise", "gaussian", "--out", root / "surrogate")
    assert main(["surrogate", *map(str, words), "--threads", "1"]) == 0
    return root / "surrogate"


def variants(folder, first: int, end: int):
    """What `geneq variants` writes, of a locus and of another."""
    rows = [
        ("pair", "chr1", 1001 + i, f"rs<{i}>", "A", "C", "a <b>", method, effect, error, note)
        for i in range(first, end)
        for method, effect, error, note in (
            ("surrogate", i / 100, 0.01, ""),
            ("oracle", np.nan if i % 2 else 0.5, np.nan, "not scored" if i % 2 else ""),
            ("gradient", np.nan, np.nan, "no module"),
        )
    ]
    rows.append(("other", "chr2", 5 + first, ".", "A", "C", "a <b>", "oracle", 9.0, np.nan, ""))
    TABLE.write(pd.DataFrame(rows, columns=[*TABLE.columns]), folder / "variants.parquet")
    return folder


@pytest.fixture(scope="module")
def page(fitted, tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    write_failed([Failure("lost", "score", "It's <gone>.")], root / "failed.tsv")
    words = ("--surrogates", fitted, "--variants", variants(root / "v", 0, 30))
    words += ("--failed", root / "failed.tsv", "--out", root / "out")
    assert main(["loci_report", *map(str, words), "--threads", "1"]) == 0
    return Page(root / "out" / "loci.html")


def test_every_locus_is_there_with_its_figures(page):
    assert page.text.count("2 loci") >= 1
    articles = [a["id"] for tag, a in page.tags if tag == "article"]
    assert articles == ["locus-pair", "locus-x.1"]
    labels = [a.get("aria-label", "") for tag, a in page.tags if tag == "svg"]
    assert sum(label.startswith("Effects of the symbols of") for label in labels) == 4
    assert sum("against the latent phenotype" in label for label in labels) == 4
    assert labels.count("Pairs of positions that interact in a <b>") == 1
    assert "chr1:1,000-1,024 (-), motifs:core, pairwise, 3,000 rows" in page.text
    assert "Positions along the - strand" in page.text


def test_symbols_of_the_planted_sites_are_the_tall_ones(page):
    logo = re.search(r"Effects of the symbols of pair on a &lt;b&gt;.*?</svg>", page.source).group()
    found = re.findall(r"glyph-(.)\" transform=\"matrix\(\d+ 0 0 (-?[\d.]+) (\d+) ", logo)
    heights = {(int(x) - LEFT) // COLUMN: (symbol, -float(tall)) for symbol, tall, x in found}
    tallest = sorted(heights, key=lambda column: -heights[column][1])
    assert {*SITES} <= {*tallest[:4]}
    assert all(heights[site][0] == WILD[site] for site in SITES)
    assert 'id="glyph-' in page.source


def test_the_strongest_pair_is_the_planted_one(page):
    table = page.text[page.text.index("largest interactions of two symbols") :]
    assert re.search(rf"interaction . {PAIR[0]} . {PAIR[1]} ", table)


def test_an_experiment_says_how_it_was_scored(page):
    assert "sei:w, profiles reduced by max, bfloat16, additive, 3,000 rows" in page.text


def test_agreement_with_measured_effects_stands_at_its_locus(fitted, tmp_path):
    row = ("pair", "a <b>", "surrogate", 12, 0.812, 0.61, 0.93, 0.745, 9, 0.8, 0.6, 0.9, 0.7)
    parts = {"a": [row], "b": [("gone", *row[1:])], "none": []}
    for i, (name, rows) in enumerate(parts.items()):
        table = pd.DataFrame(rows, columns=[*AGREEMENT.columns]).astype(AGREEMENT.columns)
        AGREEMENT.write(table, variants(tmp_path / name, i, i + 1) / "agreement.parquet")
    words = ["--surrogates", fitted, "--out", tmp_path / "out", "--variants"]
    assert main(["loci_report", *map(str, [*words, tmp_path / "a", tmp_path / "b"])]) == 0
    page = Page(tmp_path / "out" / "loci.html")
    assert "surrogate a <b> 12 0.812 0.610 to 0.930 0.745" in page.text
    assert page.text.count("Agreement with measured effects") == 1
    assert len(AGREEMENT.read(tmp_path / "out" / "agreement.parquet")) == 2
    assert main(["loci_report", *map(str, [*words, tmp_path / "none"])]) == 0
    assert "no agreement can be computed" in Page(tmp_path / "out" / "loci.html").text


def test_variants_stand_at_their_locus_largest_first(page, fitted):
    assert page.text.count("rs<") == 20
    assert "10 more are in loci/variants.parquet" in page.text
    assert page.text.index("rs<28>") < page.text.index("rs<29>") < page.text.index("rs<27>")
    assert "0.290 ± 0.010" in page.text
    assert "not scored" in page.text
    # A method that says nothing has no column.
    assert "no module" not in page.text
    assert "chr2:5" not in page.text


def test_what_failed_is_said(page, tmp_path):
    assert "Failed loci" in page.text
    assert "lost score It's <gone>." in page.text


def test_the_page_loads_nothing_and_is_light(page):
    assert "default-src 'none'" in page.source
    assert all(link.startswith("#") for link in page.links)
    assert len(page.source) < 120_000


def test_tables_of_all_loci_stand_beside_it(fitted, tmp_path):
    parts = [variants(tmp_path / name, *rows) for name, rows in (("a", (0, 2)), ("b", (2, 5)))]
    write_failed([Failure("lost", "score", "gone")], tmp_path / "failed.tsv")
    words = ["--surrogates", fitted, "--variants", *parts, "--out", tmp_path / "out"]
    failed = ["--failed", tmp_path / "failed.tsv", tmp_path / "failed.tsv"]
    assert main(["loci_report", *map(str, [*words, *failed])]) == 0
    assert len(pd.read_parquet(tmp_path / "out" / "variants.parquet")) == 3 * 5 + 2
    assert len(read_failed(tmp_path / "out" / "failed.tsv")) == 2
    assert main(["loci_report", *map(str, words)]) == 0
    assert not (tmp_path / "out" / "failed.tsv").exists()


@pytest.mark.parametrize("content", [b"", b"locus\tstage\tmessage\na\tscore\n", b"\xff\xfe"])
def test_another_table_of_what_failed_is_refused(fitted, tmp_path, capsys, content):
    (tmp_path / "failed.tsv").write_bytes(content)
    words = ("--surrogates", fitted, "--failed", tmp_path / "failed.tsv", "--out", tmp_path / "out")
    assert main(["loci_report", *map(str, words)]) == 1
    assert "Not a complete table of failed loci" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_in_which_all_failed_has_a_page(tmp_path):
    write_failed([Failure("lost", "score", "gone")], tmp_path / "failed.tsv")
    words = ("--failed", tmp_path / "failed.tsv", "--out", tmp_path / "out")
    assert main(["loci_report", *map(str, words)]) == 0
    assert "lost score gone" in Page(tmp_path / "out" / "loci.html").text


def test_nothing_to_show_is_refused(tmp_path, capsys):
    assert main(["loci_report", "--surrogates", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "There is no surrogate and no failed locus to report" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_known_effects_no_symbol_is_the_strongest():
    effects = np.array([np.nan, 0.5, -1.0, 2.0])
    assert strongest_symbol("NACG", effects, (0, 3)) == "C at 2"
    assert strongest_symbol("NACG", effects, (0, 1)) == ""
