"""All models of a data set in one table: mean r, terms and seconds; SHAP beside equations."""

from pathlib import Path

import numpy as np
import pandas as pd

from ...artifacts import METRICS, SHAP, TARGETS
from ...equations import class_label
from ...evaluation import MODELS, mean_r, not_constant, specific
from ...model_sizes import SIZES, over_folds, sizes_of
from ...plots.classes import class_effects

TOP = 5
Estimate = tuple[float, float, float]


def read_sizes(distill: Path, cv: list[Path]) -> dict[str, pd.DataFrame]:
    """Split → terms and seconds by cell type and model, from what distill wrote."""
    sizes = {"test": sizes_of(METRICS.read(distill / "metrics.parquet"))}
    if cv:
        runs = [sizes_of(METRICS.read(folder / "metrics.parquet")) for folder in cv]
        sizes["cv"] = over_folds(runs)
    return sizes


def model_table(
    tested: pd.DataFrame, blocks: pd.Series, sizes: pd.DataFrame
) -> list[dict[str, str | Estimate]]:
    """A row for each model: its name, and mean, low and high of what there is of it.

    tested: of PREDICTIONS, genes that were not trained on; blocks: see `gene_blocks`; sizes: of the
    same runs. Keys: model, absolute and specific (mean r, 95 % interval by bootstrap over blocks),
    difference (of absolute r, the equation's minus its own, paired), terms and seconds (from least
    to most over the runs of a cross-validation). All are means over the cell types where the
    equation is not constant; empty where it is in all.
    """
    models = tuple(model for model in MODELS if model in tested)
    cell_types = not_constant(tested, "equation")
    if not cell_types:
        return []
    found: dict[str, dict] = {model: {"model": model} for model in models}
    for kind in TARGETS:
        rows = tested if kind == "absolute" else specific(tested, ["measured", *models])
        if len(rows):
            r = mean_r(rows, blocks, models, cell_types)
            for model in models:
                found[model][kind] = _estimate(r[model])
                if kind == "absolute" and model != "equation":
                    found[model]["difference"] = _estimate(r["equation"] - r[model])
    for model, mean in sizes[sizes["cell_type"].isin(cell_types)].groupby("model"):
        if model in found:
            found[model] |= _sizes(mean.mean(numeric_only=True))
    return list(found.values())


def _estimate(values: np.ndarray) -> Estimate:
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return float(values[0]), float(low), float(high)


def _sizes(mean: pd.Series) -> dict[str, Estimate]:
    """Of the columns of SIZES that there are; low and high are NaN where there was one run."""
    return {
        name: (mean[name], mean.get(f"{name}_low", np.nan), mean.get(f"{name}_high", np.nan))
        for name in SIZES
        if name in mean
    }


def shap_view(distill: Path, documents: list[dict]) -> list[dict]:
    """For each cell type the classes with the largest SHAP values, beside those of its equation.

    Empty if the folder of distill has no shap.parquet. Items: cell_type; equation: classes, largest
    effect first; trees: (class, value, whether the equation has it), largest value first.
    """
    path = distill / "shap.parquet"
    if not path.exists():
        return []
    table = SHAP.read(path)
    return [_beside(table[table["cell_type"] == d["cell_type"]], d) for d in documents]


def _beside(table: pd.DataFrame, document: dict) -> dict:
    effects = class_effects(document) if document["selected"] else {}
    top = table.sort_values("shap", ascending=False, kind="stable")[:TOP]
    places = zip(top["block"], top["class"], strict=True)
    names = [class_label(block, name, document) for block, name in places]
    return {
        "cell_type": document["cell_type"],
        "equation": sorted(effects, key=lambda name: -effects[name].size)[:TOP],
        "trees": [(n, v, n in effects) for n, v in zip(names, top["shap"], strict=True) if v > 0],
    }
