"""Variants are scored by Sei's own variant score, each in its own window of the genome."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geneq.artifacts import VARIANTS
from geneq.errors import GeneqError
from geneq.genome import Genome, index_fasta
from geneq.locus import Locus
from geneq.oracles import load_oracle
from geneq.oracles.sei import open_sei
from test_expression_effects import write_vcf
from test_featurize import ran
from twins import encoding
from twins import sei as narrow

pytestmark = pytest.mark.usefixtures("one_thread")

SEQUENCE = "".join(np.random.default_rng(4).choice(list("ACGT"), 9000))
# Of the loci, one on each strand; Sei reads far more than 600 nt around a variant.
LOCI = {"plus": (4000, 4600, "+"), "minus": (300, 900, "-")}
NARROW = """
from geneq.oracles.sei import open_sei
def make():
    return open_sei({folder!r}, {width})
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """genome/, sei/ with a narrow network, mine.py that opens it, and loci/."""
    folder = tmp_path_factory.mktemp("placed")
    (folder / "in.fa").write_text(f">chr1\n{SEQUENCE}\n")
    for name in ("genome", "sei"):
        (folder / name).mkdir()
    index_fasta(folder / "in.fa", folder / "genome")
    narrow.write_folder(folder / "sei")
    (folder / "mine.py").write_text(NARROW.format(folder=str(folder / "sei"), width=narrow.WIDTH))
    for name, (start, end, strand) in LOCI.items():
        oracle = f"python:{folder / 'mine.py'}:make"
        Locus(name, "chr1", start, end, oracle, strand).save(folder / "loci" / name)
    return folder


def variants(made: Path, out: Path, rows: list[tuple], *options) -> pd.DataFrame:
    vcf = write_vcf(
        out / "v.vcf", [("chr1", at + 1, name, *alleles) for name, at, *alleles in rows]
    )
    inputs = ("--vcf", vcf, "--genome", made / "genome", "--surrogates", made / "loci")
    ran("variants", *inputs, "--methods", "oracle", "ism", *options, "--out", out / "out")
    return VARIANTS.read(out / "out/variants.parquet").set_index(["id", "method", "target"])


def other(base: str) -> str:
    return "ACGT"["ACGT".index(base) - 1]


def by_hand(made: Path, at: int, ref: str, alt: str) -> np.ndarray:
    """Sei's score of the edit, without shared bases, whose first base is at index 2,047."""
    pad = "N" * 4096
    edited = SEQUENCE[:at] + alt + SEQUENCE[at + len(ref) :]
    texts = [(pad + text + pad)[4096 + at - 2047 :][:4096] for text in (SEQUENCE, edited)]
    tokens = [np.asarray(encoding.tokens(text), np.uint8)[None] for text in texts]
    return open_sei(str(made / "sei"), narrow.WIDTH).variant(*tokens)[0]


@pytest.mark.parametrize("at", [4010, 4300, 4599, 310, 600, 899])
def test_a_substitution_is_at_index_2047_of_the_genome(made, tmp_path, at):
    """On either strand, at any place in the locus, and near the end of the contig, beyond which
    is N."""
    base = SEQUENCE[at]
    table = variants(made, tmp_path, [("v", at, base, other(base))])
    expected = by_hand(made, at, base, other(base))
    assert np.abs(expected).max() > 1e-4
    for method in ("oracle", "ism"):
        found = table.loc["v", method]["effect"]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    # In the sequence of the locus, between Ns, it would be another number.
    sei, genome = open_sei(str(made / "sei"), narrow.WIDTH), Genome(made / "genome")
    start, end, _ = next(place for place in LOCI.values() if place[0] <= at < place[1])
    before = np.full((1, 4096), 4, np.uint8)
    before[0, 1748:2348] = genome.tokens("chr1", start, end)
    after = before.copy()
    after[0, 1748 + at - start] = "ACGT".index(other(base))
    assert np.abs(sei.variant(before, after)[0] - expected).max() > 1e-5


def test_indels_and_several_bases_are_the_alleles_of_the_vcf(made, tmp_path):
    at = next(i for i in range(4200, 4500) if len({*SEQUENCE[i - 1 : i + 5]}) == 4
              and SEQUENCE[i] != SEQUENCE[i + 3] and SEQUENCE[i] != SEQUENCE[i - 1]
              and SEQUENCE[i + 2] != SEQUENCE[i - 1])  # fmt: skip
    before, deleted = SEQUENCE[at - 1], SEQUENCE[at : at + 3]
    inserted = other(before) + "GATTACA" + other(SEQUENCE[at])
    pair = "".join(map(other, SEQUENCE[at : at + 2]))
    rows = [
        ("deletion", at - 1, before + deleted, before),
        ("insertion", at - 1, before, before + inserted),
        ("pair", at, SEQUENCE[at : at + 2], pair),
    ]
    table = variants(made, tmp_path, rows)
    expected = {
        "deletion": by_hand(made, at, deleted, ""),
        "insertion": by_hand(made, at, "", inserted),
        "pair": by_hand(made, at, SEQUENCE[at : at + 2], pair),
    }
    for name, scores in expected.items():
        np.testing.assert_allclose(table.loc[name, "oracle"]["effect"], scores, atol=1e-6)
    singles = [by_hand(made, at + i, SEQUENCE[at + i], pair[i]) for i in (0, 1)]
    np.testing.assert_allclose(table.loc["pair", "ism"]["effect"], np.sum(singles, 0), atol=1e-6)
    assert table.loc["insertion", "ism"]["effect"].isna().all()
    assert np.abs(expected["pair"] - np.sum(singles, 0)).max() > 1e-6


def test_the_index_of_a_users_oracle_must_be_one_of_its_input(made, tmp_path):
    text = (made / "mine.py").read_text() + "\n\ndef wrong():\n    oracle = make()\n"
    text += "    oracle.variant_index = 4096\n    return oracle\n"
    (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(GeneqError, match=r"variant_index must be an index of the input.*'4096'"):
        load_oracle(f"python:{tmp_path / 'wrong.py'}:wrong")
    assert load_oracle(f"python:{tmp_path / 'wrong.py'}:make").variant_index == 2047
