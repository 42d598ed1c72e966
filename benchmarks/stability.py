"""How far stability can be believed: whether planted terms come back and noise does not, and how
often intervals contain the truth.

Intervals: sets of genes in blocks that share part of their features and of their noise, with a
planted equation whose variables are known. Peer: intervals from the standard errors of the fit,
which take residuals as independent. Wanted: 90 % intervals contain the truth in 85 to 95 %.

Replicates: `geneq simulate`, then every stage. The share of replicates in which each planted class
and term comes back, how many other classes are in a replicate, and how often intervals of constants
contain those that fit the noiseless truth best (here the variables are learned, and the form is
selected, on the same genes). About five minutes a seed on one core.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtri

from figures import Figure, Figures, print_table, write_json
from geneq import cli
from geneq.artifacts import read_parquet
from geneq.equations import Equation, Form, parse, to_sympy
from geneq.evaluation import gene_blocks
from geneq.features import Block, Features
from geneq.stages.stability import summary

LOW, HIGH = 0.85, 0.95
GENES, CHROMOSOMES, SPACING = 1200, 10, 150_000
EXPRESSION = "c0 + c1*z_a + c2*z_b*z_c + c3*tanh(c4*z_d + c5)"
PLANTED = np.array([5.0, 0.6, 0.4, 0.7, 1.2, 0.3])
NAMES = ("a", "b", "c", "d")
# Sets for the interval of r, which needs no refits, for each set for those of constants.
MORE = 5
# Of noise: shared by the genes of a block, and of each gene. r is then about 0.6.
SHARED, ALONE = 0.4, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200, help="of the planted equation")
    parser.add_argument("--refits", type=int, default=summary.REFITS, help="resamples an interval")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="of the simulator")
    parser.add_argument("--genes", type=int, default=3000, help="genes of the simulator")
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="10 sets, no simulator")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    summary.REFITS = args.refits
    sets, seeds = (10, []) if args.quick else (args.sets, args.seeds)
    figures = {}
    if sets:
        tables = [of_constants(drawn(seed)) for seed in range(sets)]
        tables += [of_r(drawn(seed)) for seed in range(MORE * sets)]
        figures = coverage(tables)
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows += simulated(Path(folder), seed, args.genes, args.replicates)
            print(json.dumps(rows[-2:]), flush=True)
    if rows:
        figures |= recovered(rows)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


# --- intervals of a planted equation --------------------------------------------------------------


class Drawn(NamedTuple):
    """One set: the equation's form, fitted to training genes, and what it was drawn from.

    rows: genes with measured expression and that of the equation; known: bool[n], not of the test;
    x: variables, each float64[n].
    """

    form: Form
    fitted: np.ndarray
    rows: pd.DataFrame
    blocks: pd.Series
    known: np.ndarray
    x: dict[str, np.ndarray]
    rng: np.random.Generator


def drawn(seed: int) -> Drawn:
    rng = np.random.default_rng(seed)
    genes = table()
    blocks = gene_blocks(genes)
    x, y = draw(pd.factorize(blocks)[0], rng)
    known = (genes["split"] != "test").to_numpy()
    form = Form(to_sympy(parse(EXPRESSION)), tuple(x), PLANTED)
    fitted = form.fit({name: values[known] for name, values in x.items()}, y[known], PLANTED)
    rows = genes.assign(measured=y, teacher_out_of_fold=y, equation=form.values(fitted, x, len(y)))
    return Drawn(form, fitted, rows, blocks, known, x, rng)


def of_constants(drawn: Drawn) -> pd.DataFrame:
    """name, inside (the interval has the truth), peer (so has that of the fit)."""
    form, fitted, rows, blocks, known, x, _ = drawn
    train = {name: values[known] for name, values in x.items()}
    errors = form.standard_errors(fitted, train, rows["measured"].to_numpy()[known])
    train_rows = rows[known].reset_index(drop=True)
    features = as_features(rows, x)
    found = summary.constants(as_equation(fitted), train_rows, features, blocks)["values"]
    half = -float(ndtri((1 - summary.LEVEL) / 2)) * errors
    return pd.DataFrame(
        [
            (item["name"], item["low"] <= true <= item["high"], abs(value - true) <= margin)
            for item, true, value, margin in zip(found, PLANTED, fitted, half, strict=True)
        ],
        columns=["name", "inside", "peer"],
    )


def of_r(drawn: Drawn) -> pd.DataFrame:
    """The same of r over test genes."""
    r = summary.test_r(drawn.rows[~drawn.known].reset_index(drop=True), drawn.blocks)
    true = r_of_many(drawn.form, drawn.fitted, drawn.rng)
    peer = np.tanh(np.arctanh(r["value"]) + np.array([-1, 1]) * half_of_r(r["genes"]))
    inside = r["low"] <= true <= r["high"], peer[0] <= true <= peer[1]
    return pd.DataFrame([("r", *inside)], columns=["name", "inside", "peer"])


def half_of_r(n: int) -> float:
    """Half an interval by Fisher's z."""
    return -float(ndtri((1 - summary.LEVEL) / 2)) / np.sqrt(n - 3)


def table() -> pd.DataFrame:
    """The table GENES, as far as it matters here."""
    chromosome = np.arange(GENES) * CHROMOSOMES // GENES
    return pd.DataFrame(
        {
            "gene_id": [f"g{i}" for i in range(GENES)],
            "chrom": [f"chr{c}" for c in chromosome],
            "tss": (np.arange(GENES) - chromosome * GENES // CHROMOSOMES) * SPACING,
            "split": np.where(chromosome < 2, "test", "train"),
        }
    )


def draw(block: np.ndarray, rng) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Variables and measured expression of genes in blocks, float64[n] each."""
    n, of_block = len(block), (lambda: rng.normal(size=block.max() + 1)[block])
    x = {f"z_{name}": 0.5 * of_block() + 0.75**0.5 * rng.normal(size=n) for name in NAMES}
    noise = SHARED * of_block() + ALONE * rng.normal(size=n)
    return x, Form(to_sympy(parse(EXPRESSION)), tuple(x), PLANTED).values(PLANTED, x, n) + noise


def r_of_many(form: Form, fitted: np.ndarray, rng, n: int = 100_000) -> float:
    """r of an equation over genes of as many blocks."""
    x, y = draw(np.arange(n) // 7, rng)
    return float(np.corrcoef(form.values(fitted, x, n), y)[0, 1])


def as_equation(fitted: np.ndarray) -> Equation:
    names = [f"c{i}" for i in range(len(fitted))]
    variables = [
        {"name": f"z_{name}", "class": name, "offset": 0.0,
         "weights": [{"block": 0, "bin": 0, "class": name, "weight": 1.0}]}
        for name in NAMES
    ]  # fmt: skip
    return Equation(
        {
            "blocks": [{"name": "table:x", "hash": "x", "classes": list(NAMES)}],
            "scale": "raw",
            "variables": variables,
            "expression": EXPRESSION,
            "constants": dict(zip(names, fitted.tolist(), strict=True)),
            "fit": {"measured_share": 1.0},
        }
    )


def as_features(genes: pd.DataFrame, x: dict[str, np.ndarray]) -> Features:
    values = np.column_stack(list(x.values())).astype(np.float32)[:, None]
    return Features(
        genes["gene_id"].to_numpy(), [Block("table:x", values, list(NAMES), {"hash": "x"})], {}
    )


def coverage(tables: list[pd.DataFrame]) -> Figures:
    """Share of intervals that contain the truth, of all constants together and of r."""
    table = pd.concat(tables, ignore_index=True)
    kind = np.where(table["name"] == "r", "r", "constants")
    found = table.groupby(kind)[["inside", "peer"]].mean()
    peers = {"constants": "standard errors of the fit", "r": "Fisher's z"}
    return {
        f"coverage_{name}": figure(row["inside"], row["peer"], peers[name])
        for name, row in found.iterrows()
    }


def figure(value: float, peer: float | None, beside: str) -> Figure:
    """Ratio: of the distance from the level that is allowed to that which was found."""
    off = abs(value - summary.LEVEL)
    return Figure(
        value, "of 90 % intervals", peer, (HIGH - summary.LEVEL) / max(off, 1e-9), 1.0, beside
    )


# --- replicates of simulated data -----------------------------------------------------------------


def simulated(folder: Path, seed: int, genes: int, replicates: int) -> list[dict]:
    """Every stage on the data set muscle; a row for each cell type."""
    run, table = folder / "muscle", folder / "genome" / "genes.parquet"
    features = folder / "features.zarr"
    geneq("simulate", "--out", folder, "--seed", seed, "--genes", genes)
    geneq("genes", "--genome", "simulated", "--fasta", folder / "genome.fa.gz",
          "--gtf", folder / "genes.gtf", "--out", folder / "genome")  # fmt: skip
    geneq("featurize", "--genome_dir", folder / "genome", "--out", features)
    geneq("pseudobulk", "--h5ad", folder / "muscle.h5ad", "--dataset", "muscle", "--cell_type_key",
          "cell_type", "--genes", table, "--out", run / "expression")  # fmt: skip
    geneq("search", "--features", features, "--expression", run / "expression", "--genes", table,
          "--trials", 2, "--out", run / "search")  # fmt: skip
    geneq("distill", "--search", run / "search", "--features", features, "--sr_engine", "operon",
          "--out", run / "distill")  # fmt: skip
    geneq("stability", "--search", run / "search", "--distill", run / "distill",
          "--features", features, "--genes", table, "--replicates", replicates,
          "--out", run / "stability")  # fmt: skip
    truth = read_parquet(folder / "truth.parquet")
    planted = json.loads(truth.schema.metadata[b"planted"])
    return [
        of_cell_type(seed, n, run, Features.read(features), truth.to_pandas(), planted)
        for n in range(2)
    ]


def of_cell_type(seed: int, n: int, run: Path, features, truth, planted: list[dict]) -> dict:
    """What comes back of a cell type's planted equation, and which intervals have the truth."""
    stability = json.loads((run / "stability" / "equations" / f"{n}.json").read_text())
    equation = Equation.load(run / "distill" / "equations" / f"{n}.json")
    name = stability["cell_type"]
    (about,) = [p for p in planted if p["dataset"] == "muscle" and p["cell_type"] == name]
    replicates = pd.read_parquet(run / "stability" / "replicates.parquet")
    infixes = replicates.loc[replicates["cell_type"] == name, "infix"]
    found = [[classes_of(term) for term in terms(text)] for text in infixes]
    used = [set().union(*each) for each in found]
    wanted = [frozenset(term["classes"]) for term in about["terms"]]
    best = best_constants(equation, features, truth[truth["cell_type"] == name])
    # The truth is known but for a constant.
    inside = [
        bool(item["low"] <= value <= item["high"])
        for item, value in zip(stability["constants"]["values"][1:], best[1:], strict=True)
    ]
    return {
        "seed": seed, "cell_type": name, "structure": stability["structure"],
        "terms": [float(np.mean([term in each for each in found])) for term in wanted],
        "classes": [float(np.mean([c in each for each in used])) for c in about["classes"]],
        "others": float(np.mean([len(each - set(about["classes"])) for each in used])),
        "inside": inside,
    }  # fmt: skip


def terms(text: str):
    from geneq.distill.structure import terms as of

    return of(to_sympy(parse(text)))


def classes_of(term) -> frozenset[str]:
    """z_AP1 and z_AP1_1 are profiles of the class AP1."""
    return frozenset(re.sub(r"_\d+$", "", s.name.removeprefix("z_")) for s in term.free_symbols)


def best_constants(equation: Equation, features: Features, truth: pd.DataFrame) -> np.ndarray:
    """Constants of the form that fit the noiseless truth of all genes best."""
    start = np.array(list(equation.document["constants"].values()))
    x = equation.variables(features.of_genes(truth["gene_id"]))
    form = Form(to_sympy(parse(equation.document["expression"])), tuple(x), start)
    return form.fit(x, truth["truth"].to_numpy(), start)


def geneq(command: str, *options) -> None:
    if cli.main([command, *map(str, options), "--threads", "1"]):
        raise SystemExit(f"geneq {command} failed")


def recovered(rows: list[dict]) -> Figures:
    terms = [share for row in rows for share in row["terms"]]
    classes = [share for row in rows for share in row["classes"]]
    inside = [yes for row in rows for yes in row["inside"]]
    return {
        "planted_terms": Figure(float(np.mean(terms)), "of replicates"),
        "planted_terms_least": Figure(min(terms), "of replicates", None, min(terms) / 0.5, 1.0),
        "planted_classes_least": Figure(min(classes), "of replicates"),
        "other_classes": Figure(float(np.mean([r["others"] for r in rows])), "a replicate"),
        "coverage_learned": figure(float(np.mean(inside)), None, "variables learned"),
    }


if __name__ == "__main__":
    main()
