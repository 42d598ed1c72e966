"""`geneq mutagenize`: options become recipes, recipes become files; bad ones are refused."""

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from children import ignoring_interrupts, interruptible
from geneq import cli
from geneq.libraries import (
    CombinatorialLibrary,
    DiploidLibrary,
    GlobalLibrary,
    Library,
    PairwiseLibrary,
    RandomLibrary,
    SaturationLibrary,
    VariantLibrary,
    open_library,
    transition_bias,
)
from geneq.libraries.writing import FORMATS, recipe_path
from geneq.tools.mutagenize import OPTIONS
from test_variant_library import CONTIGS, indexed, vcf_text

DNA = "ACGTTGCAAC"
SEQUENCE = ["--sequence", DNA]


def mutagenize(out: Path, *arguments) -> int:
    return cli.main(["mutagenize", "--out", str(out), "--threads", "1", *map(str, arguments)])


def recipe(out: Path, *arguments) -> Library:
    """The library that these options make, which is that of the file and of the recipe beside."""
    assert mutagenize(out, *arguments) == 0
    library = Library.from_json(recipe_path(out).read_text())
    np.testing.assert_array_equal(
        np.concatenate(list(open_library(out).stream())), library.tokens()
    )
    return library


def refused(capsys, out: Path, *arguments) -> str:
    """What is said of bad input; nothing is written."""
    before = sorted(out.parent.iterdir())
    assert mutagenize(out, *arguments) == 1
    assert sorted(out.parent.iterdir()) == before
    return capsys.readouterr().err


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["random", "--n", 9], RandomLibrary(DNA, n=9)),
        (
            ["random", "--n", 9, "--rate", 0.5, "--counts", "binomial", "--seed", 2**64 - 1],
            RandomLibrary(DNA, n=9, rate=0.5, counts="binomial", seed=2**64 - 1),
        ),
        (
            ["random", "--n", 9, "--counts", 2, "--windows", "6-8,1-3"],
            RandomLibrary(DNA, n=9, counts=2, windows=[(6, 8), (1, 3)]),
        ),
        (
            ["random", "--n", 9, "--counts", "0,1,0.5", "--unique", "yes"],
            RandomLibrary(DNA, n=9, counts=[0, 1, 0.5], unique=True),
        ),
        (
            ["random", "--n", 9, "--windows", "2-4", "--position_rates", "1,0.25"],
            RandomLibrary(DNA, n=9, windows=[(2, 4)], position_rates=[1, 0.25]),
        ),
        (
            ["random", "--n", 9, "--symbol_weights", json.dumps(transition_bias(3.0))],
            RandomLibrary(DNA, n=9, symbol_weights=transition_bias(3.0)),
        ),
        (
            ["random", "--n", 9, "--alphabet", "protein", "--include_wild_type", "no"],
            RandomLibrary(DNA, n=9, alphabet="protein", include_wild_type=False),
        ),
        (["diploid", "--n", 9], DiploidLibrary(DNA, n=9)),
        (["saturation"], SaturationLibrary(DNA)),
        (
            ["saturation", "--substitutions", "no", "--deletions", 2, "--insertions", 1,
             "--left_flank", "AC", "--right_flank", "GT", "--keep", "right"],
            SaturationLibrary(DNA, substitutions=False, deletions=2, insertions=1,
                              left_flank="AC", right_flank="GT", keep="right"),
        ),
        (
            ["combinatorial", "--order", 3, "--min_order", 2, "--n", 20],
            CombinatorialLibrary(DNA, order=3, min_order=2, n=20),
        ),
        (
            ["pairwise", "--first", "0-2", "--second", "5-7", "--singles", "no"],
            PairwiseLibrary(DNA, first=(0, 2), second=(5, 7), singles=False),
        ),
        (
            ["global", "--n", 9, "--windows", "2-5", "--composition", '{"A": 3, "G": 1}'],
            GlobalLibrary(DNA, n=9, windows=[(2, 5)], composition={"A": 3, "G": 1}),
        ),
        (
            ["global", "--n", 9, "--windows", "2-5", "--background", "shuffle", "--k", 1,
             "--sources", "ACACACGTGT,TTTTTGGGGG"],
            GlobalLibrary(DNA, n=9, windows=[(2, 5)], background="shuffle", k=1,
                          sources=("ACACACGTGT", "TTTTTGGGGG")),
        ),
    ],
)  # fmt: skip
def test_options_make_the_recipe(tmp_path, arguments, wanted):
    assert recipe(tmp_path / "x.packed.parquet", "--type", *arguments, *SEQUENCE) == wanted


def test_variants_need_no_wild_type_and_what_is_left_out_is_told(tmp_path, capsys):
    genome, vcf = indexed(tmp_path / "genome", CONTIGS), tmp_path / "in.vcf"
    vcf.write_text(vcf_text("chr2|4|.|T|C,<DEL>", "chr2|5|.|A|<INS>"))
    options = ["--type", "variants", "--genome", genome, "--vcf", vcf, "--window", 9]
    library = recipe(tmp_path / "x.fa", *options, "--anchor", 2, "--keep", "right")
    assert library == VariantLibrary(genome=genome, vcf=vcf, window=9, anchor=2, keep="right")
    assert "skipped, symbolic: 2, such as line 3: chr2:4 T><DEL>" in capsys.readouterr().out
    message = refused(capsys, tmp_path / "y.fa", *options, *SEQUENCE)
    assert "no such options: '--sequence'. Its options are --alphabet, --seed, --keep" in message


def test_every_field_has_an_option():
    # Motifs are too rich for options.
    kinds = [made for kind, made in Library.kinds.items() if kind != "factorial"]
    known = {field.name for made in kinds for field in fields(made)}
    # Two are for the recipe to note.
    assert known - {"wild_type", "digest", "sha256"} == set(OPTIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --recipe or --type. There are: combinatorial"),
        (["--type", "random", "--n", 5], "Give the wild type by --sequence, or by --fasta"),
        (["--type", "random", "--n", 5, *SEQUENCE, "--record", "a"], "Give the wild type by"),
        (["--type", "random", *SEQUENCE], "--type random needs --n."),
        (["--type", "pairwise", *SEQUENCE], "--type pairwise needs --first, --second."),
        (
            ["--type", "saturation", *SEQUENCE, "--n", 5, "--rate", 0.1],
            "--type saturation has no such options: '--n, --rate'. Its options are --alphabet",
        ),
        (["--type", "random", "--n", 5, "--rate", 1.5, *SEQUENCE], "rate must be in [0, 1]: 1.5"),
        (["--type", "random", "--n", 5, "--sequence", "ACGTU"], "'U' is not a nucleotide symbol"),
        (["--type", "random", "--n", 5, "--windows", "0-99", *SEQUENCE], "[0, 99)"),
        (["--type", "saturation", *SEQUENCE, "--batch", 0], "batch must be between 1 and"),
        (["--recipe", "nowhere.json"], "File not found (in nowhere.json)"),
        (
            ["--recipe", "nowhere.json", "--type", "random", "--seed", 2],
            "--recipe defines the complete library: '--type, --seed'",
        ),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path, capsys, arguments, message):
    assert message in refused(capsys, tmp_path / "x.fa", *arguments)


def test_the_suffix_is_looked_at_before_anything_is_made(tmp_path, capsys):
    message = refused(capsys, tmp_path / "x.txt", "--recipe", "nowhere.json")
    assert "The suffix of the file must be that of a known format: 'x.txt'" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", "1e5"),
        ("windows", "10..20"),
        ("windows", "1-2,"),
        ("first", "1-2-3"),
        ("unique", "true"),
        ("counts", "1,two"),
        ("symbol_weights", "{A"),
        ("rate", ""),
    ],
)
def test_a_value_of_another_form_is_bad_usage(tmp_path, capsys, name, value):
    with pytest.raises(SystemExit) as caught:
        mutagenize(tmp_path / "x.fa", "--type", "random", *SEQUENCE, f"--{name}", value)
    assert caught.value.code == 2
    form = OPTIONS[name].metavar
    assert f"argument --{name}: '{value}' is not of the form {form}" in capsys.readouterr().err


# --- the wild type ----------------------------------------------------------------------------

FASTA = b">a first one\nACGTac\ngtNN\n>b:1\nTTTT\r\nCCCC\r\n>c\nG\n"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--record", "b:1"], "TTTTCCCC"),
        (["--region", "a:1-8"], "CGTACGT"),
        (["--region", "b:1:0-8"], "TTTTCCCC"),
        (["--record", "c"], "G"),
    ],
)
def test_the_wild_type_is_a_record_or_a_part_of_one(tmp_path, packed, arguments, wanted):
    path = tmp_path / "in.fasta"
    path.write_bytes(gzip.compress(FASTA) if packed else FASTA)
    options = ["--type", "saturation", "--fasta", path, *arguments]
    assert recipe(tmp_path / "x.parquet", *options).wild_type == wanted


def test_the_only_record_needs_no_name(tmp_path):
    (tmp_path / "in.fa").write_bytes(b">only\nACGT\n")
    options = ["--type", "saturation", "--fasta", tmp_path / "in.fa"]
    assert recipe(tmp_path / "x.fa", *options).wild_type == "ACGT"


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (FASTA, [], "The FASTA has several records: 'a, b:1' "),
        (FASTA, ["--record", "first"], "The FASTA has no such record: 'first'"),
        (
            FASTA,
            ["--region", "a:4-11"],
            "--region must be within the record's 10 symbols: 'a:4-11'",
        ),
        (FASTA, ["--region", "a:4-4"], "--region must be within the record's 10 symbols"),
        (FASTA, ["--region", "a"], "--region must be NAME:START-END (0-based"),
        (FASTA, ["--record", "a"], "Windows to mutate must not contain unknown symbols"),
        (b"ACGT\n", [], "Not a complete FASTA: \"a FASTA must begin with '>'\""),
        (b"", [], "The FASTA has no such record"),
        (gzip.compress(FASTA)[:-9], ["--record", "c"], "Not a complete FASTA"),
        (None, [], "File not found"),
    ],
)
def test_a_fasta_without_that_wild_type_is_refused(tmp_path, capsys, content, arguments, message):
    path = tmp_path / "in.fasta"
    if content is not None:
        path.write_bytes(content)
    options = ["--type", "saturation", "--fasta", path, *arguments]
    said = refused(capsys, tmp_path / "x.fa", *options)
    assert message in said


# --- running it -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_recipe_beside_the_file_makes_it_again(tmp_path, suffix):
    first, again = tmp_path / f"first{suffix}", tmp_path / f"again{suffix}"
    options = ["--type", "random", *SEQUENCE, "--n", 1000, "--batch", 64]
    assert mutagenize(first, *options) == 0
    options = ["--recipe", recipe_path(first), "--batch", 64, "--threads", 2]
    assert mutagenize(again, *options) == 0
    assert first.read_bytes() == again.read_bytes()
    assert recipe_path(first).read_bytes() == recipe_path(again).read_bytes()


def test_what_was_written_is_told_and_nothing_else(tmp_path, capsys):
    assert mutagenize(tmp_path / "x.fa", "--type", "random", *SEQUENCE, "--n", 2000) == 0
    said = capsys.readouterr()
    assert said.out == (
        f"{tmp_path}/x.fa: 2,000 rows of 10 symbols, RandomLibrary(wild_type='{DNA}', n=2000)\n"
    )
    assert said.err == ""


def command(out: Path, *arguments) -> list[str]:
    start = [sys.executable, "-m", "geneq.cli", "mutagenize", "--out", out]
    return list(map(str, [*start, *arguments]))


def test_a_terminal_sees_progress(tmp_path):
    """The command gets a terminal of its own for what it says."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 80))
    options = ["--type", "random", *SEQUENCE, "--n", 1000]
    done = subprocess.run(command(tmp_path / "x.fa", *options), stderr=its, timeout=120)
    os.close(its)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "100%" in said
    assert "1.00k/1.00k" in said


@pytest.mark.parametrize("suffix", [".packed.parquet", ".parquet", ".fa", ".fa.gz"])
@pytest.mark.parametrize("batch", [[], ["--batch", 10**8]])
def test_ctrl_c_stops_it_within_a_second_and_leaves_what_was_there(tmp_path, suffix, batch):
    out = tmp_path / f"x{suffix}"
    out.write_bytes(b"what was there")
    options = ["--type", "random", "--sequence", "ACGT" * 500, "--n", 10**8, *batch]
    with interruptible(command(out, *options)) as process:
        while not any(path.stat().st_size for path in tmp_path.glob(f".{out.name}.*/*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        said, error = process.communicate(timeout=60)
        seconds = time.monotonic() - start
    assert (said, error) == ("", "geneq mutagenize: interrupted\n")
    # Python ends by the signal itself where that came while it ran code from a string, such as
    # what makes a dataclass; to a shell both are 130.
    assert process.returncode in (130, -signal.SIGINT)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        out.name: b"what was there"
    }
    assert seconds < 1


def test_a_background_job_goes_on_when_the_terminal_is_interrupted(tmp_path):
    """A shell ignores SIGINT for jobs that it puts into the background, as `nohup` does."""
    out = tmp_path / "x.fa"
    options = ["--type", "random", "--sequence", "ACGT" * 500, "--n", 20_000]
    with ignoring_interrupts(command(out, *options)) as process:
        while not any(path.stat().st_size for path in tmp_path.glob(f".{out.name}.*/*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (0, "")
    assert open_library(out).n_rows == 20_000
