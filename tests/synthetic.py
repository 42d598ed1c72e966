"""Outputs of the stages before report, made up but written as the stages write them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from geneq import artifacts
from geneq.evaluation import metrics
from geneq.model_sizes import with_sizes
from planted import gene_table

EDGES = [-1024, -512, -256, -128, -64, 0, 64, 128, 256, 512, 1024]
CLASSES = ["SP1", "KLF", "ETS", "NRF1", "NFY", "YY1", "IRF", "RUNX", "GATA", "CpG", "GC", "TATA"]
BLOCKS = [
    {
        "name": "motifs:core",
        "hash": "0123456789abcdef" * 4,
        "strands": "both",
        "window": [-1024, 1024],
        "tss_index": 1024,
        "bin_edges": EDGES,
        "orientation": "gene",
        "trained": True,
        "held_out": ["chr1"],
        "classes": CLASSES,
    }
]
ODD_NAMES = (
    "<script>alert('x')</script>",
    "B & \"memory\" 'cells'",
    "CD14⁺ Mönozyten — 单核细胞",
    "a very long cell type name " * 6 + "end",
    "silent",
)


@dataclass(frozen=True)
class Outputs:
    """Folders of one made-up data set, and the arguments of `geneq report` for it."""

    root: Path
    dataset: str

    def args(self, out: Path, *more: str) -> list[str]:
        folders = ("genes", "expression", "search", "distill")
        options = dict(zip(("genes_dir", *folders[1:]), folders, strict=True))
        pairs = [(f"--{name}", str(self.root / folder)) for name, folder in options.items()]
        listed = [word for pair in pairs for word in pair]
        return ["report", "--dataset", self.dataset, *listed, *more, "--out", str(out)]


def outputs(
    root: Path,
    dataset: str = "synthetic",
    cell_types: tuple[str, ...] = ODD_NAMES,
    n_genes: int = 400,
    seed: int = 5,
    test_fold: int = 0,
    distill_only: bool = False,
) -> Outputs:
    """Write the outputs of one data set under `root`; the last cell type has no signal."""
    rng = np.random.default_rng(seed)
    genes = gene_table(n_genes, test_fold)
    genes["gene_id"] = [f"ENSG{i:08d}" for i in range(n_genes)]
    tables = [_cell_type(dataset, i, names, genes, rng) for i, names in enumerate(cell_types)]
    silent = dict(_document(dataset, cell_types[-1], [], rng), selected=False)
    silent["fit"] = {**silent["fit"], "reason": "No member beats the mean <b>by one s.e.</b>"}
    documents = [document for document, _, _ in tables[:-1]] + [silent]
    distill = root / "distill"
    for place, document in enumerate(documents):
        artifacts.write_json(document, distill / "equations" / f"{place}.json")
        artifacts.write_json(document, distill / "faithful" / f"{place}.json")
    predictions = pd.concat([frame for _, frame, _ in tables])
    predictions.loc[predictions["cell_type"] == cell_types[-1], "equation"] = 6.5
    artifacts.PREDICTIONS.write(predictions, distill / "predictions.parquet")
    table = metrics(predictions, {}, "test")
    artifacts.METRICS.write(with_sizes(table, _sizes(table)), distill / "metrics.parquet")
    artifacts.EQUATIONS.write(
        pd.concat([front for _, _, front in tables]), distill / "equations.parquet"
    )
    if not distill_only:
        artifacts.GENES.write(genes, root / "genes" / "genes.parquet")
        artifacts.write_json(_genes_json(n_genes), root / "genes" / "genes.json")
        artifacts.write_json(
            _expression_json(dataset, cell_types, n_genes), root / "expression" / "expression.json"
        )
        artifacts.TRIALS.write(_trials(rng), root / "search" / "trials.parquet")
        about = {"predictions": "both", "losses": {"network": 0.9, "trees": 0.95, "both": 0.876}}
        artifacts.write_json({"about": about}, root / "search" / "teacher.json")
    return Outputs(root, dataset)


def stability(made: Outputs, folder: Path, structure: tuple[float, ...]) -> Path:
    """Write the stability of its equations, which come back in these shares of 50 replicates."""
    paths = sorted((made.root / "distill" / "equations").glob("*"))
    for path, share in zip(paths, structure, strict=True):
        document = artifacts.read_json(path)
        names = [variable["name"] for variable in document["variables"]]
        values = [
            {
                "name": name,
                "value": value,
                "low": value - 0.25 if i else None,
                "high": 1e12 if i else None,
            }
            for i, (name, value) in enumerate(document["constants"].items())
        ]
        about = {
            "format": "geneq-stability",
            "version": 1,
            **{key: document[key] for key in ("dataset", "cell_type", "selected", "infix")},
            "replicates": 50,
            "level": 0.9,
            "stable": share >= 0.5,
            "structure": share,
            "identical": share / 2,
            "no_equation": 0.0 if names else share,
            "variables": [
                {"name": v["name"], "class": v["class"], "share": 0.13}
                for v in document["variables"]
            ],
            "terms": [{"term": f"tanh({name})", "share": share} for name in names],
            "others": [{"term": "z_other*z_YY1", "share": 0.3}] if names else [],
            "constants": {"genes": 320, "blocks": 64, "failed": 0.0, "values": values},
            "r": {"genes": 80, "blocks": 16, "value": 0.512, "low": 0.43, "high": 0.61},
        }
        artifacts.write_json(about, folder / "equations" / path.name)
    return folder


def truth(made: Outputs, path: Path, missed: str | None = None) -> Path:
    """Write a truth.parquet that the equations recover, but for a class planted beside `missed`."""
    predictions = artifacts.PREDICTIONS.read(made.root / "distill" / "predictions.parquet")
    documents = [
        artifacts.read_json(p) for p in sorted((made.root / "distill" / "equations").glob("*"))
    ]
    rng = np.random.default_rng(11)
    noise = rng.normal(0, 0.1, len(predictions))
    frame = pd.DataFrame(
        {
            "dataset": made.dataset,
            "gene_id": predictions["gene_id"],
            "cell_type": predictions["cell_type"],
            "truth": predictions["equation"] + noise,
        }
    )
    planted = []
    for document in documents:
        classes = sorted({v["class"] for v in document["variables"]})[:2]
        if document["cell_type"] == missed:
            classes.append("MISSED")
        classes = classes if document["selected"] else []
        terms = [{"classes": [c], "form": "linear", "variance_share": 0.4} for c in classes]
        planted.append(
            {
                "dataset": made.dataset,
                "cell_type": document["cell_type"],
                "terms": terms,
                "classes": classes,
            }
        )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({b"planted": json.dumps(planted).encode()})
    pq.write_table(table, path)
    return path


def _cell_type(dataset: str, place: int, name: str, genes: pd.DataFrame, rng):
    """The document, predictions and Pareto front of one cell type."""
    n = len(genes)
    chosen = list(rng.choice(CLASSES, 3, replace=False))
    document = _document(dataset, name, [*chosen, chosen[0]], rng)
    truth = 5 + rng.normal(0, 1.5, n)
    predictions = genes[["gene_id", "fold", "split"]].assign(
        oracle=np.where(genes["chrom"] == "chr1", "held_out", "trained"),
        cell_type=name,
        measured=truth + rng.normal(0, 1, n),
        teacher=truth + rng.normal(0, 0.7, n),
        equation=truth + rng.normal(0, 0.8, n),
        faithful=truth + rng.normal(0, 0.75, n),
        elastic_net=truth + rng.normal(0, 1.4, n),
        lasso2=truth + rng.normal(0, 1.2, n),
        ridge=truth + rng.normal(0, 1.4, n),
        trees=truth + rng.normal(0, 1.3, n),
    )
    return document, predictions, _front(name, document["infix"], rng)


def _sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Terms of every model but the teacher, the same in all cell types."""
    models = table.loc[table["model"] != "teacher", ["cell_type", "model"]].drop_duplicates()
    return models.assign(terms=models["model"].map(len))


def _document(dataset: str, name: str, classes: list[str], rng) -> dict:
    variables = [_variable(i, cls, rng) for i, cls in enumerate(classes)]
    names = [variable["name"] for variable in variables]
    expression, infix = "c0", "6.5"
    if names:
        a, b, c, d = names
        expression = f"c0 + c1*{a} + c2*{b}*{c} - c3*exp(-{d}) + c4*{b}/(c5 + {a}**2)"
        infix = f"6.5 - 0.31*{a} + 1.23e-5*{b}*{c} + 0.42*exp(-{d}) + 0.9*{b}/(1.5 + {a}**2)"
    constants = {"c0": 6.512, "c1": -0.3123, "c2": 1.234e-5, "c3": -0.4242, "c4": 0.9, "c5": 1.5}
    return {
        "format": "geneq-equation",
        "version": 3,
        "dataset": dataset,
        "cell_type": name,
        "selected": bool(names),
        "blocks": BLOCKS,
        "scale": "raw",
        "variables": variables,
        "expression": expression,
        "constants": constants if names else {"c0": 6.5},
        "y": {"transform": "log2(CPM + 1)"},
        "infix": infix,
        "latex": r"6.5 - 0.31 \mathrm{SP1} + \dots",
        "complexity": 17 if names else 1,
        "fit": {
            "oof_r2": 0.41 if names else 0.0,
            "oof_mse": 1.4,
            "gain_z": 5.1 if names else 0.2,
            "reason": None,
            "accuracy": None,
            "gain_kept": 0.9,
            "conditioning": 1.8,
            "engine": "operon",
        },
    }


def _variable(place: int, cls: str, rng) -> dict:
    profile = np.exp(-0.5 * (np.arange(10) - rng.integers(3, 7)) ** 2)
    weights = [
        {"block": 0, "bin": b, "class": cls, "weight": float(profile[b])}
        for b in range(10)
        if profile[b] > 0.01
    ]
    other = str(rng.choice([c for c in CLASSES if c != cls]))
    weights += [
        {"block": 0, "bin": b, "class": other, "weight": float(-0.3 * profile[b])} for b in (4, 5)
    ]
    return {
        "name": f"z_{cls}" if place < 3 else f"z_{cls}_2",
        "class": cls,
        "offset": 0.25,
        "weights": weights,
        "range": [-1.5, 3.25],
    }


def _front(name: str, infix: str, rng) -> pd.DataFrame:
    complexity = np.array([1, 3, 5, 9, 13, 17, 23, 31])
    mse = 1.2 + np.exp(-complexity / 6) + rng.normal(0, 0.004, len(complexity))
    delta = mse - mse.min()
    return pd.DataFrame(
        {
            "cell_type": name,
            "member": np.arange(len(complexity)),
            "engine": "operon",
            "complexity": complexity,
            "classes": 3,
            "infix": infix,
            "fidelity": 1 - np.exp(-complexity / 8),
            "oof_mse": mse,
            "oof_delta": delta,
            "oof_delta_se": np.where(delta > 0, 0.02 + 0.05 * delta, 0),
            "conditioning": 1.8,
            "chosen": complexity == 17,
            "faithful": complexity == 31,
        }
    )


def _genes_json(n: int) -> dict:
    return {
        "genome": "mini<38>",
        "mode": "annotation",
        "promoter_choice": "first",
        "digest": "fedcba9876543210" * 4,
        "contigs": {f"chr{i}": 5_000_000 for i in range(1, 6)},
        "folds": {
            "by": "chromosomes",
            "n_families": 0,
            "relatives_in_other_fold": 0,
            "relatives_in_other_part": 0,
        },
        "n_genes": n,
        "dropped": {"window leaves the contig": {"n": 3, "examples": ["ENSG1", "<i>ENSG2</i>"]}},
        "notes": ["Chromosome names of the annotation lacked 'chr'; it was added."],
        "bin_edges": [EDGES],
        "gene_features": [],
    }


def _expression_json(dataset: str, cell_types: tuple[str, ...], n: int) -> dict:
    return {
        "dataset": dataset,
        "h5ad": "cells & more.h5ad",
        "scale": "counts",
        "layer": None,
        "donor_key": None,
        "n_cells": 2638,
        "n_genes_file": 13714,
        "n_genes_mapped": n,
        "unmapped": {"n": 412, "examples": ["RP11-1", "AC0012"]},
        "duplicated": {"n": 0, "examples": []},
        "absent": {"n": 7, "examples": ["ENSG00000001"]},
        "cell_types": [
            {
                "cell_type": name,
                "n_cells": 120 + place,
                "counts": 250_000.0,
                "reliability": 0.81,
                "ceiling": 0.9,
                "halves": "cells",
                "warnings": ["Fewer than 1e5 counts"] if place == 1 else [],
            }
            for place, name in enumerate(cell_types)
        ],
        "dropped_cell_types": [
            {"cell_type": "Eryth<r>oid", "n_cells": 4, "reason": "fewer than 10 cells"}
        ],
        "dropped_cells": {"n": 12, "reason": "no cell type"},
        "notes": [],
    }


def _trials(rng) -> pd.DataFrame:
    n = 30
    state = np.where(rng.random(n) < 0.35, "pruned", "complete")
    state[0] = "complete"
    parameters = json.dumps({"pooling": "learned", "width": 16, "dropout": 0.123456, "act": "gelu"})
    return pd.DataFrame(
        {
            "trial": np.arange(n),
            "state": state,
            "loss": 0.6 + 0.3 * rng.random(n) + 0.4 * np.exp(-np.arange(n) / 5),
            "out_of_fold_loss": np.where(np.arange(n) == 0, 0.7, np.nan),
            "complexity": 12_345,
            "epochs": 40,
            "parameters": parameters,
            "chosen": np.arange(n) == 0,
        }
    )
