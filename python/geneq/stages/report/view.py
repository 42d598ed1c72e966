"""What the page of a data set shows, in the order and the words of its template."""

import json

import pandas as pd

from ...artifacts import ABSOLUTE, SPECIFIC
from ...evaluation import KINDS, MODELS, SPECIFIC_MODELS
from ...plots import mathml
from ...plots.agreement import NAMES, forest
from ...plots.classes import alike_together, class_effects, matrix
from ...plots.pareto import pareto
from ...plots.scatter import scatter
from ...plots.strip import strip
from ...plots.trials import trials
from .inputs import Inputs
from .recovery import Recovery
from .shared import shared_view

HELD_OUT = "genes on chromosomes that the oracle was not trained on"
SPLITS = {
    "cv": "Cross-validated: every gene predicted by a run that had not seen it",
    "cv_held_out": f"Cross-validated, {HELD_OUT}",
    "test": "Test genes of one run",
    "test_held_out": f"Test genes of one run, {HELD_OUT}",
}
# What r is of.
TITLES = {
    ABSOLUTE: "Absolute",
    SPECIFIC: "Specific",
    SPECIFIC_MODELS: "Specific, by models fitted to it",
}
# What r of such genes shows; see geneq.leakage.
MARKS = {
    "trained": "The oracle was trained on chromosomes of these genes: r may be too high",
    "held_out": "The oracle was not trained on the chromosomes of these genes",
    "unknown": "It is unknown which chromosomes the oracle was trained on: r may be too high",
    "untrained": "The oracle was not trained on genomic data",
}


def page(inputs: Inputs, recovery: Recovery | None) -> dict:
    """The values of report.html.j2."""
    cell_types = [cell_type_view(inputs, i) for i in range(len(inputs.documents))]
    return {
        "inputs": inputs,
        "code_digest": _code_digest(),
        "document": inputs.documents[0],
        "model_names": NAMES,
        "summary": summary(inputs),
        "agreement": [agreement(inputs, split) for split in SPLITS if _has(inputs, split)],
        "cell_types": cell_types,
        "classes": class_matrix(inputs.documents),
        "shared": shared(inputs) if inputs.shared else None,
        "search": search(inputs.trials, inputs.teacher),
        "split_chroms": split_chromosomes(inputs),
        "recovery": recovery_view(recovery) if recovery else None,
    }


def _code_digest() -> str:
    from ..._ext import CODE_DIGEST

    return CODE_DIGEST


def _has(inputs: Inputs, split: str) -> bool:
    return bool((inputs.metrics["split"] == split).any())


def summary(inputs: Inputs) -> dict:
    """The figures of the opening sentence: from cross-validation where there is one.

    Means are over the cell types with an equation whose r is defined.
    """
    split = "cv" if _has(inputs, "cv") else "test"
    table = inputs.metrics
    table = table[(table["split"] == split) & (table["kind"] == "absolute")]
    table = table[table["against"] == "expression"]
    r = table.pivot(index="cell_type", columns="model", values="r")
    selected = [d["cell_type"] for d in inputs.documents if d["selected"]]
    r = r.loc[selected].dropna(subset="equation")
    return {
        "split": split,
        "oracle": table["oracle"].iloc[0],
        "held_out": _held_out(inputs, split, selected),
        "selected": selected,
        "silent": [d["cell_type"] for d in inputs.documents if not d["selected"]],
        "unstable": [s["cell_type"] for s in inputs.stability if s["selected"] and not s["stable"]],
        "mean": {model: float(r[model].mean()) for model in MODELS if model in r and len(r)},
        "best": _named(r["equation"], r["equation"].idxmax()) if len(r) else None,
        "worst": _named(r["equation"], r["equation"].idxmin()) if len(r) else None,
        "n": int(table["n"].max()),
    }


def _held_out(inputs: Inputs, split: str, selected: list[str]) -> dict | None:
    """Mean r of the equations, and genes, on chromosomes that the oracle was not trained on."""
    table = inputs.metrics
    table = table[(table["split"] == f"{split}_held_out") & (table["kind"] == "absolute")]
    table = table[(table["model"] == "equation") & (table["against"] == "expression")]
    r = table.loc[table["cell_type"].isin(selected), "r"].dropna()
    return {"mean": float(r.mean()), "n": int(table["n"].max())} if len(r) else None


def _named(r: pd.Series, cell_type: str) -> tuple[str, float]:
    return cell_type, float(r[cell_type])


def agreement(inputs: Inputs, split: str) -> dict:
    """One table of r, and its figures by kind."""
    table = inputs.metrics[inputs.metrics["split"] == split]
    models = [model for model in MODELS if model in set(table["model"])]
    kinds = {kind: TITLES[kind] for kind in KINDS if kind in set(table["kind"])}
    cells = {(row.cell_type, row.kind, row.model, row.against): row for row in table.itertuples()}
    return {
        "split": split,
        "title": SPLITS[split],
        "mark": MARKS[table["oracle"].iloc[0]],
        "models": models,
        "kinds": kinds,
        "cell_types": table["cell_type"].drop_duplicates().tolist(),
        "cells": cells,
        "figures": [
            (title, forest(table[table["kind"] == kind], f"Pearson r by cell type: {title}"))
            for kind, title in kinds.items()
        ],
    }


def cell_type_view(inputs: Inputs, place: int) -> dict:
    """One cell type: its equation, what the variables are, its figures."""
    document = inputs.documents[place]
    name = document["cell_type"]
    front = inputs.fronts[inputs.fronts["cell_type"] == name]
    rows = inputs.test_rows(name)
    shown = [model for model in ("equation", "teacher") if model in rows]
    if not document["selected"] and "equation" in shown:
        shown.remove("equation")
    return {
        "name": name,
        "anchor": f"type-{place}",
        "document": document,
        "about": inputs.about(name),
        "equation": mathml.equation(document) if document["selected"] else None,
        "faithful": faithful_view(document, inputs.faithful[place]),
        "specific": specific_view(inputs, place) if inputs.specific else None,
        "stability": inputs.stability and stability_view(document, inputs.stability[place]),
        "variables": variables(document) if document["selected"] else [],
        "pareto": pareto(front),
        "scatters": [
            (model, scatter(rows[model].to_numpy(), rows["measured"].to_numpy(),
                            f"{NAMES[model]} (log2 CPM+1)", "measured (log2 CPM+1)", model))
            for model in shown
        ],
        "figures": {split: _figures(inputs.metrics, name, split) for split in SPLITS},
    }  # fmt: skip


def faithful_view(document: dict, faithful: dict) -> dict | None:
    """The more faithful equation, or None where the selected one is it."""
    if not document["selected"] or faithful["expression"] == document["expression"]:
        return None
    new = {v["name"] for v in faithful["variables"]} - {v["name"] for v in document["variables"]}
    return {
        "document": faithful,
        "equation": mathml.equation(faithful),
        "variables": [v for v in variables(faithful) if v["name"] in new],
    }


def specific_view(inputs: Inputs, place: int) -> dict:
    """The equation of specific expression; without an equation where none was selected."""
    document = inputs.specific[place]
    table = inputs.metrics[inputs.metrics["kind"] == SPECIFIC_MODELS]
    rows = table[(table["cell_type"] == document["cell_type"]) & (table["model"] == "equation")]
    rows = rows[rows["against"] == "expression"]
    return {
        "document": document,
        "equation": mathml.equation(document) if document["selected"] else None,
        "variables": variables(document) if document["selected"] else [],
        "r": dict(zip(rows["split"], rows["r"], strict=True)),
    }


def stability_view(document: dict, stability: dict) -> dict:
    """The verdict on an equation and its parts: terms and constants as they are typeset."""
    return {
        **stability,
        "equation": mathml.equation(document, numbers=False),
        "terms": [_typeset(item, document) for item in stability["terms"]],
        "others": [_typeset(item, document) for item in stability["others"]],
        "constants": [_written(item) for item in stability["constants"]["values"]],
        "blocks": stability["constants"]["blocks"],
        "shares": {item["name"]: item["share"] for item in stability["variables"]},
    }


def _written(constant: dict) -> dict:
    """Its numbers to three digits, and None where one is unknown."""
    numbers = {key: constant[key] for key in ("value", "low", "high")}
    shown = {key: n if n is None else mathml.figure(n) for key, n in numbers.items()}
    return {"name": constant["name"], **shown}


def _typeset(item: dict, document: dict) -> dict:
    return {**item, "term": mathml.expression(item["term"], document)}


def _figures(table: pd.DataFrame, cell_type: str, split: str) -> dict:
    """(model, against) → row of METRICS, absolute."""
    rows = table[(table["cell_type"] == cell_type) & (table["split"] == split)]
    rows = rows[rows["kind"] == "absolute"]
    return {(row.model, row.against): row for row in rows.itertuples()}


def variables(document: dict) -> list[dict]:
    """What each variable of the expression is: symbol, strip of weights, range, offset."""
    symbols = mathml.variable_symbols(document)
    return [
        {
            **variable,
            "symbol": symbols[variable["name"]],
            "strip": strip(variable, document),
            "n_classes": len({(w["block"], w["class"]) for w in variable["weights"]}),
        }
        for variable in mathml.used_variables(document)
    ]


def class_matrix(documents: list[dict]) -> dict:
    """Cell types by classes: the effect of each class in each equation, ordered by similarity."""
    selected = [document for document in documents if document["selected"]]
    classes, rows = matrix([class_effects(document) for document in selected])
    largest = max((e.size for row in rows for e in row if e), default=1) or 1
    order = alike_together(rows)
    return {
        "classes": classes,
        "rows": [(selected[i]["cell_type"], rows[i]) for i in order],
        "largest": largest,
    }


def shared(inputs: Inputs) -> dict:
    """The shared expression, with r of cross-validation where there is one."""
    assert inputs.shared is not None
    split = "cv" if _has(inputs, "cv") else "test"
    found = shared_view(inputs.shared, inputs.metrics[inputs.metrics["split"] == split])
    return {**found, "variables": variables(found["document"]) if found["document"] else []}


# What predicts where the search says that it is the teacher.
TEACHERS = {
    "network": "this network",
    "trees": "boosted trees",
    "both": "the mean of this network and boosted trees",
}


def search(table: pd.DataFrame, teacher: dict) -> dict:
    """The trials in numbers, their figure, the parameters of the network that was chosen, and the
    teacher with the losses that it was chosen by."""
    chosen = table[table["chosen"]].iloc[0]
    return {
        "states": table["state"].value_counts().to_dict(),
        "figure": trials(table),
        "chosen": chosen["trial"],
        "parameters": json.loads(chosen["parameters"]),
        "teacher": TEACHERS[teacher["predictions"]],
        "losses": {TEACHERS[name]: loss for name, loss in teacher["losses"].items()},
    }


def split_chromosomes(inputs: Inputs) -> dict[str, list[str]]:
    """Split → chromosomes, where whole chromosomes were split; else empty."""
    chroms = inputs.gene_table[["chrom", "split"]].drop_duplicates()
    if inputs.genes["folds"]["by"] != "chromosomes":
        return {"valid": [], "test": []}
    return {split: sorted(chroms.loc[chroms["split"] == split, "chrom"]) for split in
            ("valid", "test")}  # fmt: skip


def recovery_view(recovery: Recovery) -> list[dict]:
    """One item a cell type: its row of recovery.json, planted terms, equation against truth."""
    return [
        {
            "row": row,
            "terms": recovery.terms[row["cell_type"]],
            "missed": [name for name in row["planted"] if name not in row["found"]],
            "scatter": _against_truth(recovery.values, row),
        }
        for row in recovery.rows
    ]


def _against_truth(values: pd.DataFrame, row: dict):
    if row["equation"] is None:
        return ""
    values = values[values["cell_type"] == row["cell_type"]]
    return scatter(
        values["truth"].to_numpy(), values["equation"].to_numpy(), "truth", "equation", "equation"
    )
