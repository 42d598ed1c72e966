"""`geneq variants`: effects of variants in loci by every method, and beside measured ones."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from geneq import cli, encoding, surrogates
from geneq.artifacts import AGREEMENT, COMPARISONS, VARIANTS
from geneq.genome import Genome, index_fasta
from geneq.locus import Locus, open_loci
from geneq.oracles import load_oracle
from geneq.oracles.scoring import score
from geneq.oracles.user import user_function
from geneq.stages.variants.effects import INDEL, NO_BASE, NO_MODULE, NOT_MUTATED, TOO_LONG
from geneq.stages.variants.truth import in_vcf as in_vcf_of
from geneq.stages.variants.truth import read_truth, williams
from geneq.surrogates import Surrogate
from geneq.vcf import read_vcf
from test_vcf import vcf_text
from twins import variants as twin

LENGTH, SEED = 40, 17
RNG = np.random.default_rng(SEED)
SYMBOLS = "".join(RNG.choice(list("ACGT"), 300))
# Ns in the locus "minus", beside what is mutated there.
CHR1 = SYMBOLS[:150] + "NN" + SYMBOLS[152:]
MUTATED = {"plus": (52, 90), "minus": (120, 150), "over": (70, 110)}
LOCI = {"plus": ("chr1", 50, 90, "+"), "minus": ("chr1", 120, 160, "-"),
        "over": ("chr2", 70, 110, "-")}  # fmt: skip
CONTIGS = {"chr1": CHR1, "chr2": SYMBOLS[::-1]}
# A network with interactions, which reads one strand. Loci are padded by two symbols on each side.
ORACLE = """
import numpy as np, torch
from geneq.oracles.network import NetworkOracle

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(3)
        shapes = {"first": (0.3, (5, 4 * 44)), "last": (1, (2, 5))}
        for name, (spread, shape) in shapes.items():
            weights = torch.tensor(rng.normal(0, spread, shape), dtype=torch.float32)
            setattr(self, name, torch.nn.Parameter(weights))

    def forward(self, x):
        return torch.tanh(x.flatten(1) @ self.first.T) @ self.last.T

def make():
    return NetworkOracle("mine", Network(), length=44, targets=["one", "two"])

def with_tss():
    return NetworkOracle("tss", Cut(), length=40, targets=["one", "two"], tss=30)

class Cut(Network):
    def forward(self, x):
        return super().forward(torch.nn.functional.pad(x, (2, 2)))

class Plain:
    name, alphabet, length, strand, unknown, hash = "plain", "ACGT", None, "given", "", "0"
    targets = ["one", "two"]
    def predict(self, tokens, anchor=None):
        return make().predict(np.pad(tokens, ((0, 0), (2, 2)), constant_values=4))

def plain():
    return Plain()
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def geneq(*words) -> int:
    return cli.main([*map(str, words), "--threads", "1"])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """genome/, mine.py, and loci/ as score and surrogate leave them; "over" without errors."""
    folder = tmp_path_factory.mktemp("variants")
    (folder / "in.fa").write_text("".join(f">{n}\n{s}\n" for n, s in CONTIGS.items()))
    (folder / "genome").mkdir()
    index_fasta(folder / "in.fa", folder / "genome")
    (folder / "mine.py").write_text(ORACLE)
    oracle = f"python:{folder / 'mine.py'}:make"
    rows = [",".join(map(str, (name, *LOCI[name], oracle, 1500, 0.1, *MUTATED[name])))
            for name in LOCI]  # fmt: skip
    header = "locus,chrom,start,end,strand,oracle,n,rate,window_start,window_end"
    (folder / "loci.csv").write_text("\n".join([header, *rows]) + "\n")
    genome = Genome(folder / "genome")
    for locus in open_loci(folder / "loci.csv"):
        mave = score(locus.recipe(genome), load_oracle(locus.oracle))
        replicates = 0 if locus.locus == "over" else 20
        surrogates.fit(mave, replicates=replicates).save(folder / "loci" / locus.locus)
        locus.save(folder / "loci" / locus.locus)
    return folder


def run(made: Path, out: Path, *lines: str, options=(), status: int = 0) -> pd.DataFrame | None:
    """`geneq variants` of these lines of a VCF: the table of effects."""
    out.mkdir(exist_ok=True)
    (out / "in.vcf").write_text(vcf_text(*lines))
    inputs = ("--vcf", out / "in.vcf", "--genome", made / "genome", "--surrogates", made / "loci")
    assert geneq("variants", *inputs, *options, "--out", out / "out") == status
    return VARIANTS.read(out / "out" / "variants.parquet") if status == 0 else None


def line(chrom: str, start: int, size: int, alt: str, name: str = ".") -> str:
    """A line of a VCF; start is 0-based."""
    return f"{chrom}|{start + 1}|{name}|{CONTIGS[chrom][start : start + size]}|{alt}"


def other(base: str, by: int = 1) -> str:
    return "ACGT"[("ACGT".index(base) + by) % 4]


def about(out: Path) -> dict:
    return json.loads((out / "out" / "variants.json").read_text())


def counts(out: Path) -> dict[str, int]:
    return {reason: found["n"] for reason, found in about(out)["skipped"].items()}


def scores(made: Path, sequences: list[str], function: str = "make") -> np.ndarray:
    """What the oracle gives, with N around where it is longer."""
    oracle = load_oracle(f"python:{made / 'mine.py'}:{function}")
    pad = (oracle.length - LENGTH) // 2
    tokens = np.pad(encoding.tokens(sequences), ((0, 0), (pad, pad)), constant_values=4)
    return oracle.predict(tokens)


def expected(made: Path, name: str, start: int, ref: str, alt: str, fixed=20, function="make"):
    """float[targets] of the reference implementation."""
    chrom, first, end, strand = LOCI[name]
    place = (first, end, strand, fixed)
    contig = CONTIGS[chrom]
    pair = [twin.in_locus(contig, start, ref, a, *place) for a in (ref, alt)]
    before, after = scores(made, pair, function)
    return after - before


def of(table: pd.DataFrame, **fields) -> pd.DataFrame:
    for name, value in fields.items():
        table = table[table[name] == value]
    return table


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plus", "minus", "over"])
def test_substitutions_have_the_effect_of_the_sequence_with_them(made, tmp_path, name):
    chrom, starts = LOCI[name][0], range(*MUTATED[name])
    alts = {i: other(CONTIGS[chrom][i]) for i in starts}
    table = run(made, tmp_path, *[line(chrom, i, 1, alts[i]) for i in starts])
    assert set(table["locus"]) == {name} and len(table) == len(starts) * 2 * 4
    for i in starts[::5]:
        wanted = expected(made, name, i, CONTIGS[chrom][i], alts[i])
        for method in ("oracle", "ism"):
            found = of(table, pos=i + 1, method=method)
            assert found["target"].tolist() == ["one", "two"]
            np.testing.assert_allclose(found["effect"], wanted, atol=1e-5)
    assert (table["note"] == "").all() and table["effect"].notna().all()
    surrogate = Surrogate.load(made / "loci" / name)
    locus = Locus.load(made / "loci" / name)
    effects = of(table, method="surrogate", target="two")["effect"].to_numpy()
    tokens = np.repeat(surrogate.wild_type[None], len(starts) + 1, axis=0)
    for row, i in enumerate(starts, 1):
        tokens[row, locus.position(i)] = "ACGT".index(locus.symbol(alts[i]))
    predicted = surrogate.predict(tokens)[:, 1]
    np.testing.assert_allclose(effects, predicted[1:] - predicted[0], atol=1e-9)
    errors = of(table, method="surrogate", target="two")["error"]
    if name == "over":
        assert errors.isna().all()
    else:
        np.testing.assert_allclose(errors, surrogate.differences(tokens[1:], "two")[1], rtol=1e-9)
        assert (errors > 0).all() and errors.max() < np.std(effects)
    assert of(table, method="oracle")["error"].isna().all()
    oracle = of(table, method="oracle", target="two")["effect"]
    assert np.corrcoef(effects, oracle)[0, 1] > 0.95


def test_the_gradient_is_that_at_the_wild_type(made, tmp_path):
    """One small step along the direction of a substitution says the same."""
    chrom, first, end, _ = LOCI["over"]
    start = first + 11
    table = run(made, tmp_path, line(chrom, start, 1, other(CONTIGS[chrom][start])))
    module = load_oracle(f"python:{made / 'mine.py'}:make").module
    wild = Genome(made / "genome").tokens(*LOCI["over"])
    hot = torch.zeros(1, 4, 44)
    hot[0, wild.astype(int), 2 + np.arange(LENGTH)] = 1
    column, step = end - 1 - start, 1e-2
    new = "TGCA".index(other(CONTIGS[chrom][start]))
    moved = hot.clone()
    moved[0, wild[column], 2 + column] -= step
    moved[0, new, 2 + column] += step
    slope = ((module(moved) - module(hot)) / step).detach().numpy()[0]
    np.testing.assert_allclose(of(table, method="gradient")["effect"], slope, rtol=0.05, atol=5e-3)


def test_ism_and_gradient_add_up_over_bases_and_the_oracle_does_not(made, tmp_path):
    chrom, first, *_ = LOCI["plus"]
    start, ref = first + 10, CONTIGS[chrom][first + 10 : first + 13]
    alt = other(ref[0]) + ref[1] + other(ref[2], 2)
    singles = [line(chrom, start, 1, alt[0]), line(chrom, start + 2, 1, alt[2])]
    table = run(made, tmp_path, line(chrom, start, 3, alt), *singles)
    whole, parts = of(table, ref=ref), table[table["ref"] != ref]
    for method in ("ism", "gradient"):
        added = of(parts, method=method).groupby("target")["effect"].sum()
        np.testing.assert_allclose(of(whole, method=method)["effect"], added, atol=1e-5)
    found = of(whole, method="oracle")["effect"]
    np.testing.assert_allclose(found, expected(made, "plus", start, ref, alt), atol=1e-5)
    assert np.abs(found - of(whole, method="ism")["effect"].to_numpy()).max() > 1e-3
    assert of(whole, method="surrogate")["effect"].notna().all()


@pytest.mark.parametrize("name", ["plus", "over"])
@pytest.mark.parametrize("function", ["make", "with_tss"])
@pytest.mark.parametrize(
    ("at", "size", "alt"),
    [(5, 4, 1), (30, 4, 1), (5, 1, 4), (30, 1, 4), (18, 5, 2), (34, 1, 3), (1, 12, 5), (3, 2, 1)],
)
def test_indels_move_the_nearer_end(made, tmp_path, name, function, at, size, alt):
    chrom, first, *_ = LOCI[name]
    start, fixed = first + at, 20 if function == "make" else 30
    ref = CONTIGS[chrom][start : start + size]
    new = ref[0] + "ACGTACGT"[: alt - 1]
    oracle = ("--oracle", f"python:{made / 'mine.py'}:{function}")
    table = run(made, tmp_path, line(chrom, start, size, new), options=oracle)
    wanted = expected(made, name, start, ref, new, fixed, function)
    np.testing.assert_allclose(of(table, method="oracle")["effect"], wanted, atol=1e-5)
    others = table[table["method"] != "oracle"]
    assert others["effect"].isna().all() and (others["note"] == INDEL).all()


def test_no_sequence_is_scored_twice(made, tmp_path, monkeypatch):
    counted = tmp_path / "counted.py"
    own = str(made / "mine.py")
    counted.write_text(f"""
from geneq.oracles.user import user_function

def make():
    oracle = user_function({own!r} + ":make")()
    class Counting(type(oracle)):
        def predict(self, tokens, anchor=None):
            with open({str(tmp_path / "seen")!r}, "a") as file:
                file.writelines(row.tobytes().hex() + "\\n" for row in tokens)
            return super().predict(tokens, anchor)
    oracle.__class__ = Counting
    return oracle
""")
    chrom, first, *_ = LOCI["plus"]
    singles = [line(chrom, first + i, 1, other(CHR1[first + i])) for i in (5, 6, 20)]
    double = line(chrom, first + 5, 2, other(CHR1[first + 5]) + other(CHR1[first + 6]))
    oracle = ("--oracle", f"python:{counted}:make", "--methods", "ism", "oracle")
    run(made, tmp_path, *singles, double, options=oracle)
    seen = (tmp_path / "seen").read_text().split()
    assert len(seen) == len(set(seen)) == 5  # the genome's, three singles, a double


def test_both_strands_count_where_that_is_asked_for(made, tmp_path):
    chrom, first, *_ = LOCI["plus"]
    start = first + 8
    alt = other(CONTIGS[chrom][start])
    options = ("--reverse_complement", "--methods", "ism", "gradient", "oracle")
    table = run(made, tmp_path, line(chrom, start, 1, alt), options=options)
    place = (CONTIGS[chrom], start, CONTIGS[chrom][start])
    pair = [[twin.in_locus(*place, symbol, 50, 90, strand, 20) for strand in "+-"]
            for symbol in (place[2], alt)]  # fmt: skip
    wanted = np.subtract(*(scores(made, both).mean(0) for both in pair[::-1]))
    np.testing.assert_allclose(of(table, method="oracle")["effect"], wanted, atol=1e-5)
    np.testing.assert_allclose(of(table, method="ism")["effect"], wanted, atol=1e-5)
    # Tanh is close to linear for one substitution of forty.
    gradient = of(table, method="gradient")["effect"]
    np.testing.assert_allclose(gradient, wanted, atol=0.3 * np.abs(wanted).max())
    assert list(table["method"].unique()) == ["ism", "gradient", "oracle"]


# --- variants without effects --------------------------------------------------------------------


def test_the_note_says_why_a_method_has_no_effect(made, tmp_path):
    chrom, first, *_ = LOCI["plus"]
    lines = {
        "fixed": line(chrom, first, 1, other(CHR1[first])),
        "long": line(chrom, first + 2, 1, CHR1[first + 2] + "ACGTACGT"),
        "unknown": line(chrom, first + 20, 1, "N"),
    }
    gap = f"chr1|151|gap|{'A'}|C"
    texts = [text.replace("|.|", f"|{name}|") for name, text in lines.items()]
    table = run(made, tmp_path, *texts, gap)
    notes = {key: set(group) for key, group in table.groupby("id")["note"]}
    assert notes == {"fixed": {"", NOT_MUTATED}, "long": {TOO_LONG}, "unknown": {NO_BASE},
                     "gap": {NO_BASE}}  # fmt: skip
    silent = table["note"] != ""
    assert table.loc[silent, "effect"].isna().all() and table.loc[~silent, "effect"].notna().all()
    assert set(of(table, id="fixed", note=NOT_MUTATED)["method"]) == {"surrogate"}


def test_a_lone_insertion_that_does_not_fit_is_noted(made, tmp_path):
    first = LOCI["over"][1]
    base = CONTIGS["chr2"][first + 2]
    table = run(made, tmp_path, line("chr2", first + 2, 1, base + other(base) * 9))
    assert set(table["note"]) == {TOO_LONG} and table["effect"].isna().all() and len(table) == 8


def test_an_oracle_without_a_module_has_no_gradient(made, tmp_path):
    options = ("--oracle", f"python:{made / 'mine.py'}:plain")
    text = line("chr1", 60, 1, other(CHR1[60]))
    table = run(made, tmp_path, text, options=options)
    assert set(of(table, method="gradient")["note"]) == {NO_MODULE}
    rest = table[table["method"] != "gradient"]
    assert rest["effect"].notna().all()


def test_unknown_bases_beside_a_variant_do_not_matter(made, tmp_path):
    start = 148  # two symbols from the Ns of "minus"
    alt = other(CHR1[start])
    table = run(made, tmp_path, line("chr1", start, 1, alt))
    found = of(table, method="oracle")["effect"]
    np.testing.assert_allclose(found, expected(made, "minus", start, CHR1[start], alt), atol=1e-5)
    assert (table["note"] == "").all()


# --- which variants -------------------------------------------------------------------------------


def test_what_is_skipped_is_counted_and_printed(made, tmp_path, capsys):
    wrong = other(CHR1[60], 2)
    lines = [
        line("chr1", 60, 1, f"{other(CHR1[60])},<DEL>,*", "many"),
        f"chr1|62|.|{other(CHR1[61])}|{wrong if wrong != other(CHR1[61]) else CHR1[61]}",
        line("chr1", 10, 1, other(CHR1[10])),
        line("chr2", 10, 1, other(CONTIGS["chr2"][10])),
        line("chr1", 86, 6, CHR1[86]),
        line("chr1", 49, 1, CHR1[49] + other(CHR1[49])),
        line("chr1", 89, 1, CHR1[89] + other(CHR1[89])),
        line("chr1", 70, 1, other(CHR1[70])),
        line("chr1", 71, 1, other(CHR1[71])),
    ]
    table = run(made, tmp_path, *lines)
    assert set(table["pos"]) == {61, 71, 72}
    assert counts(tmp_path) == {
        "symbolic": 1, "overlapping_deletion": 1, "reference_differs": 1,
        "outside_every_locus": 4, "across_an_end_of_a_locus": 1,
    }  # fmt: skip
    said = capsys.readouterr().out
    assert "3 of 8 variants in 3 loci" in said
    assert f"skipped: 4 outside_every_locus (such as line 5: chr1:11 {CHR1[10]}>" in said
    assert about(tmp_path)["failed"] == []


def test_a_variant_in_no_locus_gives_an_empty_table(made, tmp_path):
    table = run(made, tmp_path, line("chr1", 10, 1, other(CHR1[10])))
    assert table.empty and about(tmp_path)["inside"] == 0


def test_each_alternative_of_a_line_is_a_variant(made, tmp_path):
    ref = CHR1[75]
    alts = [other(ref, by) for by in (1, 2, 3)]
    table = run(made, tmp_path, line("chr1", 75, 1, ",".join(alts)))
    found = of(table, method="oracle", target="one").set_index("alt")["effect"]
    wanted = {alt: expected(made, "plus", 75, ref, alt)[0] for alt in alts}
    np.testing.assert_allclose(found[alts], [wanted[alt] for alt in alts], atol=1e-5)


def test_the_surrogate_alone_needs_no_oracle(made, tmp_path):
    loci = shutil.copytree(made / "loci" / "plus", tmp_path / "loci" / "plus")
    replace(Locus.load(loci), oracle="deepstarr:absent.h5").save(loci)
    (tmp_path / "in.vcf").write_text(vcf_text(line("chr1", 60, 1, other(CHR1[60]))))
    words = ("variants", "--vcf", tmp_path / "in.vcf", "--genome", made / "genome",
             "--surrogates", tmp_path / "loci", "--out", tmp_path / "out")  # fmt: skip
    assert geneq(*words, "--methods", "surrogate") == 0
    table = VARIANTS.read(tmp_path / "out" / "variants.parquet")
    assert set(table["method"]) == {"surrogate"} and table["effect"].notna().all()


def test_a_locus_that_fails_is_named_and_does_not_sink_the_others(made, tmp_path, capsys):
    loci = shutil.copytree(made / "loci", tmp_path / "loci")
    # The surrogate of another sequence, as of another build of the genome.
    for file in ("surrogate.npz", "surrogate.json"):
        (loci / "over" / file).write_bytes((loci / "plus" / file).read_bytes())
    texts = [line(LOCI[n][0], LOCI[n][1] + 9, 1, other(CONTIGS[LOCI[n][0]][LOCI[n][1] + 9]))
             for n in LOCI]  # fmt: skip
    (tmp_path / "in.vcf").write_text(vcf_text(*texts))
    words = ("variants", "--vcf", tmp_path / "in.vcf", "--genome", made / "genome")
    assert geneq(*words, "--surrogates", loci, "--out", tmp_path / "out") == 0
    table = VARIANTS.read(tmp_path / "out" / "variants.parquet")
    assert set(table["locus"]) == {"plus", "minus"}
    failed = pd.read_csv(tmp_path / "out" / "failed.tsv", sep="\t")
    assert failed["locus"].tolist() == ["over"] and failed["stage"].tolist() == ["variants"]
    assert "a sequence that differs from the genome" in failed["message"][0]
    assert "1 of 3 failed" in capsys.readouterr().out


def test_loci_are_called_as_their_folders(made, tmp_path):
    """So a copy of a locus, for example fitted in another way, is listed beside the first."""
    for name in ("plus", "copy"):
        shutil.copytree(made / "loci" / "plus", tmp_path / "loci" / name)
    start = LOCI["plus"][1] + 9
    text = line("chr1", start, 1, other(CONTIGS["chr1"][start]))
    (tmp_path / "in.vcf").write_text(vcf_text(text))
    words = ("--vcf", tmp_path / "in.vcf", "--genome", made / "genome", "--methods", "surrogate")
    words += ("--surrogates", tmp_path / "loci")
    assert geneq("variants", *words, "--out", tmp_path / "out") == 0
    table = VARIANTS.read(tmp_path / "out" / "variants.parquet")
    assert table["locus"].tolist() == ["copy"] * 2 + ["plus"] * 2


def test_a_target_that_the_surrogate_lacks_is_an_error_of_the_locus(made, tmp_path, capsys):
    loci = tmp_path / "loci" / "plus"
    shutil.copytree(made / "loci" / "plus", loci)
    replace(Locus.load(loci), target="three").save(loci)
    (tmp_path / "in.vcf").write_text(vcf_text(line("chr1", 60, 1, other(CHR1[60]))))
    words = ("variants", "--vcf", tmp_path / "in.vcf", "--genome", made / "genome")
    assert geneq(*words, "--surrogates", tmp_path / "loci", "--out", tmp_path / "out") == 0
    failed = (tmp_path / "out" / "failed.tsv").read_text()
    assert "no such target: 'three'. It has one, two." in failed


def test_a_principal_component_is_refused(made, tmp_path, capsys):
    run(made, tmp_path, line("chr1", 60, 1, "A"), options=("--reduce", "pc1"), status=1)
    assert "--reduce pc1 is relative to a library" in capsys.readouterr().err


def test_a_vcf_without_variants_gives_an_empty_table(made, tmp_path, capsys):
    assert run(made, tmp_path).empty
    assert "0 of 0 variants in 3 loci" in capsys.readouterr().out


def test_a_folder_without_loci_is_refused(made, tmp_path, capsys):
    (tmp_path / "in.vcf").write_text(vcf_text(line("chr1", 60, 1, "A")))
    words = ("variants", "--vcf", tmp_path / "in.vcf", "--genome", made / "genome")
    assert geneq(*words, "--surrogates", tmp_path, "--out", tmp_path / "out") == 1
    assert "No loci found" in capsys.readouterr().err


# --- beside measured effects ----------------------------------------------------------------------

# An oracle that is right about what matters, through a curve, and rough besides: any change to a
# sequence also changes its score a little, by no rule that a library shows.
ROUGH = """
import numpy as np
from geneq import encoding

WILD = encoding.tokens("{wild}")[0]
ALL = np.arange(50)

def phi(tokens):
    effects = np.random.default_rng(5).laplace(0, 0.2, (50, 5))
    return (effects[ALL, tokens] - effects[ALL, WILD]).sum(1)

class Rough:
    name, alphabet, length, strand, unknown, hash = "rough", "ACGT", 50, "given", "", "1"
    targets = ["activity"]
    def predict(self, tokens, anchor=None):
        angles = np.random.default_rng(6).normal(0, 3, (8, 50, 5))
        rough = 0.06 * sum(np.cos(each[ALL, tokens].sum(1)) for each in angles)
        return (np.tanh(phi(tokens)) + rough)[:, None].astype(np.float32)

    def measured(self, tokens):
        return 2 / (1 + np.exp(-1.5 * phi(tokens)))

def make():
    return Rough()
"""


@pytest.fixture(scope="module")
def saturation(tmp_path_factory) -> Path:
    """A saturation-mutagenesis experiment: genome, loci/site, in.vcf and truth.tsv.

    Every substitution of a minus-strand locus was measured: through another curve than the
    oracle's, and with noise.
    """
    folder = tmp_path_factory.mktemp("saturation")
    (folder / "in.fa").write_text(f">chr1\n{SYMBOLS}\n")
    (folder / "genome").mkdir()
    index_fasta(folder / "in.fa", folder / "genome")
    wild = SYMBOLS[200:250]
    turned = encoding.reverse_complement([wild])[0]
    (folder / "rough.py").write_text(ROUGH.format(wild=turned))
    spec = f"python:{folder / 'rough.py'}:make"
    header = "locus,chrom,start,end,strand,oracle,n,rate"
    (folder / "loci.csv").write_text(f"{header}\nsite,chr1,200,250,-,{spec},8000,0.1\n")
    genome = ("--genome", folder / "genome")
    assert geneq("score", "--loci", folder / "loci.csv", *genome, "--out", folder / "score") == 0
    assert geneq("surrogate", "--scores", folder / "score", "--out", folder / "loci") == 0
    oracle = user_function(spec.removeprefix("python:"))()
    rng = np.random.default_rng(8)
    mutants = [(i, base) for i in range(50) for base in "ACGT" if base != wild[i]]
    sequences = [wild] + [wild[:i] + base + wild[i + 1 :] for i, base in mutants]
    before, *after = oracle.measured(encoding.reverse_complement(encoding.tokens(sequences)))
    values = np.array(after) - before + rng.normal(0, 0.03, len(mutants))
    table = pd.DataFrame({
        "chrom": "1", "pos": [201 + i for i, _ in mutants], "ref": [wild[i] for i, _ in mutants],
        "alt": [base for _, base in mutants], "value": values, "barcodes": 12,
    })  # fmt: skip
    table.to_csv(folder / "truth.tsv", sep="\t", index=False)
    lines = [f"chr1|{row.pos}|.|{row.ref}|{row.alt}" for row in table.itertuples()]
    (folder / "in.vcf").write_text(vcf_text(*lines, f"chr1|210|.|{wild[9]}|{wild[9]}ACGTTT"))
    return folder


def beside(folder: Path, out: Path, truth: Path | None = None) -> int:
    words = ("--vcf", folder / "in.vcf", "--genome", folder / "genome")
    words += ("--surrogates", folder / "loci")
    return geneq("variants", *words, "--truth", truth or folder / "truth.tsv", "--out", out)


def test_a_saturation_experiment_shows_which_method_agrees_best(saturation, tmp_path, capsys):
    assert beside(saturation, tmp_path) == 0
    assert "measured effects: 150 of 150 rows matched" in capsys.readouterr().out
    found = AGREEMENT.read(tmp_path / "agreement.parquet").set_index("method")
    assert found.index.tolist() == ["surrogate", "ism", "oracle"]
    assert (found["n"] == 150).all()
    assert found["pearson"]["surrogate"] > 0.9 and found["spearman"]["surrogate"] > 0.85
    assert found["pearson"]["surrogate"] > found["pearson"]["ism"] + 0.05
    tests = COMPARISONS.read(tmp_path / "comparisons.parquet")
    tests = tests.set_index(["method_1", "method_2", "kind"])
    for kind in ("pearson", "spearman"):
        better = tests.loc[("surrogate", "ism", kind)]
        assert better["difference"] > 0 and better["p"] < 1e-4
        assert better["r_1"] == pytest.approx(found[kind]["surrogate"])
        same = tests.loc[("ism", "oracle", kind)]
        assert abs(same["difference"]) < 1e-6 and same["p"] > 0.9


def test_correlations_are_those_of_the_joined_tables(saturation, tmp_path):
    assert beside(saturation, tmp_path) == 0
    effects = VARIANTS.read(tmp_path / "variants.parquet")
    truth = pd.read_csv(saturation / "truth.tsv", sep="\t")
    found = AGREEMENT.read(tmp_path / "agreement.parquet").set_index("method")
    for method, group in effects[effects["effect"].notna()].groupby("method"):
        both = group.merge(truth, on=["pos", "ref", "alt"])
        known = stats.pearsonr(both["effect"], both["value"])
        assert found["pearson"][method] == pytest.approx(known.statistic)
        low, high = known.confidence_interval(0.95)
        assert (found["low"][method], found["high"][method]) == pytest.approx((low, high))
        wanted = stats.spearmanr(both["effect"], both["value"]).statistic
        assert found["spearman"][method] == pytest.approx(wanted)


def test_tables_with_comments_and_capitals_are_read(saturation, tmp_path):
    text = (saturation / "truth.tsv").read_text()
    header = "##Value\tEstimated variant effect\t\t\n#Chrom\tPos\tRef\tAlt\tValue\tConfidence\n"
    path = tmp_path / "truth.tsv"
    path.write_text(header + text.partition("\n")[2])
    assert beside(saturation, tmp_path / "a") == beside(saturation, tmp_path / "b", path) == 0
    first, second = (AGREEMENT.read(tmp_path / name / "agreement.parquet") for name in "ab")
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".parquet"])
def test_measured_effects_are_read_from_any_table_and_spelling(saturation, tmp_path, suffix):
    """A contig without "chr", lower case, shared symbols, "-" for none: the same variants."""
    truth = pd.read_csv(saturation / "truth.tsv", sep="\t", dtype={"chrom": str})
    padded = truth["pos"] > 201
    before = [
        SYMBOLS[pos - 2] if far else "" for pos, far in zip(truth["pos"], padded, strict=True)
    ]
    truth["ref"], truth["alt"] = before + truth["ref"].str.lower(), before + truth["alt"]
    truth["pos"] -= padded.astype(int)
    path = tmp_path / f"truth{suffix}"
    if suffix == ".parquet":
        truth.assign(chrom=truth["chrom"].astype(int)).to_parquet(path)
    else:
        truth.to_csv(path, sep="," if suffix == ".csv" else "\t", index=False)
    assert beside(saturation, tmp_path / "a") == beside(saturation, tmp_path / "b", path) == 0
    first, second = (AGREEMENT.read(tmp_path / name / "agreement.parquet") for name in "ab")
    pd.testing.assert_frame_equal(first, second)


def test_deletions_may_be_spelled_with_a_dash(saturation, tmp_path):
    wild = SYMBOLS[200:250]
    pairs = [(i, wild[i]) for i in range(10, 30) if wild[i - 1] != wild[i] != wild[i + 1]]
    lines = [f"chr1|{200 + i}|.|{wild[i - 1 : i + 1]}|{wild[i - 1]}" for i, _ in pairs]
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("genome", "loci"):
        (folder / name).symlink_to(saturation / name)
    (folder / "in.vcf").write_text(vcf_text(*lines))
    rows = "".join(f"chr1\t{201 + i}\t{base}\t-\t{i}\n" for i, base in pairs)
    (folder / "truth.tsv").write_text("chrom\tpos\tref\talt\tvalue\n" + rows)
    assert beside(folder, tmp_path / "out") == 0
    found = AGREEMENT.read(tmp_path / "out" / "agreement.parquet")
    assert found[["method", "n"]].to_numpy().tolist() == [["oracle", len(pairs)]]
    assert len(pairs) > 5 and COMPARISONS.read(tmp_path / "out" / "comparisons.parquet").empty


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chrom,pos,ref,alt\n1,201,A,C\n", "lacks columns: 'value'.*It has chrom, pos, ref, alt"),
        ("#Chrom,Pos,Ref,Alt,RawScore,PHRED,Gene\n1,201,A,C,.1,2,X\n",
         "lacks columns: 'value'.*the measured effects 'value': RawScore or PHRED[.]"),
        ("chrom,start,value\n1,201,.1\n", "columns: 'pos, ref, alt'.*It has chrom, start, value"),
        ("chrom,pos,ref,alt,value\n1,201,A,C,high\n", r"value must be a finite number: 'rows 0 "),
        ("chrom,pos,ref,alt,value\n1,9,A,C,1\n1,201,A,C,inf\n", r"value must .*: 'rows 1 "),
        ("chrom;pos;ref;alt;value\n1;9;A;C;0,1\n", r"value must be a finite number: 'rows 0 "),
        ("chrom,pos,ref,alt,value\n1,201.5,A,C,1\n", "pos must be a whole number .*: 'rows 0 "),
        ("chrom,pos,ref,alt,value\n1,0,A,C,1\n", "pos must be a whole number of at least 1"),
        ("chrom,pos,ref,alt,value\n1,x,A,C,1\n", "pos must be a whole number of at least 1"),
        ("chrom,pos,ref,alt,value\n1,2,A,<DEL>,1\n", "ref and alt must be bases .*: 'rows 0 "),
        ("chrom,pos,ref,alt,value\n7,201,A,C,1\n", "variant is on a chromosome of the genome"),
        ("chrom,pos,ref,alt,value\n,,A,C,1\n", "variant is on a chromosome of the genome"),
        ("chrom,pos,ref,alt,value\n", "No measured variant is on a chromosome of the genome"),
        (f"chrom,pos,ref,alt,value\n1,201,{SYMBOLS[201]},N,1\n1,202,{SYMBOLS[202]},N,1\n"
         f"1,203,{SYMBOLS[202]},N,1\n", "measured variants differs from the genome: '2 of 3'"),
        ("chrom,pos,ref,alt,value\n1,999999,A,C,1\n", "differs from the genome"),
        ("", "Not a complete table"),
        ("chrom,pos,ref,alt,value\n1,2,A,C,1,9\n1,2,A,C,1,9\n", "Not a complete table: .*more"),
        ("chrom,pos,Pos,ref,alt,value\n1,2,2,A,C,1\n", "has duplicate columns: 'pos'"),
        ("chrom,pos,position,ref,alt,value\n1,2,2,A,C,1\n", "has duplicate columns: 'pos'"),
        ("chrom,pos,ref,alt,value,value\n1,2,A,C,1,2\n", "has duplicate columns: 'value'"),
        ("chrom,pos,ref,alt,value\n1,1e30,A,C,1\n", "pos must be a whole number of at least 1"),
    ],
)  # fmt: skip
def test_bad_tables_of_measured_effects_are_refused(saturation, tmp_path, capsys, text, message):
    path = tmp_path / "truth.csv"
    path.write_text(text)
    assert beside(saturation, tmp_path / "out", path) == 1
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert "truth.csv" in said
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_measured_variants_in_no_locus_agree_with_none(saturation, tmp_path, capsys):
    path = tmp_path / "truth.csv"
    path.write_text(f"chrom,pos,ref,alt,value\n1,9,{SYMBOLS[8]},N,1\n1,210,{SYMBOLS[209]},N,1\n")
    assert beside(saturation, tmp_path / "out", path) == 0
    said = capsys.readouterr().out
    assert "measured effects: 0 of 2 rows matched" in said
    assert f"not matched: 2 not_in_vcf (such as row 0: chr1:9 {SYMBOLS[8]}>N)" in said
    assert AGREEMENT.read(tmp_path / "out" / "agreement.parquet").empty
    assert COMPARISONS.read(tmp_path / "out" / "comparisons.parquet").empty
    assert len(VARIANTS.read(tmp_path / "out" / "variants.parquet"))


# --- which measurements are matched ---------------------------------------------------------------

# Runs of one base and repeats of two, with single bases between them.
RUNS = "GCATTTTTGACACACATGAAACGTTAGAGAGAGCCCCATATATGTCA"
REPEATS = "ACGTT" * 6 + RUNS + "CAGTT" * 6
LEFT, RIGHT = 30, 30 + len(RUNS)


@pytest.fixture(scope="module")
def repeats(tmp_path_factory) -> Path:
    """genome/, loci/ with the locus "runs" and what scores it, all of one contig with repeats."""
    folder = tmp_path_factory.mktemp("repeats")
    (folder / "in.fa").write_text(f">chr1\n{REPEATS}\n")
    (folder / "genome").mkdir()
    index_fasta(folder / "in.fa", folder / "genome")
    (folder / "sum.py").write_text("""
import numpy as np

class Sum:
    name, alphabet, length, strand, unknown, hash = "sum", "ACGT", None, "given", "", "2"
    targets = ["y"]
    def predict(self, tokens, anchor=None):
        weights = np.random.default_rng(1).normal(size=(tokens.shape[1], 5))
        return weights[np.arange(tokens.shape[1]), tokens].sum(1)[:, None].astype(np.float32)

def make():
    return Sum()
""")
    spec = f"python:{folder / 'sum.py'}:make"
    Locus("runs", "chr1", LEFT, RIGHT, spec).save(folder / "loci" / "runs")
    return folder


def deletions(size: int) -> dict[str, list[tuple[int, str, str]]]:
    """Every distinct deletion of that size in the locus: its sequence → all (start, ref, alt)."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for start in range(LEFT, RIGHT - size + 1):
        edited = REPEATS[:start] + REPEATS[start + size :]
        found.setdefault(edited, []).append((start, REPEATS[start : start + size], ""))
    return found


def compared(folder: Path, out: Path, lines: list[str], truth: str, *options) -> dict:
    """`geneq variants --truth` by the oracle alone: what variants.json has of it."""
    out.mkdir()
    (out / "in.vcf").write_text(vcf_text(*lines))
    (out / "truth.tsv").write_text(truth.replace("|", "\t"))
    words = (
        "--vcf",
        out / "in.vcf",
        "--genome",
        folder / "genome",
        "--surrogates",
        folder / "loci",
    )
    words += ("--truth", out / "truth.tsv", "--methods", *(options or ["oracle"]))
    assert geneq("variants", *words, "--out", out / "out") == 0
    return about(out)["truth"]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(("in_vcf", "in_table"), [(0, -1), (-1, 0), (-1, -1)])
def test_every_deletion_is_matched_with_its_own_value(repeats, tmp_path, size, in_vcf, in_table):
    """VCF and table place a deletion at either end of its repeat: 186 TT>T here, 187 T>- there."""
    lines, rows, wanted = [], ["chrom|pos|ref|alt|value"], {}
    for value, places in enumerate(deletions(size).values()):
        start, ref, _ = places[in_vcf]
        before = REPEATS[start - 1]
        lines.append(f"chr1|{start}|{value}|{before + ref}|{before}")
        start, ref, _ = places[in_table]
        rows.append(f"1|{start + 1}|{ref.lower()}|-|{value}.5")
        wanted[str(value)] = value + 0.5
    found = compared(repeats, tmp_path / "run", lines, "\n".join(rows) + "\n")
    assert found == {"measured": len(lines), "matched": len(lines), "averaged": 0, "skipped": {}}
    genome = Genome(repeats / "genome")
    truth = read_truth(tmp_path / "run" / "truth.tsv", genome)
    table = read_vcf(tmp_path / "run" / "in.vcf", genome).table
    truth = in_vcf_of(truth, table, genome)
    names = table["id"].iloc[truth.table["variant"]]
    assert dict(zip(names, truth.table["value"], strict=True)) == wanted
    agreement = AGREEMENT.read(tmp_path / "run" / "out" / "agreement.parquet")
    assert agreement["n"].tolist() == agreement["n_common"].tolist() == [len(lines)]
    effects = VARIANTS.read(tmp_path / "run" / "out" / "variants.parquet")
    both = np.corrcoef(effects["effect"], effects["id"].astype(float))[0, 1]
    assert agreement["pearson"][0] == pytest.approx(both)


def test_an_edit_of_a_repeat_that_begins_before_the_locus_is_outside(repeats, tmp_path):
    """The locus "runs" moved so that it begins within TTTTT: the leftmost place decides."""
    loci = shutil.copytree(repeats / "loci", tmp_path / "in" / "loci")
    (tmp_path / "in" / "genome").symlink_to(repeats / "genome")
    first = REPEATS.index("TTTTT") + 2
    replace(Locus.load(loci / "runs"), start=first).save(loci / "runs")
    line = f"chr1|{first + 2}|.|TTG|TG"
    rows = f"chrom|pos|ref|alt|value\nchr1|{first + 1}|T|-|1\n"
    found = compared(tmp_path / "in", tmp_path / "run", [line], rows)
    assert found["skipped"]["outside_every_locus"]["n"] == 1


def test_insertions_in_repeats_are_matched_too(repeats, tmp_path):
    at = REPEATS.index("TTTTT") + 1
    lines = [f"chr1|{at - 1}|.|A|AT", f"chr1|{REPEATS.index('ACACAC') + 6}|.|C|CAC"]
    rows = f"chrom|pos|ref|alt|value\nchr1|{at + 3}|T|TT|1\n"
    rows += f"chr1|{REPEATS.index('ACACAC')}|G|GAC|2\n"
    found = compared(repeats, tmp_path / "run", lines, rows)
    assert (found["matched"], found["skipped"]) == (2, {})


def test_rows_that_are_not_matched_are_counted_by_reason(repeats, tmp_path, capsys):
    run, other = LEFT + 3, {base: "ACGT"["CATG".index(base)] for base in "ACGT"}

    def snv(at: int, alt: str = "") -> str:
        return f"{at + 1}|{REPEATS[at]}|{alt or other[REPEATS[at]]}"

    places = [*range(LEFT + 8, LEFT + 22), 5, LEFT + 25]
    lines = [f"chr1|{snv(at).replace('|', '|.|', 1)}" for at in places]
    lines.append(f"chr1|{run}|.|{REPEATS[run - 1]}T|{REPEATS[run - 1]}")
    # The N of an alternative gets no effect by any method.
    lines.append(f"chr1|{LEFT + 2}|.|{REPEATS[LEFT + 1]}|N")
    rows = [
        "Chromosome|Position|Ref|Alt|Tags|Value|P-Value",
        *(f"1|{snv(at).replace('|', '|', 1)}|12|{i}.5|0.1" for i, at in enumerate(places[:12])),
        f"1||{REPEATS[40]}|C|3|0.5|0.1",
        f"|{snv(LEFT + 9)}|3|0.5|0.1",
        f"1|{snv(LEFT + 9)}|3||0.1",
        f"1|{snv(LEFT + 9)}|3|NA|0.1",
        f"1|{snv(LEFT + 9, 'R')}|3|0.5|0.1",
        f"1|{snv(LEFT + 9, '<DEL>')}|3|0.5|0.1",
        f"1|{snv(LEFT + 9, REPEATS[LEFT + 9])}|3|0.5|0.1",
        f"chrUn|{snv(LEFT + 9)}|3|0.5|0.1",
        f"1|{LEFT + 10}|{other[REPEATS[LEFT + 9]]}|{REPEATS[LEFT + 9]}|3|0.5|0.1",
        "1|999999|A|C|3|0.5|0.1",
        f"1|{snv(LEFT + 30)}|3|0.5|0.1",
        f"1|{snv(places[0])}|44|0.5|0.2",
        f"1|{snv(places[12])}|3|1|0.1",
        f"1|{snv(places[12])}|8|2|0.1",
        f"1|{run + 1}|T|-|3|1|0.1",
        f"1|{run + 3}|T|-|3|2|0.1",
        f"1|{snv(5)}|3|0.5|0.1",
        f"1|{snv(LEFT + 1, 'N')}|3|0.5|0.1",
    ]
    found = compared(repeats, tmp_path / "run", lines, "\n".join(rows) + "\n")
    assert found["measured"] == len(rows) - 1 and found["matched"] == 14
    assert found["averaged"] == 2
    assert {reason: of["n"] for reason, of in found["skipped"].items()} == {
        "no_position": 2,
        "no_value": 2,
        "iupac_code": 1,
        "malformed_allele": 1,
        "same_as_reference": 1,
        "contig_absent": 1,
        "reference_differs": 1,
        "beyond_contig": 1,
        "not_in_vcf": 1,
        "duplicated": 1,
        "several_values": 2,
        "outside_every_locus": 1,
        "no_effect": 1,
    }
    assert found["skipped"]["several_values"]["examples"] == [
        f"row {row}: chr1:{snv(places[12]).replace('|', ' ', 1).replace('|', '>')}"
        for row in (24, 25)
    ]
    said = capsys.readouterr().out
    assert f"measured effects: 14 of {len(rows) - 1} rows matched" in said
    assert "averaged: 2 rows with another spelling of the same edit" in said
    assert "not matched: 2 several_values (such as row 24: chr1:" in said
    assert "nan" not in said


def test_rows_of_one_edit_get_their_mean(repeats, tmp_path):
    """A deletion in TTTTT measured at each of its bases, beside deletions of single bases."""
    run = REPEATS.index("TTTTT")
    lines = [f"chr1|{run + i}|.|{REPEATS[run + i - 1 : run + i + 1]}|{REPEATS[run + i - 1]}"
             for i in range(8)]  # fmt: skip
    rows = "".join(f"1|{run + 1 + i}|{REPEATS[run + i]}|-|{2**i}\n" for i in range(8))
    found = compared(repeats, tmp_path / "run", lines, "chrom|pos|ref|alt|value\n" + rows)
    assert found == {"measured": 8, "matched": 8, "averaged": 5, "skipped": {}}
    effects = VARIANTS.read(tmp_path / "run" / "out" / "variants.parquet")
    assert len(effects) == 4
    agreement = AGREEMENT.read(tmp_path / "run" / "out" / "agreement.parquet")
    r = np.corrcoef(effects["effect"], [31 / 5, 32, 64, 128])[0, 1]
    assert agreement["n"].tolist() == [4] and agreement["pearson"][0] == pytest.approx(r)


def test_measured_variants_of_a_failed_locus_are_counted(repeats, tmp_path, capsys):
    loci = shutil.copytree(repeats / "loci", tmp_path / "loci")
    replace(Locus.load(loci / "runs"), target="none").save(loci / "runs")
    place = f"{LEFT + 9}|{REPEATS[LEFT + 8]}|N"
    (tmp_path / "in.vcf").write_text(vcf_text("chr1|" + place.replace("|", "|.|", 1)))
    (tmp_path / "t.tsv").write_text(f"chrom|pos|ref|alt|value\n1|{place}|1\n".replace("|", "\t"))
    words = ("--vcf", tmp_path / "in.vcf", "--genome", repeats / "genome", "--surrogates", loci)
    words += ("--truth", tmp_path / "t.tsv", "--methods", "oracle", "--out", tmp_path / "out")
    assert geneq("variants", *words) == 0
    found = json.loads((tmp_path / "out" / "variants.json").read_text())["truth"]
    assert found["matched"] == 0 and found["skipped"]["locus_failed"]["n"] == 1


def test_methods_are_compared_over_the_variants_that_all_have(saturation, tmp_path):
    """Only the oracle has the deletions: r over the common variants is beside its own."""
    wild = SYMBOLS[200:250]
    places = [i for i in range(10, 40) if wild[i - 1] != wild[i]]
    lines = [f"chr1|{200 + i}|.|{wild[i - 1 : i + 1]}|{wild[i - 1]}" for i in places]
    old = (saturation / "in.vcf").read_text()
    for name in ("genome", "loci"):
        (tmp_path / name).symlink_to(saturation / name)
    (tmp_path / "in.vcf").write_text(
        old + vcf_text(*lines).partition("ALT\tQUAL\tFILTER\tINFO\n")[2]
    )
    rows = "".join(f"1\t{201 + i}\t{wild[i]}\t-\t{7 * (-1) ** i}\t1\n" for i in places)
    (tmp_path / "truth.tsv").write_text((saturation / "truth.tsv").read_text() + rows)
    assert beside(tmp_path, tmp_path / "out") == beside(saturation, tmp_path / "plain") == 0
    found, plain = (
        AGREEMENT.read(tmp_path / name / "agreement.parquet").set_index("method")
        for name in ("out", "plain")
    )
    assert found["n"].to_dict() == {"surrogate": 150, "ism": 150, "oracle": 150 + len(places)}
    assert (found["n_common"] == 150).all()
    for name in ("pearson", "low", "high", "spearman"):
        np.testing.assert_allclose(found[f"{name}_common"], plain[name])
        assert found[name]["surrogate"] == found[f"{name}_common"]["surrogate"]
    assert abs(found["pearson"]["oracle"] - found["pearson_common"]["oracle"]) > 0.1


# --- tables as they are published -----------------------------------------------------------------


def published(saturation: Path, path: Path, **columns) -> pd.DataFrame:
    """The experiment as tables of saturation-mutagenesis MPRAs are published."""
    truth = pd.read_csv(saturation / "truth.tsv", sep="\t")
    rng = np.random.default_rng(9)
    table = pd.DataFrame({
        "Chromosome": "1", "Position": truth["pos"].astype("Int64"), "Ref": truth["ref"],
        "Alt": truth["alt"], "Tags": rng.integers(5, 99, len(truth)),
        "DNA": rng.integers(99, 9999, len(truth)), "RNA": rng.integers(99, 9999, len(truth)),
        "Value": truth["value"], "P-Value": rng.uniform(size=len(truth)), **columns,
    })  # fmt: skip
    table.to_csv(path, sep="\t", index=False)
    return table


def test_a_published_table_is_read_in_one_go(saturation, tmp_path, capsys, recwarn):
    """Other names and columns, positions that are missing, elements elsewhere in the genome."""
    table = published(saturation, tmp_path / "t.tsv", Element="site")
    far = table.assign(Chromosome="X", Element="far")
    lost = table.head(3).assign(Position=pd.NA, Ref=pd.NA)
    # So long that pandas would read it in parts of different types.
    whole = pd.concat([table, *[far] * 300, lost])
    whole.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    recwarn.clear()
    assert beside(saturation, tmp_path / "a") == 0
    assert beside(saturation, tmp_path / "b", tmp_path / "t.tsv") == 0
    first, second = (AGREEMENT.read(tmp_path / name / "agreement.parquet") for name in "ab")
    pd.testing.assert_frame_equal(first, second)
    said = capsys.readouterr()
    assert "not matched: 3 no_position" in said.out
    assert "not matched: 45,000 contig_absent" in said.out
    assert "arning" not in said.err
    assert [one.message for one in recwarn if one.category is not ResourceWarning] == []


def test_experiments_of_one_table_are_told_apart_by_their_column(saturation, tmp_path, capsys):
    table = published(saturation, tmp_path / "t.tsv")
    rng = np.random.default_rng(2)
    second = table.assign(
        Element="TERT-HEK", Value=table["Value"] + 1, DNA=rng.integers(0, 9999, 150)
    )
    both = pd.concat([table.assign(Element="TERT-GBM"), second])
    both.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    assert beside(saturation, tmp_path / "out", tmp_path / "t.tsv") == 1
    said = capsys.readouterr().err
    assert "has several experiments: a variant has a value in each" in said
    assert "'column Element: TERT-GBM, TERT-HEK' (in" in said
    assert "Keep the rows of one, for example those with TERT-GBM in the column Element" in said


def test_replicates_without_a_column_that_tells_them_apart_are_counted(
    saturation, tmp_path, capsys
):
    table = published(saturation, tmp_path / "t.tsv")
    again = table.head(20).assign(Value=0.25)
    pd.concat([table, again]).to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    assert beside(saturation, tmp_path / "out", tmp_path / "t.tsv") == 0
    said = capsys.readouterr().out
    assert "measured effects: 130 of 170 rows matched" in said
    assert "not matched: 40 several_values" in said


def test_experiments_on_other_variants_do_not_matter(saturation, tmp_path, capsys):
    table = published(saturation, tmp_path / "t.tsv", Element="site")
    at = list(range(20, 60))
    other_place = table.head(40).assign(
        Position=[i + 1 for i in at], Ref=[SYMBOLS[i] for i in at], Alt="N", Element="a"
    )
    second = other_place.assign(Element="b", Value=3)
    pd.concat([table, other_place, second]).to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    assert beside(saturation, tmp_path / "out", tmp_path / "t.tsv") == 0
    assert "150 of 230 rows matched" in capsys.readouterr().out


def test_a_table_of_another_kind_or_none_is_refused(saturation, tmp_path, capsys):
    assert beside(saturation, tmp_path / "out", tmp_path / "truth.xlsx") == 1
    assert "A table must be .tsv, .csv or .parquet" in capsys.readouterr().err
    assert beside(saturation, tmp_path / "out", tmp_path / "truth.csv") == 1
    assert "File not found" in capsys.readouterr().err


# --- Williams' test -------------------------------------------------------------------------------


def test_williams_t_is_the_published_one():
    """The example of R's psych::r.test: n = 103, r12 = 0.4, r13 = 0.5, r23 = 0.1."""
    t, p = williams(0.4, 0.5, 0.1, 103)
    assert (round(t, 2), round(p, 2)) == (-0.89, 0.37)
    assert williams(0.5, 0.4, 0.1, 103) == pytest.approx((-t, p))


def test_williams_p_is_uniform_where_methods_agree_alike():
    rng, n = np.random.default_rng(3), 60
    p = []
    for _ in range(1000):
        y, shared = rng.normal(size=(2, n))
        a, b = (y + shared + rng.normal(size=n) for _ in range(2))
        r = np.corrcoef([y, a, b])
        p.append(williams(r[0, 1], r[0, 2], r[1, 2], n)[1])
    assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("of_a", "of_b", "between", "n", "wanted"),
    [
        (0.4, 0.4, 1.0, 50, (0.0, 1.0)),
        (0.4, 0.5, 0.1, 3, (np.nan, np.nan)),
        (np.nan, 0.5, 0.1, 30, (np.nan, np.nan)),
        (0.6, 0.6, 0.2, 30, (0.0, 1.0)),
    ],
)
def test_williams_at_its_limits(of_a, of_b, between, n, wanted):
    np.testing.assert_equal(williams(of_a, of_b, between, n), wanted)
