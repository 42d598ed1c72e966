"""Write the atlas of a run: one HTML file that compares its data sets and cell types.

It reads what `geneq report` wrote next to each report.html, and links to the reports where the
pipeline puts them (datasets/NAME/report/report.html next to atlas.html). cell_types.tsv has the
same figures, a row for each cell type; where there are more than can be shown, the page sums them
up. Where truth is known, recovery.json joins those of all data sets.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from .. import __version__, templates
from ..artifacts import LARGEST_EFFECTS, METRICS, TARGETS, atomic_path, read_json, write_json
from ..equations import class_shares
from ..errors import GeneqError
from ..leakage import worst
from ..plots import mathml
from ..plots.agreement import NAMES, strips
from ..plots.classes import Effect, alike_together, class_effects, matrix

MODELS = ("equation", "teacher")
# Effects of variants that are shown of each cell type.
EFFECTS_SHOWN = 3
# Cell types that a page shows one by one: a browser is slow with many more.
MOST_SHOWN = 2000
# Classes that are shown where cell types are not.
CLASSES_SHOWN = 100
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
    parts = sorted(collect(args.reports), key=_by_name_and_number)
    repeated = pd.Series([part.dataset for part in parts])
    if repeated.duplicated().any():
        raise GeneqError(
            "Two reports are for the same data set", value=repeated[repeated.duplicated()].iloc[0]
        )
    missing = [name for name in args.datasets.split(",") if name and name not in {*repeated}]
    rows = [row for part in parts for row in part.rows]
    recovery = [row for part in parts for row in part.recovery]
    if recovery:
        write_json(recovery, args.out / "recovery.json")
    with atomic_path(args.out / "cell_types.tsv") as temporary:
        table(rows).to_csv(temporary, sep="\t", index=False, float_format="%.6g")
    templates.write_page(
        "atlas.html.j2",
        args.out / "atlas.html",
        version=__version__,
        missing=missing,
        **page(parts, rows, recovery),
    )


def collect(folders: list[Path]) -> list["Part"]:
    """What each report adds; one is in memory at a time."""
    parts, count = [], 0
    for folder in folders:
        report = read(folder)
        count += len(report.documents)
        parts.append(Part.of(report, typeset=count <= MOST_SHOWN))
    return parts


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


@dataclass(frozen=True)
class Part:
    """What a data set adds to the atlas.

    summary: its row among the data sets; rows: one for each cell type; effects: rows of
    LARGEST_EFFECTS, the first of each cell type.
    """

    dataset: str
    summary: dict
    rows: list[dict]
    effects: list[dict]
    recovery: list[dict]

    @classmethod
    def of(cls, report: Report, typeset: bool) -> "Part":
        rows = cell_type_rows(report, typeset)
        effects: list[dict] = []
        if report.effects is not None:
            effects = report.effects.groupby("cell_type").head(EFFECTS_SHOWN).to_dict("records")
        return cls(report.dataset, dataset_row(report), rows, effects, report.recovery)


def _by_name_and_number(part: Part) -> list:
    """Numbers in names by value: set_2 before set_10."""
    words = re.split(r"([0-9]+)", part.dataset)
    return [(word.isdecimal(), int(word) if word.isdecimal() else word) for word in words]


def page(parts: list[Part], rows: list[dict], recovery: list[dict]) -> dict:
    """The values of atlas.html.j2."""
    selected = [row for row in rows if row["selected"]]
    links = {(row["dataset"], row["cell_type"]): row["link"] for row in rows}
    values = {
        "datasets": [part.summary for part in parts],
        "model_names": {model: NAMES[model] for model in MODELS},
        "rows": rows,
        "one_by_one": len(rows) <= MOST_SHOWN,
        "selected": len(selected),
        "tested": [row["stability"]["stable"] for row in selected if row["stability"]],
        "recovery": [(item, links[item["dataset"], item["cell_type"]]) for item in recovery],
    }
    return values | (_one_by_one(parts, selected) if values["one_by_one"] else _summed_up(selected))


def _one_by_one(parts: list[Part], selected: list[dict]) -> dict:
    """What is shown of every cell type."""
    classes, effects = matrix([row["effects"] for row in selected])
    return {
        "strips": strips(_quoted(selected), "Pearson r of every cell type by data set"),
        "classes": classes,
        "matrix": [(selected[i], effects[i]) for i in alike_together(effects)],
        "largest": max((e.size for row in effects for e in row if e), default=1) or 1,
        "effects": effect_rows(parts),
    }


def _summed_up(selected: list[dict]) -> dict:
    """What is shown where there are more cell types than MOST_SHOWN."""
    return {
        "most": MOST_SHOWN,
        "effects": [],
        "spreads": spreads(selected),
        "classes": class_rows([row["effects"] for row in selected])[:CLASSES_SHOWN],
    }


def spreads(selected: list[dict]) -> list[dict]:
    """Quantiles of r over cell types with an equation, of every model and kind."""
    found = []
    for kind in TARGETS:
        for model in MODELS:
            r = np.array([row["r"][model, kind].r for row in selected if row["r"][model, kind]])
            r = r[np.isfinite(r)] if len(r) else r
            quantiles = np.quantile(r, [0.05, 0.5, 0.95]) if len(r) else [None] * 3
            found.append({"kind": kind, "model": model, "n": len(r), "quantiles": quantiles})
    return found


def class_rows(equations: list[dict[str, Effect]]) -> list[dict]:
    """Every class, by the number of equations with it: how many rise and fall with it, and its
    median size."""
    met: dict[str, list[Effect]] = {}
    for effects in equations:
        for name, effect in effects.items():
            met.setdefault(name, []).append(effect)
    rows = [
        {
            "name": name,
            "n": len(effects),
            "rise": sum(effect.direction > 0 for effect in effects),
            "fall": sum(effect.direction < 0 for effect in effects),
            "size": float(np.median([effect.size for effect in effects])),
        }
        for name, effects in met.items()
    ]
    return sorted(rows, key=lambda row: (-row["n"], -row["size"], row["name"]))


def table(rows: list[dict]) -> pd.DataFrame:
    """What the page shows of cell types as numbers and text: cell_types.tsv."""
    return pd.DataFrame(
        {
            "dataset": row["dataset"],
            "cell_type": row["cell_type"],
            "selected": row["selected"],
            "equation": row["infix"],
            "complexity": row["complexity"],
            "comes_back": row["stability"]["structure"] if row["stability"] else None,
            "split": row["split"],
            "genes": row["n"],
            **{f"ceiling_{kind}": row["ceiling"][kind] for kind in TARGETS},
            **{
                f"{model}_{kind}": found.r if found else None
                for (model, kind), found in row["r"].items()
            },
        }
        for row in rows
    )


def cell_type_rows(report: Report, typeset: bool) -> list[dict]:
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
                "selected": selected,
                "equation": mathml.equation(document) if selected and typeset else None,
                "infix": document["infix"],
                "complexity": document["complexity"],
                "stability": report.stability[place] if report.stability and selected else None,
                "effects": class_effects(document) if selected else {},
                "split": report.split,
                "r": {
                    (model, kind): figures.get((name, model, kind))
                    for model in MODELS
                    for kind in TARGETS
                },
                "n": figures[name, "equation", "absolute"].n,
                "ceiling": {kind: _ceiling(figures, name, kind) for kind in TARGETS},
                "key": _key(report.dataset, document),
            }
        )
    return rows


def effect_rows(parts: list[Part]) -> list[tuple[dict, dict]]:
    """The largest effects of variants: the row of the cell type, and that of LARGEST_EFFECTS."""
    found = []
    for part in parts:
        of_type = {row["cell_type"]: row for row in part.rows}
        found += [(of_type[effect["cell_type"]], effect) for effect in part.effects]
    return found


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


def _quoted(selected: list[dict]) -> pd.DataFrame:
    """dataset, model, r of the selected cell types."""
    table = [
        (row["dataset"], model, row["r"][model, "absolute"].r)
        for row in selected
        for model in MODELS
        if row["r"][model, "absolute"]
    ]
    return pd.DataFrame(table, columns=["dataset", "model", "r"])
