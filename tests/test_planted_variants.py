"""Planted equations, written as equations, predict the effects that were planted."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.stats import kstest

from geneq import artifacts
from geneq.equations import about_features
from geneq.features import Features
from geneq.tools import simulate
from test_simulate import ran, standard

DATASET, SEED = "blood", 5
FORMS = {"linear": "{0}", "tanh": "tanh(1.5*{0})", "product": "(1 + {0})*(1 + {1})"}
VALUES = {
    "linear": lambda u: u,
    "tanh": lambda u: np.tanh(1.5 * u),
    "product": lambda u, v: (1 + u) * (1 + v),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A simulation with 400 substitutions, the planted equations of a data set, and their effects
    by `geneq variants`."""
    folder = tmp_path_factory.mktemp("planted")
    ran(
        "simulate", "--genes", 300, "--cells", 4, "--variants", 400, "--seed", SEED, "--out", folder
    )
    files = ("--fasta", folder / "genome.fa.gz", "--gtf", folder / "genes.gtf")
    ran("genes", "--genome", "sim", *files, "--out", folder / "genes")
    ran("featurize", "--genome_dir", folder / "genes", "--out", folder / "f.zarr")
    features = Features.read(folder / "f.zarr")
    about = json.loads(pq.read_schema(folder / "truth.parquet").metadata[b"planted"])
    for i, entry in enumerate(about):
        if entry["dataset"] == DATASET and entry["terms"]:
            artifacts.write_json(
                document(entry, features), folder / "distill/equations" / f"{i}.json"
            )
    words = ("--genome", folder / "genes", "--features", folder / "f.zarr")
    words += ("--equations", folder / "distill")
    ran("background", *words, "--n", 1000, "--out", folder / "background")
    words += ("--background", folder / "background", "--vcf", folder / "expression_variants.vcf")
    ran("variants", *words, "--truth", folder / "expression_effects.tsv", "--out", folder / "out")
    return folder


def document(entry: dict, features: Features) -> dict:
    """The planted equation of a cell type in the form that `geneq distill` writes."""
    (block,) = features.blocks
    edges = np.array(block.meta["bin_edges"])
    middles = (edges[:-1] + edges[1:]) / 2
    variables, z = [], {}
    for k, name in enumerate(entry["classes"]):
        weights = np.exp(-np.abs(middles) / entry["reach"][name])
        raw = block.values[:, :, block.classes.index(name)].astype(float) @ weights
        z[name] = standard(raw)
        weights, offset = weights / raw.std(), -raw.mean() / raw.std()
        variables.append({
            "name": f"z{k}", "class": name, "offset": offset, "range": [-1, 1],
            "weights": [{"block": 0, "bin": b, "class": name, "weight": weight}
                        for b, weight in enumerate(weights.tolist())],
        })  # fmt: skip
    symbols = {name: f"z{k}" for k, name in enumerate(entry["classes"])}
    terms, constants, total = [], {}, np.zeros(len(features.gene_id))
    for k, term in enumerate(simulate.PLANTED[DATASET][entry["cell_type"]]):
        values = VALUES[term.form](*(z[name] for name in term.classes))
        constants[f"c{k}"] = term.scale / values.std()
        total += term.scale * standard(values)
        terms.append(f"c{k}*{FORMS[term.form].format(*(symbols[name] for name in term.classes))}")
    factor = simulate.TRUTH_SD / total.std()
    constants = {name: factor * value for name, value in constants.items()}
    return {
        "format": "geneq-equation", "version": 3, "cell_type": entry["cell_type"],
        "selected": True, "infix": "", "expression": " + ".join(terms), "constants": constants,
        "variables": variables, **about_features(features, "raw", variables),
    }  # fmt: skip


def test_effects_are_those_of_the_planted_equations(made):
    """The truth is computed from edited windows by the simulation's own slow code."""
    effects = artifacts.EXPRESSION_EFFECTS.read(made / "out" / "expression_effects.parquet")
    truth = pd.read_csv(made / "expression_effects.tsv", sep="\t", dtype={"chrom": str})
    both = truth.merge(
        effects,
        left_on=["chrom", "pos", "ref", "alt", "gene", "cell_type"],
        right_on=["chrom", "pos", "ref", "alt", "gene_id", "cell_type"],
    )
    types = {name for name, terms in simulate.PLANTED[DATASET].items() if terms}
    assert len(both) == 400 * len(types) and set(both["cell_type"]) == types
    assert both["value"].abs().max() > 1
    np.testing.assert_allclose(both["effect"], both["value"], atol=2e-3)
    agreement = artifacts.EXPRESSION_AGREEMENT.read(made / "out" / "agreement.parquet")
    assert set(agreement["cell_type"]) == types and set(agreement["n"]) == {400}
    assert (agreement["pearson"] > 0.999).all()
    skipped = json.loads((made / "out" / "variants.json").read_text())["truth"]["skipped"]
    others = len(truth["cell_type"].unique()) - len(types)
    assert {reason: found["n"] for reason, found in skipped.items()} == {
        "unknown_cell_type": 400 * others
    }


def test_percentiles_of_random_substitutions_are_uniform(made):
    effects = artifacts.EXPRESSION_EFFECTS.read(made / "out" / "expression_effects.parquet")
    for cell_type, group in effects.groupby("cell_type"):
        assert kstest(group["percentile"] / 100, "uniform").pvalue > 1e-3, cell_type


def test_variants_change_no_other_file_and_depend_on_the_seed(made, tmp_path):
    words = ("simulate", "--genes", 300, "--cells", 4)
    ran(*words, "--seed", SEED, "--out", tmp_path / "without")
    ran(*words, "--seed", SEED, "--variants", 400, "--out", tmp_path / "again")
    names = {"expression_variants.vcf", "expression_effects.tsv"}
    without = {path.name for path in (tmp_path / "without").iterdir()}
    again = {path.name for path in (tmp_path / "again").iterdir()}
    assert again - without == names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()
    for name in ("genome.fa.gz", "truth.parquet"):
        assert (tmp_path / "without" / name).read_bytes() == (made / name).read_bytes()
