"""Loci: where they lie, what their library is, and many of them in one command."""

import csv
import re
import shutil

import numpy as np
import pytest

from geneq import cli, encoding
from geneq.artifacts import LATENT, VARIANTS
from geneq.errors import GeneqError
from geneq.genome import Genome, index_fasta
from geneq.libraries import RandomLibrary, SaturationLibrary
from geneq.locus import Experiment, Locus, open_loci, read_row, run_each
from geneq.mave import Mave
from geneq.stages.variants.effects import NO_COMPONENT
from geneq.surrogates import Surrogate
from profiles import HALVES, LAST

COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
LENGTH, SEED = 400, 5
CHR1 = "".join(np.random.default_rng(SEED).choice(list("ACGT"), LENGTH))


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A folder with chr1, and chr2 with unknown symbols in its middle."""
    folder = tmp_path_factory.mktemp("genome")
    (folder / "in.fa").write_text(f">chr1\n{CHR1}\n>chr2\n{CHR1[:50]}{'N' * 50}{CHR1[:50]}\n")
    index_fasta(folder / "in.fa", folder)
    return folder


def locus(**fields) -> Locus:
    given = {"locus": "a", "chrom": "chr1", "start": 10, "end": 60, "oracle": "motifs:core"}
    return Locus(**given | fields)


def write(folder, *rows, header="locus,chrom,start,end,strand,oracle,target,n,rate,map"):
    path = folder / "loci.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def run(*words) -> int:
    return cli.main([*map(str, words), "--threads", "1"])


def failures(folder) -> list[dict]:
    with open(folder / "failed.tsv") as file:
        return list(csv.DictReader(file, delimiter="\t"))


# --- one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strand", "+-")
def test_positions_and_symbols_are_those_of_the_sequence(genome, strand):
    one = locus(strand=strand)
    sequence = one.recipe(Genome(genome)).wild_type
    assert len(sequence) == len(one) == 50
    for position in range(10, 60):
        base = CHR1[position]
        assert sequence[one.position(position)] == one.symbol(base)
        assert one.symbol(base) == (base if strand == "+" else COMPLEMENT[base])
    assert one.position(9) is None
    assert one.position(60) is None


@pytest.mark.parametrize("strand", "+-")
def test_only_the_window_is_mutated(genome, strand):
    one = locus(strand=strand, window_start=12, window_end=30, n=2000, rate=0.3)
    library = one.recipe(Genome(genome))
    changed = (library.tokens() != encoding.tokens(library.wild_type)).any(0)
    columns = [one.position(position) for position in range(12, 30)]
    assert sorted(columns) == np.flatnonzero(changed).tolist()


def test_libraries_are_those_of_the_sheet(genome):
    library = locus(n=70, rate=0.2, seed=9).recipe(Genome(genome))
    assert library == RandomLibrary(CHR1[10:60], n=70, rate=0.2, seed=9, windows=[(0, 50)])
    library = locus(library="saturation").recipe(Genome(genome))
    assert library == SaturationLibrary(CHR1[10:60], windows=[(0, 50)])


def test_chromosomes_may_be_called_otherwise_but_must_be_there(genome):
    assert locus(chrom="1").on(Genome(genome)).chrom == "chr1"
    with pytest.raises(GeneqError, match="no such chromosome: 'chr9'"):
        locus(chrom="chr9").on(Genome(genome))
    with pytest.raises(GeneqError, match="chr1 has 400 bases: 'the locus ends at 401'"):
        locus(end=401).on(Genome(genome))


def test_a_locus_is_read_back(tmp_path):
    one = locus(strand="-", target="SP1", window_start=20, window_end=30)
    one.save(tmp_path)
    assert Locus.load(tmp_path) == one
    path = tmp_path / "locus.json"
    path.write_text(path.read_text().replace('"version": 2', '"version": 3'))
    with pytest.raises(GeneqError, match="format version 2: 3"):
        Locus.load(tmp_path)
    path.write_text("[]")
    with pytest.raises(GeneqError, match="Not a file of one locus"):
        Locus.load(tmp_path)


# --- many -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored(genome, tmp_path_factory):
    """Scores of four loci, of which two fail."""
    folder = tmp_path_factory.mktemp("scored")
    sheet = write(
        folder,
        "plus,chr1,0,60,+,motifs:core,SP1,400,0.2,",
        "unknown,chr2,20,80,+,motifs:core,SP1,400,0.2,",
        "minus,chr1,100,160,-,motifs:core,GATA,400,0.2,neighbour",
        "target,chr1,0,60,,motifs:core,SP99,400,0.2,",
    )
    out = folder / "score"
    assert run("score", "--loci", sheet, "--genome", genome, "--out", out) == 0
    return out


def test_loci_are_scored_as_one_alone_and_those_that_fail_are_named(scored, genome, tmp_path):
    assert {path.name for path in scored.iterdir()} == {"plus", "minus", "failed.tsv"}
    assert {path.name for path in (scored / "minus").iterdir()} == {"mave.parquet", "locus.json"}
    (tmp_path / "recipe.json").write_text(
        locus(start=100, end=160, strand="-", n=400, rate=0.2).recipe(Genome(genome)).to_json()
    )
    words = ("--recipe", tmp_path / "recipe.json", "--oracle", "motifs:core", "--target", "GATA")
    assert run("score", *words, "--out", tmp_path) == 0
    alone, many = (Mave.load(folder / "mave.parquet") for folder in (tmp_path, scored / "minus"))
    np.testing.assert_array_equal(many.y, alone.y)
    assert (many.library, many.oracle) == (alone.library, alone.oracle)
    assert [(row["locus"], row["stage"]) for row in failures(scored)] == [
        ("unknown", "score"),
        ("target", "score"),
    ]
    messages = [row["message"] for row in failures(scored)]
    assert "unknown symbols: 'N at position 30" in messages[0]
    assert messages[1].startswith("motifs:core has no such target: 'SP99'")


def test_surrogates_are_fitted_to_all_and_a_broken_file_is_named(scored, tmp_path):
    scores = shutil.copytree(scored, tmp_path / "score")
    shutil.copytree(scores / "plus", scores / "broken")
    (scores / "broken" / "mave.parquet").write_bytes(b"PAR1")
    out = tmp_path / "surrogate"
    assert run("surrogate", "--scores", scores, "--noise", "gaussian", "--out", out) == 0
    assert {path.name for path in out.iterdir()} == {"plus", "minus", "failed.tsv"}
    assert [row["locus"] for row in failures(out)] == ["broken"]
    assert "Truncated or damaged parquet file" in failures(out)[0]["message"]
    assert Locus.load(out / "minus") == Locus.load(scores / "minus")
    assert Surrogate.load(out / "minus").map.kind == "neighbour"
    assert Surrogate.load(out / "plus").map.kind == "additive"
    latent = LATENT.read(out / "plus" / "latent.parquet")
    assert len(latent) == (Surrogate.load(out / "plus").split == 2).sum()
    np.testing.assert_array_equal(
        latent["y"], Mave.load(scores / "plus" / "mave.parquet").y[latent["row"], 0]
    )

    # Mended, nothing is said to have failed.
    shutil.rmtree(scores / "broken")
    assert run("surrogate", "--scores", scores, "--noise", "gaussian", "--out", out) == 0
    assert not (out / "failed.tsv").exists()


def test_nothing_that_is_read_is_lost_where_results_would_lie_beside_it(genome, scored, tmp_path):
    """What fails is removed from --out: that must not be where scores or surrogates are."""
    scores = shutil.copytree(scored, tmp_path / "score")
    (tmp_path / "again").symlink_to(scores)
    files = sorted(scores.rglob("*"))
    assert run("surrogate", "--scores", scores, "--map", "order", "--order", 99,
               "--out", tmp_path / "again") == 1  # fmt: skip
    (tmp_path / "in.vcf").write_text("#CHROM\tPOS\tID\tREF\tALT\n")
    assert run("variants", "--surrogates", scores, "--genome", genome, "--vcf", tmp_path / "in.vcf",
               "--out", scores) == 1  # fmt: skip
    assert sorted(scores.rglob("*")) == files


@pytest.mark.parametrize("by", ["sheet", "option"])
def test_loci_are_scored_and_variants_judged_as_their_row_says(genome, tmp_path, by):
    (tmp_path / "net.py").write_text(HALVES + LAST)
    place, how = "chr1,0,40,python:net.py:make,2000", f"python:{tmp_path / 'net.py'}:last"
    header = "locus,chrom,start,end,oracle,n,reduce,reverse_complement"
    rows = [f"sum,{place},sum,", f"last,{place},python:net.py:last,", f"first,{place},0:1,true"]
    if by == "option":
        rows = [f"last,{place},,"]
    sheet = write(tmp_path, *rows, header=header)
    options = ("--genome", genome, *(("--reduce", how) if by == "option" else ()))
    assert run("score", "--loci", sheet, *options, "--out", tmp_path / "score") == 0
    assert not (tmp_path / "score" / "failed.tsv").exists()
    scores = {folder.name: Mave.load(folder / "mave.parquet")
              for folder in (tmp_path / "score").iterdir()}  # fmt: skip
    halves = scores["last"].library.tokens().reshape(-1, 2, 20)
    c, g = (halves == 1).sum(2), (halves == 2).sum(2)
    np.testing.assert_array_equal(scores["last"].y[:, 0], c[:, 1])
    if by == "option":
        return
    np.testing.assert_array_equal(scores["sum"].y[:, 0], c.sum(1))
    np.testing.assert_array_equal(scores["first"].y[:, 0], (c + g)[:, 0] / 2)

    words = ("--scores", tmp_path / "score", "--noise", "gaussian", "--replicates", 0)
    assert run("surrogate", *words, "--out", tmp_path / "surrogate") == 0
    at = next(i for i in range(1, 20) if CHR1[i] in "AT")
    line = f"chr1\t{at + 1}\t.\t{CHR1[at]}\tC\t.\t.\t."
    header = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    (tmp_path / "in.vcf").write_text(f"##fileformat=VCFv4.2\n{header}\n{line}\n")
    words = ("--vcf", tmp_path / "in.vcf", "--genome", genome)
    words += ("--surrogates", tmp_path / "surrogate")
    assert run("variants", *words, "--out", tmp_path / "variants") == 0
    found = VARIANTS.read(tmp_path / "variants" / "variants.parquet")
    found = found[found["method"] == "oracle"].set_index("locus")["effect"]
    assert found.to_dict() == {"sum": 1, "last": 0, "first": 0.5}


def test_of_a_principal_component_the_surrogate_alone_tells_of_variants(genome, tmp_path):
    (tmp_path / "net.py").write_text(HALVES)
    row = "a,chr1,0,40,python:net.py:make,2000,pc1"
    sheet = write(tmp_path, row, header="locus,chrom,start,end,oracle,n,reduce")
    assert run("score", "--loci", sheet, "--genome", genome, "--out", tmp_path / "score") == 0
    words = ("--scores", tmp_path / "score", "--noise", "gaussian", "--replicates", 0)
    assert run("surrogate", *words, "--out", tmp_path / "surrogate") == 0
    header = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    alt = "C" if CHR1[5] != "C" else "A"
    line = f"chr1\t6\t.\t{CHR1[5]}\t{alt}\t.\t.\t."
    (tmp_path / "in.vcf").write_text(f"##fileformat=VCFv4.2\n{header}\n{line}\n")
    words = ("--vcf", tmp_path / "in.vcf", "--genome", genome)
    words += ("--surrogates", tmp_path / "surrogate")
    assert run("variants", *words, "--out", tmp_path / "variants") == 0
    found = VARIANTS.read(tmp_path / "variants" / "variants.parquet").set_index("method")
    assert found["effect"].notna().to_dict() == {
        **{"surrogate": True, "ism": False},
        **{"gradient": False, "oracle": False},
    }
    assert set(found["note"]) == {"", NO_COMPONENT}


def test_experiments_are_scored_as_one_alone_and_those_that_fail_are_named(tmp_path):
    (tmp_path / "recipes").mkdir()
    library = RandomLibrary(CHR1[:60], n=300, rate=0.2)
    (tmp_path / "recipes" / "a.json").write_text(library.to_json())
    (tmp_path / "broken.json").write_text("{")
    sheet = tmp_path / "experiments.csv"
    sheet.write_text(
        "experiment,recipe,oracle,target,map,reverse_complement,replicates,noise_shape_order\n"
        "a,recipes/a.json,motifs:core,SP1,neighbour,false,3,1\nbad,broken.json,motifs:core,,,,,\n"
    )
    assert run("score", "--experiments", sheet, "--out", tmp_path / "score") == 0
    (failed,) = failures(tmp_path / "score")
    assert (failed["locus"], failed["stage"]) == ("bad", "score")
    assert "broken.json" in failed["message"]
    words = ("--recipe", tmp_path / "recipes" / "a.json", "--oracle", "motifs:core")
    assert run("score", *words, "--target", "SP1", "--out", tmp_path / "alone") == 0
    found, alone = (Mave.load(tmp_path / name / "mave.parquet") for name in ("score/a", "alone"))
    np.testing.assert_array_equal(found.y, alone.y)

    words = ("--scores", tmp_path / "score", "--out", tmp_path / "surrogate")
    assert run("surrogate", *words) == 0
    surrogate = Surrogate.load(tmp_path / "surrogate" / "a")
    assert (surrogate.map.kind, surrogate.noise.shape_order) == ("neighbour", 1)
    assert len(surrogate.outputs[0].replicates) == 3
    row = read_row(tmp_path / "surrogate" / "a")
    assert row == Experiment("a", str(tmp_path / "recipes/a.json"), "motifs:core", "SP1",
                             map="neighbour", replicates=3, noise_shape_order=1)  # fmt: skip
    assert read_row(tmp_path) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["score", "--loci", "x.csv"], "--loci needs --genome"),
        (["score", "--recipe", "r.json"], "--oracle is required without a sheet"),
        (["surrogate", "--scores", "."], "No folder in it has a mave.parquet"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert run(*words, "--out", "out") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device")])
def test_what_another_try_may_mend_is_no_fault_of_a_locus(tmp_path, error):
    def make(name):
        raise error

    with pytest.raises(type(error)):
        run_each(["a"], "score", make, tmp_path)
    assert not (tmp_path / "failed.tsv").exists()


def failing(folder):
    """What makes a part of the results of a locus and fails."""

    def make(name):
        (folder / name / "figures").mkdir(parents=True, exist_ok=True)
        (folder / name / "effects.parquet").write_text("half")
        raise GeneqError("No good")

    return make


def test_of_a_locus_that_fails_its_results_are_removed_and_files_of_the_user_are_kept(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("mine")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "surrogate.npz").write_text("of an earlier run")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "surrogate.npz").write_text("mine")
    (tmp_path / "c").symlink_to(tmp_path / "elsewhere")
    files = ("surrogate.npz", "effects.parquet", "figures")
    names = ["a", "b", "c"]
    assert run_each(names, "surrogate", failing(tmp_path), tmp_path, files) == names
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "b").exists()
    assert (tmp_path / "elsewhere" / "surrogate.npz").read_text() == "mine"
    assert [row["message"] for row in failures(tmp_path)] == ["No good."] * 3


def test_a_stage_that_writes_nothing_for_a_locus_removes_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "variants.parquet").write_text("mine")
    assert run_each(["a"], "variants", failing(tmp_path), tmp_path) == ["a"]
    assert (tmp_path / "a" / "variants.parquet").read_text() == "mine"


@pytest.mark.parametrize("name", ["failed.tsv", "Failed.TSV"])
def test_a_locus_named_as_the_table_of_failures_fails_alone(tmp_path, name):
    made = []
    assert run_each(["a", name, "b"], "score", made.append, tmp_path) == [name]
    assert made == ["a", "b"]
    (row,) = failures(tmp_path)
    assert row["locus"] == name and "cannot be named failed.tsv" in row["message"]


def test_a_sheet_refuses_names_that_are_names_of_results(tmp_path):
    for name in ("failed.tsv", "variants.parquet", "x.TSV", "loci.html"):
        sheet = write(tmp_path, f"{name},chr1,0,60,+,motifs:core,,,,")
        with pytest.raises(GeneqError, match=r"line 2, column locus: .*not end in"):
            open_loci(sheet)
    assert open_loci(write(tmp_path, "a.tsv.1,chr1,0,60,+,motifs:core,,,,"))[0].name == "a.tsv.1"


@pytest.mark.parametrize("field", ['"start": "10"', '"target": 3', '"reverse_complement": null'])
def test_a_field_of_another_type_is_refused_by_its_name(tmp_path, field):
    locus().save(tmp_path)
    path, name = tmp_path / "locus.json", field.split('"')[1]
    path.write_text(re.sub(rf'"{name}": [^,\n]+', field, path.read_text()))
    with pytest.raises(GeneqError, match=rf"The field {name} of one locus has another type.*json"):
        Locus.load(tmp_path)
