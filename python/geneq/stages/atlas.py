"""Write the atlas of a run: one HTML file that compares its data sets and cell types.

It reads what `geneq report` wrote next to each report.html, and links to the reports where the
pipeline puts them (datasets/NAME/report/report.html next to atlas.html). Where truth is known,
recovery.json joins those of all data sets.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from .. import __version__, templates
from ..artifacts import LARGEST_EFFECTS, METRICS, read_json, write_json
from ..equations import class_shares
from ..errors import GeneqError
from ..evaluation import KINDS
from ..leakage import worst
from ..plots import mathml
from ..plots.agreement import NAMES, strips
from ..plots.classes import alike_together, class_effects, matrix

MODELS = ("equation", "teacher")
# Effects of variants that are shown of each cell type.
EFFECTS_SHOWN = 3
# Whether an oracle was trained on the chromosomes of a data set's genes.
TRAINING = {
    "trained": "yes, of some",
    "held_out": "no",
    "unknown": "unknown",
    "untrained": "not trained",
}


def add_arguments(parser):
    parser.add_argument(
        "--reports", nargs="+", required=True, type=Path, metavar="DIR", help="reports to compare"
    )
    parser.add_argument(
        "--datasets", default="", metavar="NAMES",
        help="data sets of the run, comma-separated: the atlas names those without a report",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="output folder")


def run(args):
    reports = sorted((read(folder) for folder in args.reports), key=_by_name_and_number)
    repeated = pd.Series([report.dataset for report in reports])
    if repeated.duplicated().any():
        raise GeneqError(
            "Two reports are for the same data set", value=repeated[repeated.duplicated()].iloc[0]
        )
    missing = [name for name in args.datasets.split(",") if name and name not in {*repeated}]
    recovery = [row for report in reports for row in report.recovery]
    if recovery:
        write_json(recovery, args.out / "recovery.json")
    templates.write_page(
        "atlas.html.j2",
        args.out / "atlas.html",
        version=__version__,
        missing=missing,
        **page(reports, recovery),
    )


@dataclass(frozen=True)
class Report:
    """What the atlas shows of a data set: its equations and the figures that are quoted.

    stability: documents in the order of the equations; empty if there are none. effects: the
    largest effects of variants, None if the run had no variants.
    """

    documents: list[dict]
    metrics: pd.DataFrame
    recovery: list[dict]
    stability: list[dict]
    effects: pd.DataFrame | None

    @property
    def dataset(self) -> str:
        return self.documents[0]["dataset"]

    @property
    def link(self) -> str:
        return f"datasets/{quote(self.dataset, safe='')}/report/report.html"

    @property
    def split(self) -> str:
        """Where r is quoted from: cross-validation where there is one."""
        return "cv" if (self.metrics["split"] == "cv").any() else "test"

    def figures(self) -> dict:
        """(cell type, model, kind) → row of METRICS against expression."""
        rows = self.metrics[self.metrics["split"] == self.split]
        rows = rows[rows["against"] == "expression"]
        return {(row.cell_type, row.model, row.kind): row for row in rows.itertuples()}


def read(folder: Path) -> Report:
    """Read the folder that `geneq report` wrote."""
    documents = read_json(folder / "equations.json")
    if not isinstance(documents, list) or not documents:
        raise GeneqError("A report without equations", file=folder / "equations.json")
    recovery, stability = folder / "recovery.json", folder / "stability.json"
    effects = folder / "largest_effects.parquet"
    return Report(
        documents,
        METRICS.read(folder / "metrics.parquet"),
        read_json(recovery) if recovery.exists() else [],
        read_json(stability) if stability.exists() else [],
        LARGEST_EFFECTS.read(effects) if effects.exists() else None,
    )


def _by_name_and_number(report: Report) -> list:
    """Numbers in names by value: set_2 before set_10."""
    parts = re.split(r"([0-9]+)", report.dataset)
    return [(part.isdecimal(), int(part) if part.isdecimal() else part) for part in parts]


def page(reports: list[Report], recovery: list[dict]) -> dict:
    """The values of atlas.html.j2."""
    rows = [row for report in reports for row in cell_type_rows(report)]
    selected = [row for row in rows if row["equation"]]
    classes, effects = matrix([row["effects"] for row in selected])
    order = alike_together(effects)
    links = {(row["dataset"], row["cell_type"]): row["link"] for row in rows}
    return {
        "datasets": [dataset_row(report) for report in reports],
        "model_names": {model: NAMES[model] for model in MODELS},
        "rows": rows,
        "selected": len(selected),
        "tested": [row["stability"]["stable"] for row in selected if row["stability"]],
        "strips": strips(_quoted(rows), "Pearson r of every cell type by data set"),
        "classes": classes,
        "matrix": [(selected[i], effects[i]) for i in order],
        "largest": max((e.size for row in effects for e in row if e), default=1) or 1,
        "effects": effect_rows(reports, rows),
        "recovery": [(item, links[item["dataset"], item["cell_type"]]) for item in recovery],
    }


def cell_type_rows(report: Report) -> list[dict]:
    """One row per cell type: equation, effects of its classes, figures, where its report is."""
    figures = report.figures()
    rows = []
    for place, document in enumerate(report.documents):
        name = document["cell_type"]
        selected = document["selected"]
        rows.append(
            {
                "dataset": report.dataset,
                "cell_type": name,
                "link": f"{report.link}#type-{place}",
                "equation": mathml.equation(document) if selected else None,
                "infix": document["infix"],
                "complexity": document["complexity"],
                "stability": report.stability[place] if report.stability and selected else None,
                "effects": class_effects(document) if selected else {},
                "split": report.split,
                "r": {
                    (model, kind): figures.get((name, model, kind))
                    for model in MODELS
                    for kind in KINDS
                },
                "n": figures[name, "equation", "absolute"].n,
                "ceiling": {kind: _ceiling(figures, name, kind) for kind in KINDS},
                "key": _key(report.dataset, document),
            }
        )
    return rows


def effect_rows(reports: list[Report], rows: list[dict]) -> list[tuple[dict, dict]]:
    """The largest effects of variants: the row of the cell type, and that of LARGEST_EFFECTS."""
    of_type = {(row["dataset"], row["cell_type"]): row for row in rows}
    return [
        (of_type[report.dataset, effect["cell_type"]], effect)
        for report in reports
        if report.effects is not None
        for effect in report.effects.groupby("cell_type").head(EFFECTS_SHOWN).to_dict("records")
    ]


def _ceiling(figures: dict, cell_type: str, kind: str) -> float | None:
    row = figures.get((cell_type, "equation", kind))
    return row.ceiling if row else None


def _key(dataset: str, document: dict) -> str:
    """What the search box looks through."""
    used = mathml.used_variables(document)
    classes = dict.fromkeys(name for variable in used for _, name in class_shares(variable))
    return " ".join([dataset, document["cell_type"], *classes]).lower()


def dataset_row(report: Report) -> dict:
    """A data set in numbers: cell types, selected ones, median r over them."""
    names = [d["cell_type"] for d in report.documents if d["selected"]]
    table = report.metrics[report.metrics["split"] == report.split]
    training = table["oracle"]
    table = table[table["against"] == "expression"]
    table = table[(table["kind"] == "absolute") & table["cell_type"].isin(names)]
    medians = table.groupby("model")["r"].median()
    return {
        "dataset": report.dataset,
        "link": report.link,
        "oracle": " + ".join(block["name"] for block in report.documents[0]["blocks"]),
        "n_types": len(report.documents),
        "n_selected": len(names),
        "n_genes": int(table["n"].max()) if len(table) else None,
        "median": {model: medians.get(model) for model in MODELS},
        "split": report.split,
        "training": TRAINING[worst(training)],
    }


def _quoted(rows: list[dict]) -> pd.DataFrame:
    """dataset, model, r of the selected cell types."""
    table = [
        (row["dataset"], model, row["r"][model, "absolute"].r)
        for row in rows
        for model in MODELS
        if row["equation"] and row["r"][model, "absolute"]
    ]
    return pd.DataFrame(table, columns=["dataset", "model", "r"])
