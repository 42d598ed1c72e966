"""Effects of variants on expression are those of sequences that were edited by hand."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest, pearsonr

from geneq import artifacts
from geneq.background import Background
from geneq.equations import Equation
from geneq.expression_model import ExpressionModel
from geneq.features import Features
from geneq.genome import Genome
from geneq.oracles import load_oracle
from geneq.oracles.motifs import MotifOracle
from geneq.teacher import Architecture, Scaling, Teacher, TrainedTeacher, shapes_of
from test_equation_oracle import document
from test_featurize import CHROMS, EDGES, PLACES, SEQUENCE, geneq, ran, write_inputs
from twins import encoding

SEED = 5
TYPES = ["T cell", "B, naive;x"]
NEAR = {chrom: [*places, (places[0][0] + 40, "-")] for chrom, places in PLACES.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A genome in which windows overlap, features of motifs and 2-mers, equations, a teacher, and
    a background."""
    folder = tmp_path_factory.mktemp("effects")
    write_inputs(folder)
    with open(folder / "genes.gtf", "a") as gtf:
        for chrom, places in NEAR.items():
            tss, strand = places[-1]
            fields = [chrom, "test", "gene", tss - 499, tss + 1, ".", strand, "."]
            gtf.write("\t".join(map(str, [*fields, f'gene_id "{chrom}_2x";'])) + "\n")
    edges = "--bin_edges=" + "/".join([",".join(map(str, EDGES)), "-80,0,70"])
    files = ("--fasta", folder / "genome.fa", "--gtf", folder / "genes.gtf", edges)
    ran("genes", "--genome", "g", *files, "--out", folder / "genome")
    oracle = ("--oracle", f"motifs:{folder / 'm.meme'}+kmers:2", "--max_classes", 4)
    ran("featurize", "--genome_dir", folder / "genome", *oracle, edges, "--out", folder / "f.zarr")
    features = Features.read(folder / "f.zarr")
    (folder / "distill" / "equations").mkdir(parents=True)
    (folder / "distill" / "equations" / "m.meme").symlink_to(folder / "m.meme")
    for i, cell_type in enumerate(TYPES):
        about = document(features) | {"cell_type": cell_type, "selected": True}
        about["constants"]["c1"] = 0.5 - i
        artifacts.write_json(about, folder / "distill" / "equations" / f"{i}.json")
    teacher(features).save(folder / "search")
    for name, more in (("background", ("--search", folder / "search")), ("equations_only", ())):
        ran("background", *inputs(folder), *more, "--n", 1500, "--out", folder / name)
    return folder


def inputs(folder, **other):
    paths = {"genome": folder / "genome", "equations": folder / "distill",
             "features": folder / "f.zarr", **other}  # fmt: skip
    return [word for name, path in paths.items() for word in (f"--{name}", path)]


def teacher(features: Features) -> TrainedTeacher:
    """Of random weights, on normal scores."""
    torch.manual_seed(SEED)
    network = Teacher(Architecture("normal", width=4, members=2), shapes_of(features), 2).eval()
    with torch.no_grad():  # heads begin at 0
        for weights in network.parameters():
            weights += 0.3 * torch.randn_like(weights)
    x, y = (
        features.matrix("normal"),
        np.random.default_rng(SEED).normal(5, 2, (len(features.gene_id), 2)),
    )
    classes = [block.classes for block in features.blocks]
    return TrainedTeacher(network, Scaling.of(x, y), classes, TYPES, {"features": features.about})


def write_vcf(path: Path, rows) -> Path:
    lines = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += ["\t".join([*map(str, row), ".", "PASS", "DP=3"]) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def variants(n=60):
    """Random substitutions, insertions and deletions around genes, as rows of a VCF."""
    rng, rows = np.random.default_rng(SEED), {}
    while len(rows) < n:
        chrom = str(rng.choice(CHROMS))
        tss = NEAR[chrom][rng.integers(3)][0]
        start, size = int(tss + rng.integers(-75, 75)), int(rng.integers(1, 7))
        ref = SEQUENCE[chrom][start : start + size]
        alt = "".join(rng.choice(list("ACGT"), int(rng.integers(1, 7))))
        if size > 1 and rng.random() < 0.3:
            alt = ref[0]
        if "N" not in ref and ref != alt:
            rows[chrom, start + 1, "v", ref, alt] = None
    return list(rows)


def effects_by_hand(made, row, gene, model) -> np.ndarray:
    """The contig edited as text, the window cut around the TSS where it then is."""
    chrom, pos, _, ref, alt = row
    tss, strand = NEAR[chrom][int(gene[-2])]
    while ref and alt and ref[0] == alt[0]:  # what changes: without shared bases at either end
        ref, alt, pos = ref[1:], alt[1:], pos + 1
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    start = pos - 1
    sequence = SEQUENCE[chrom]
    while bool(ref) != bool(alt) and sequence[start - 1] == (ref + alt)[-1]:  # leftmost
        start, ref, alt = start - 1, sequence[start - 1] + ref[:-1] if ref else "", (
            sequence[start - 1] + alt[:-1] if alt else "")  # fmt: skip
    edited = sequence[:start] + alt + sequence[start + len(ref) :]
    moved = tss + len(alt) - len(ref) if start + len(ref) <= tss else tss
    found = []
    for text, place in ((sequence, tss), (edited, moved)):
        first, end = model.window
        low, high = (
            (place + first, place + end) if strand == "+" else (place - end + 1, place - first + 1)
        )
        tokens = encoding.tokens(text[low:high])
        tokens = tokens if strand == "+" else encoding.reverse_complement(tokens)
        found.append(predicted(made, np.asarray(tokens, np.uint8)[None], model, gene))
    return found[1] - found[0]


def predicted(made, tokens, model, gene) -> np.ndarray:
    """Of a window: features by the oracles, then every equation and the teacher."""
    features, blocks = Features.read(made / "f.zarr"), []
    for block in features.blocks:
        oracle = load_oracle(block.name.replace(":m.meme", f":{made / 'm.meme'}"), 4)
        edges = np.subtract(block.meta["bin_edges"], model.window[0])
        scores = oracle.predict_bins(tokens[:, edges[0] : edges[-1]], edges - edges[0])
        blocks.append(replace(block, values=scores))
    features = Features(np.array([gene]), blocks, features.meta)
    found = [Equation.load(made / "distill" / "equations" / f"{i}.json").predict(features)[0]
             for i in range(2)]  # fmt: skip
    return np.array([*found, *TrainedTeacher.load(made / "search").predict(features)[0]])


def test_effects_are_those_of_edited_sequences(made, tmp_path):
    rows = variants()
    vcf = write_vcf(tmp_path / "v.vcf", rows)
    more = ("--search", made / "search", "--background", made / "background")
    ran("variants", "--vcf", vcf, *inputs(made), *more, "--out", tmp_path / "out")
    table = artifacts.EXPRESSION_EFFECTS.read(tmp_path / "out" / "expression_effects.parquet")
    model = ExpressionModel.open(
        made / "distill", made / "f.zarr", made / "search", Genome(made / "genome")
    )
    assert model.columns == [(m, t) for m in ("equation", "teacher") for t in TYPES]
    checked = 0
    for (chrom, pos, ref, alt, gene), group in table.groupby(
        ["chrom", "pos", "ref", "alt", "gene_id"]
    ):
        assert list(zip(group["method"], group["cell_type"], strict=True)) == model.columns
        if group["effect"].notna().all():
            expected = effects_by_hand(made, (chrom, pos, "v", ref, alt), gene, model)
            np.testing.assert_allclose(group["effect"], expected, atol=1e-5)
            checked += 1
    assert checked > 60, f"seed {SEED}"
    indels = table["ref"].str.len() != table["alt"].str.len()
    assert table.loc[indels, "effect"].abs().max() > 0.01
    # A window has others' variants, too.
    assert table.groupby(["chrom", "pos", "ref", "alt"])["gene_id"].nunique().max() == 2


def test_predictions_of_the_genome_are_those_of_its_features(made):
    genome = Genome(made / "genome")
    model = ExpressionModel.open(made / "distill", made / "f.zarr", made / "search", genome)
    genes = artifacts.GENES.read(made / "genome" / "genes.parquet")
    found = model.predict(genes["gene_id"].to_numpy())
    features = Features.read(made / "f.zarr").of_genes(genes["gene_id"])
    equation = Equation.load(made / "distill" / "equations" / "1.json")
    np.testing.assert_allclose(found[:, 1], equation.predict(features), atol=1e-6)
    predicted = TrainedTeacher.load(made / "search").predict(features)
    np.testing.assert_allclose(found[:, 2:], predicted, atol=1e-5)


def test_percentiles_of_random_substitutions_are_uniform(made, tmp_path):
    genome = Genome(made / "genome")
    model = ExpressionModel.open(made / "distill", made / "f.zarr", made / "search", genome)
    background = Background.read(made / "background", model, genome)
    ran("background", *inputs(made), "--search", made / "search", "--n", 600, "--seed", 9, "--out",
        tmp_path / "other")  # fmt: skip
    other = Background.read(tmp_path / "other", model, genome)
    for column in model.columns:
        assert len(background.sizes[column]) == 1500 and len(other.sizes[column]) == 600
        ranks = background.percentiles(column, other.sizes[column])
        # Of equations, many effects are 0, whose percentile is half their share.
        assert ranks.mean() == pytest.approx(50, abs=5)
        assert column[0] == "equation" or kstest(ranks / 100, "uniform").pvalue > 1e-3, column
    none, missing, *largest = background.percentiles(
        model.columns[0], np.array([0, np.nan, 1e9, -1e9])
    )
    assert none == pytest.approx(50 * (background.sizes[model.columns[0]] == 0).mean())
    assert np.isnan(missing) and largest == [100, 100]


# --- measured effects -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def predicted_effects(made, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """A VCF, and the effects of its variants by equation and teacher."""
    folder = tmp_path_factory.mktemp("measured")
    vcf = write_vcf(folder / "v.vcf", variants())
    ran("variants", "--vcf", vcf, *inputs(made), "--search", made / "search", "--out", folder / "o")
    return vcf, artifacts.EXPRESSION_EFFECTS.read(folder / "o" / "expression_effects.parquet")


def compared(made, vcf, truth: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, dict]:
    """Agreement by cell type and method, and what variants.json has of the measured effects."""
    truth.to_csv(folder / "truth.tsv", sep="\t", index=False)
    words = ("--vcf", vcf, *inputs(made), "--search", made / "search")
    ran("variants", *words, "--truth", folder / "truth.tsv", "--out", folder / "out")
    table = artifacts.EXPRESSION_AGREEMENT.read(folder / "out" / "agreement.parquet")
    about = json.loads((folder / "out" / "variants.json").read_text())["truth"]
    about["skipped"] = {reason: found["n"] for reason, found in about["skipped"].items()}
    return table.set_index(["cell_type", "method"]), about


def test_measured_effects_are_compared_in_every_cell_type(made, predicted_effects, tmp_path):
    vcf, effects = predicted_effects
    wide = effects.pivot_table(
        index=["chrom", "pos", "ref", "alt", "gene_id", "cell_type"],
        columns="method",
        values="effect",
    ).reset_index()
    rng = np.random.default_rng(SEED)
    measured = wide.assign(value=3 * wide["equation"] + rng.normal(0, 0.1, len(wide)))
    rows = measured[["chrom", "pos", "ref", "alt", "gene_id", "cell_type", "value"]]
    far = rows.loc[rows["chrom"] != rows["chrom"].iloc[0], "gene_id"].iloc[0]
    bad = rows.iloc[:4].assign(
        gene_id=["nonsense", "", far, rows["gene_id"].iloc[3]],
        cell_type=[TYPES[0], TYPES[0], TYPES[0], "unknown type"],
    )
    ref = SEQUENCE[rows["chrom"].iloc[0]][4]
    absent = rows.iloc[:1].assign(pos=5, ref=ref, alt="A" if ref != "A" else "C")
    twice = rows.iloc[4:5].assign(value=99)
    truth = pd.concat([rows.sample(frac=1, random_state=SEED), bad, absent, twice])
    table, about = compared(made, vcf, truth.rename(columns={"cell_type": "Cell_Type"}), tmp_path)
    used = measured.drop(index=4)
    for cell_type, group in used.groupby("cell_type"):
        for method in ("equation", "teacher"):
            row = table.loc[cell_type, method]
            assert row["n"] == row["n_common"] == len(group)
            assert row["pearson"] == pytest.approx(pearsonr(group[method], group["value"])[0])
            assert row["pearson_common"] == row["pearson"]
        assert table.loc[(cell_type, "equation"), "pearson"] > 0.9
    assert about["measured"] == len(truth) and about["matched"] == len(used)
    assert about["skipped"] == {
        "unknown_gene": 1, "no_gene": 1, "outside_the_window_of_its_gene": 1,
        "unknown_cell_type": 1, "not_in_vcf": 1, "several_values": 2,
    }  # fmt: skip
    pairs = artifacts.EXPRESSION_COMPARISONS.read(tmp_path / "out" / "comparisons.parquet")
    assert set(pairs["cell_type"]) == set(TYPES) and set(pairs["method_1"]) == {"equation"}


def test_values_without_gene_and_cell_type_are_compared_where_they_are_clear(
    made, predicted_effects, tmp_path
):
    """With the effects in every cell type, on the only gene in whose window a variant is."""
    vcf, effects = predicted_effects
    one = effects[(effects["method"] == "teacher") & (effects["cell_type"] == TYPES[0])]
    key = ["chrom", "pos", "ref", "alt"]
    alone = ~one.duplicated(key, keep=False)
    truth = one[key].assign(value=one["effect"].fillna(0)).drop_duplicates(key)
    table, about = compared(made, vcf, truth, tmp_path)
    usable = one[alone & one["effect"].notna()]
    assert len(usable) > 10 and set(table.index.get_level_values(0)) == set(TYPES)
    assert set(table["n"]) == {len(usable)}
    assert table.loc[(TYPES[0], "teacher"), "pearson"] == pytest.approx(1)
    missing = (alone & one["effect"].isna()).sum()
    assert about["skipped"] == {"several_genes": one[~alone].drop_duplicates(key).shape[0],
                                **({"no_effect": missing} if missing else {})}  # fmt: skip


def test_measured_effects_of_other_cell_types_leave_an_empty_table(
    made, predicted_effects, tmp_path
):
    vcf, effects = predicted_effects
    truth = effects[["chrom", "pos", "ref", "alt"]].drop_duplicates().assign(cell_type="x", value=1)
    table, about = compared(made, vcf, truth, tmp_path)
    assert table.empty and about["matched"] == 0
    assert about["skipped"] == {"unknown_cell_type": len(truth)}


def test_the_largest_effects_of_every_cell_type_are_kept(made, predicted_effects, tmp_path):
    effects = predicted_effects[1]
    table = artifacts.LARGEST_EFFECTS.read(
        predicted_effects[0].parent / "o/largest_effects.parquet"
    )
    key = ["chrom", "pos", "ref", "alt", "gene_id"]
    for cell_type in TYPES:
        mine = table[table["cell_type"] == cell_type]
        wide = effects[effects["cell_type"] == cell_type].pivot_table(
            index=key, columns="method", values="effect", dropna=False
        )
        wide = wide[wide["equation"].abs() > 0]
        assert len(mine) == min(100, len(wide))
        largest = wide["equation"].abs().sort_values(ascending=False).iloc[: len(mine)]
        np.testing.assert_array_equal(mine["equation"].abs(), largest)
        for row in mine.itertuples():
            assert wide.loc[tuple(getattr(row, name) for name in key), "teacher"] == row.teacher


def test_the_same_seed_gives_the_same_background(made, tmp_path):
    ran("background", *inputs(made), "--n", 1500, "--out", tmp_path / "again")
    for name in ("background.parquet", "background.json"):
        assert (tmp_path / "again" / name).read_bytes() == (
            made / "equations_only" / name
        ).read_bytes()


def test_the_vcf_is_annotated_with_the_largest_effects(made, tmp_path):
    tss = NEAR["chr3"][1][0]
    ref = SEQUENCE["chr3"][tss - 2].replace("N", "A")
    first, second = [base for base in "ACGT" if base != ref][:2]
    rows = [
        ("chr3", tss - 1, "rs1", ref, f"{first},{second}"),
        ("chr3", 5, ".", SEQUENCE["chr3"][4], "<DEL>"),
    ]
    vcf = write_vcf(tmp_path / "v.vcf", rows)
    gz = tmp_path / "v.vcf.gz"
    gz.write_bytes(gzip.compress(vcf.read_bytes().replace(b"\n", b"\r\n")))
    for name, path in (("plain", vcf), ("gzip", gz)):
        out = tmp_path / name
        ran(
            "variants",
            "--vcf",
            path,
            *inputs(made),
            "--background",
            made / "equations_only",
            "--out",
            out,
        )
    text = gzip.decompress((tmp_path / "plain" / "annotated.vcf.gz").read_bytes()).decode()
    other = gzip.decompress((tmp_path / "gzip" / "annotated.vcf.gz").read_bytes()).decode()
    assert other.replace("\r\n", "\n") == text
    head, lines = text.splitlines()[:3], text.splitlines()[3:]
    assert head[0] == "##fileformat=VCFv4.3" and head[1].startswith("##INFO=<ID=GENEQ,Number=.")
    assert lines[1] == "\t".join(map(str, [*rows[1], ".", "PASS", "DP=3"]))
    info = lines[0].split("\t")[7]
    assert info.startswith("DP=3;GENEQ=")
    values = [value.split("|") for value in info.removeprefix("DP=3;GENEQ=").split(",")]
    assert [value[0] for value in values] == [first, second]
    table = artifacts.EXPRESSION_EFFECTS.read(tmp_path / "plain" / "expression_effects.parquet")
    for allele, gene, method, cell_type, effect, percentile in values:
        mine = table[(table["alt"] == allele) & (table["gene_id"] == gene)]
        largest = mine.loc[mine["effect"].abs().idxmax()]
        assert (method, cell_type) == (
            "equation",
            largest["cell_type"].replace(", ", "%2C%20").replace(";", "%3B").replace(" ", "%20"),
        )
        assert float(effect) == pytest.approx(largest["effect"], rel=1e-3)
        assert float(percentile) == pytest.approx(largest["percentile"], abs=0.01)
    about = json.loads((tmp_path / "plain" / "variants.json").read_text())
    assert about["pairs"] == 2 and about["skipped"]["symbolic"]["n"] == 1


def test_what_cannot_be_scored_is_counted_or_missing(made, tmp_path):
    chrom, (tss, _) = "chr4", NEAR["chr4"][1]
    n = SEQUENCE[chrom].index("N", tss - 60, tss + 60)
    inside = n + 1
    long = "ACGT" * 60
    edge = tss - 52  # of [tss - 49, tss + 60]: the motifs' window, minus strand
    rows = [
        (chrom, inside, ".", "A", "C"),
        (chrom, tss + 3, ".", SEQUENCE[chrom][tss + 2].replace("N", "A"), long),
        (chrom, edge + 1, ".", SEQUENCE[chrom][edge : edge + 6], SEQUENCE[chrom][edge]),
        (chrom, 100, ".", SEQUENCE[chrom][99], "A" if SEQUENCE[chrom][99] != "A" else "C"),
        (chrom, tss - 9, ".", SEQUENCE[chrom][tss - 10].replace("N", "A"), "N"),
    ]
    vcf = write_vcf(tmp_path / "v.vcf", rows)
    ran("variants", "--vcf", vcf, *inputs(made), "--out", tmp_path / "out")
    table = artifacts.EXPRESSION_EFFECTS.read(tmp_path / "out" / "expression_effects.parquet")
    assert table["effect"].isna().all() and set(table["pos"]) == {
        rows[0][1],
        rows[1][1],
        rows[4][1],
    }
    about = json.loads((tmp_path / "out" / "variants.json").read_text())
    skipped = {reason: found["n"] for reason, found in about["skipped"].items()}
    assert skipped == {"outside_every_window": 1, "across_an_end_of_a_window": 1}


# --- errors -----------------------------------------------------------------------------------


def refused(capsys, *arguments) -> str:
    assert geneq(*arguments) == 1
    return capsys.readouterr().err


def test_a_vcf_without_a_variant_in_a_window_is_refused(made, tmp_path, capsys):
    base = SEQUENCE["chr3"][99].replace("N", "A")
    vcf = write_vcf(tmp_path / "v.vcf", [("chr3", 100, ".", base, "A" if base != "A" else "C")])
    message = refused(capsys, "variants", "--vcf", vcf, *inputs(made), "--out", tmp_path / "out")
    assert "No variant is in the window of a gene" in message and not (tmp_path / "out").exists()


def test_other_genomes_features_and_backgrounds_are_refused(made, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "v.vcf", variants(3))
    words = ("variants", "--vcf", vcf, "--out", tmp_path / "out")
    message = refused(capsys, *words, *inputs(made), "--background", made / "background")
    assert "The background was made with other equations, features or teacher" in message
    other = ("--valid_chroms", "chr1", "--test_chroms", "chr2")
    text = (made / "genome.fa").read_text()
    (tmp_path / "g.fa").write_text(text[:-30] + "\n")
    files = ("--fasta", tmp_path / "g.fa", "--gtf", made / "genes.gtf", *other)
    ran("genes", "--genome", "g", *files, "--out", tmp_path / "genome")
    message = refused(capsys, *words, *inputs(made, genome=tmp_path / "genome"))
    assert "The features are of another genome" in message
    (tmp_path / "equations").mkdir()
    about = json.loads((made / "distill" / "equations" / "1.json").read_text())
    artifacts.write_json(about | {"genome": "0" * 64}, tmp_path / "equations" / "0.json")
    message = refused(capsys, *words, *inputs(made, equations=tmp_path))
    assert "An equation is of another genome: 'B, naive;x'" in message
    files = ("--promoters", made / "promoters.fa")
    ran("genes", "--genome", "p", *files, "--out", tmp_path / "promoters")
    ran(
        "featurize",
        "--genome_dir",
        tmp_path / "promoters",
        "--oracle",
        "kmers:2",
        "--out",
        tmp_path / "p.zarr",
    )
    message = refused(capsys, *words, *inputs(made, features=tmp_path / "p.zarr"))
    assert "promoters have none" in message


def test_a_background_needs_enough_substitutions_and_every_cell_type(made, tmp_path, capsys):
    words = ("background", *inputs(made), "--out", tmp_path / "few")
    message = refused(capsys, *words, "--n", 99)
    assert "--n must be between 100 and" in message and not (tmp_path / "few").exists()
    table = artifacts.BACKGROUND.read(made / "equations_only" / "background.parquet")
    artifacts.BACKGROUND.write(
        table[table["cell_type"] != TYPES[1]], tmp_path / "part" / "background.parquet"
    )
    about = json.loads((made / "equations_only" / "background.json").read_text())
    artifacts.write_json(about, tmp_path / "part" / "background.json")
    vcf = write_vcf(tmp_path / "v.vcf", variants(3))
    words = ("variants", "--vcf", vcf, *inputs(made), "--background", tmp_path / "part")
    message = refused(capsys, *words, "--out", tmp_path / "out")
    assert "The background lacks a cell type: 'equation, B, naive;x'" in message
    assert not (tmp_path / "out").exists()


def test_bad_tables_of_measured_effects_are_refused(made, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "v.vcf", variants(3))
    words = ("variants", "--vcf", vcf, *inputs(made), "--truth", tmp_path / "t.csv")
    words += ("--out", tmp_path / "out")
    (tmp_path / "t.csv").write_text("chrom,pos,ref,alt,gene,effect\nchr1,5,A,C,g,1.5\n")
    message = refused(capsys, *words)
    assert "lacks columns: 'value'" in message
    assert "Name the column with the measured effects 'value': effect" in message
    (tmp_path / "t.csv").write_text("chrom,pos,ref,alt,value\nchr99,5,A,C,1.5\n")
    assert "No measured variant is on a chromosome of the genome" in refused(capsys, *words)
    assert not (tmp_path / "out").exists()


def test_equations_of_specific_expression_have_no_teacher_beside_them(made, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "v.vcf", variants(3))
    (tmp_path / "specific" / "equations").mkdir(parents=True)
    (tmp_path / "specific" / "equations" / "m.meme").symlink_to(made / "m.meme")
    for i in range(2):
        about = json.loads((made / "distill" / "equations" / f"{i}.json").read_text())
        about["y"] = {"transform": "log2(CPM + 1) minus the gene's mean over cell types"}
        artifacts.write_json(about, tmp_path / "specific" / "equations" / f"{i}.json")
    words = ("variants", "--vcf", vcf, *inputs(made, equations=tmp_path / "specific"))
    words += ("--out", tmp_path / "out")
    message = refused(capsys, *words, "--search", made / "search")
    assert "must both predict log2(CPM + 1)" in message and "drop --search" in message
    ran(*words)


def test_without_a_selected_equation_only_the_teacher_has_effects(made, tmp_path, capsys):
    (tmp_path / "equations").mkdir()
    about = json.loads((made / "distill" / "equations" / "0.json").read_text())
    artifacts.write_json(about | {"selected": False}, tmp_path / "equations" / "0.json")
    (tmp_path / "equations" / "m.meme").symlink_to(made / "m.meme")
    vcf = write_vcf(tmp_path / "v.vcf", variants(3))
    words = ("variants", "--vcf", vcf, *inputs(made, equations=tmp_path), "--out", tmp_path / "out")
    assert "No equation was selected for any cell type" in refused(capsys, *words)
    ran(*words, "--search", made / "search")
    table = artifacts.EXPRESSION_EFFECTS.read(tmp_path / "out" / "expression_effects.parquet")
    assert set(table["method"]) == {"teacher"} and set(table["cell_type"]) == set(TYPES)
    assert table["percentile"].isna().all()


def test_options_of_the_other_kind_of_models_are_refused(made, tmp_path, capsys):
    vcf = write_vcf(tmp_path / "v.vcf", variants(3))
    words = ("variants", "--vcf", vcf, "--out", tmp_path / "out")
    message = refused(capsys, *words, *inputs(made), "--methods", "ism", "--reduce", "mean")
    assert "--methods, --reduce can only be used with --surrogates" in message
    surrogates = ("--surrogates", tmp_path, "--genome", made / "genome", "--search", tmp_path)
    assert "--search can only be used with --equations" in refused(capsys, *words, *surrogates)
    message = refused(capsys, *words, *inputs(made)[:4])
    assert "--equations needs --features" in message


def test_only_the_classes_of_equations_are_scored(made, monkeypatch):
    kept = []
    monkeypatch.setattr(MotifOracle, "of_classes", lambda self, names: kept.append(names) or self)
    ExpressionModel.open(made / "distill", made / "f.zarr", None, Genome(made / "genome"))
    classes = Features.read(made / "f.zarr").blocks[0].classes
    assert kept == [sorted(classes[:3])]
