"""What the replicates of an equation add up to: shares, intervals and a verdict."""

from collections import Counter

import numpy as np
import pandas as pd

from ...distill.selection import blended
from ...distill.structure import terms
from ...equations import Equation, Form, parse, to_sympy
from ...evaluation import block_weights, bootstrap_interval, pearson, weighted_r
from ...features import Features
from ...stability import FORMAT, VERSION
from .replicates import codes

LEVEL = 0.9
# Share of the replicates that an equation must come back in to be called stable.
STABLE = 0.5
# Terms that the equation lacks are listed if they are in this share of replicates.
LISTED = 0.2
REFITS, RESAMPLES = 400, 1000
# Over fewer blocks no interval is given.
LEAST_BLOCKS = 10


def summarised(
    equation: Equation,
    replicates: pd.DataFrame,
    rows: pd.DataFrame,
    features: Features,
    blocks: pd.Series,
) -> dict:
    """The document equations/<n>.json of one cell type, see docs/equations.md.

    replicates: its rows of REPLICATES; rows: its rows of the predictions of distill; blocks:
    gene_id → block.
    """
    document = equation.document
    known = rows[rows["split"] != "test"].reset_index(drop=True)
    test = rows[rows["split"] == "test"].reset_index(drop=True)
    return {
        "format": FORMAT,
        "version": VERSION,
        "dataset": document["dataset"],
        "cell_type": document["cell_type"],
        "selected": equation.selected,
        "infix": document["infix"],
        "replicates": len(replicates),
        "level": LEVEL,
        **shares(equation, replicates),
        "constants": constants(equation, known, features, blocks),
        "r": test_r(test, blocks) if equation.selected else None,
    }


def shares(equation: Equation, replicates: pd.DataFrame) -> dict:
    """In which share of the replicates the equation and its parts come back.

    The equation comes back where all its terms do, or for a constant, where no equation is
    selected; `identical` are those without further terms.
    """
    own = terms(to_sympy(parse(equation.document["infix"])))
    texts = zip(replicates["infix"], replicates["selected"], strict=True)
    found = [set(terms(to_sympy(parse(text)))) if yes else set() for text, yes in texts]
    names = [{symbol.name for term in each for symbol in term.free_symbols} for each in found]
    selected = replicates["selected"].to_numpy()
    whole = np.array([set(own) <= each for each in found]) if own else ~selected
    others = Counter(term for each in found for term in each if term not in own)
    return {
        "stable": bool(whole.mean() >= STABLE),
        "structure": float(whole.mean()),
        "identical": float(np.mean([set(own) == each for each in found])),
        "no_equation": float(1 - selected.mean()),
        "variables": [
            {
                "name": variable["name"],
                "class": variable["class"],
                "share": float(np.mean([variable["name"] in each for each in names])),
            }
            for variable in equation.document["variables"]
        ],
        "terms": [
            {"term": str(term), "share": float(np.mean([term in each for each in found]))}
            for term in own
        ],
        "others": [
            {"term": str(term), "share": n / len(found)}
            for term, n in sorted(others.items(), key=lambda item: (-item[1], str(item[0])))
            if n >= LISTED * len(found)
        ],
    }


def constants(
    equation: Equation, rows: pd.DataFrame, features: Features, blocks: pd.Series
) -> dict:
    """Constants with intervals, from fits to resampled training and validation genes.

    `failed`: share of the fits that failed. Intervals are None over too few blocks.
    """
    values = np.array(list(equation.document["constants"].values()))
    code, n = codes(rows, blocks)
    found = np.full((0, len(values)), np.nan)
    if n >= LEAST_BLOCKS:
        found = refits(equation, rows, features, code)
    fitted = found[np.isfinite(found).all(axis=1)]
    low, high = np.full((2, len(values)), np.nan)
    if len(fitted) > 1:
        low, high = bootstrap_interval(fitted, n, LEVEL)
    return {
        "genes": len(rows),
        "blocks": n,
        "failed": 1 - len(fitted) / len(found) if len(found) else None,
        "values": [
            {"name": name, "value": value, "low": least, "high": most}
            for name, value, least, most in zip(
                equation.document["constants"], values, low, high, strict=True
            )
        ],
    }


def refits(
    equation: Equation, rows: pd.DataFrame, features: Features, code: np.ndarray
) -> np.ndarray:
    """Constants fitted to resamples of the blocks `code` of rows, float64[REFITS, constants].

    Rows of NaN are fits that failed.
    """
    document = equation.document
    start = np.array(list(document["constants"].values()))
    x = equation.variables(features.of_genes(rows["gene_id"]))
    form = Form(to_sympy(parse(document["expression"])), tuple(x), start)
    measured, teacher = rows["measured"].to_numpy(), rows["teacher_out_of_fold"].to_numpy()
    y = blended(measured, teacher, document["fit"].get("measured_share", 1.0))
    found = np.full((REFITS, len(start)), np.nan)
    for i, times in enumerate(block_weights(code, REFITS, seed=1)[1:]):
        drawn = np.repeat(np.arange(len(rows)), times.astype(int)[code])
        again = form.fit({name: z[drawn] for name, z in x.items()}, y[drawn], start)
        if again is not None:
            found[i] = again
    return found


def test_r(rows: pd.DataFrame, blocks: pd.Series) -> dict:
    """Pearson r of the equation on test genes, with its interval over resampled blocks."""
    rows = rows[np.isfinite(rows["measured"])]
    code, n = codes(rows, blocks)
    x, y = (rows[name].to_numpy(float) for name in ("equation", "measured"))
    low = high = np.nan
    value = pearson(x, y)[0]
    if n >= LEAST_BLOCKS and np.isfinite(value):
        found = weighted_r(x, y, code, block_weights(code, RESAMPLES, seed=1)[1:])
        low, high = bootstrap_interval(found, n, LEVEL)
    return {"genes": len(rows), "blocks": n, "value": value, "low": low, "high": high}


def table_rows(document: dict) -> list[tuple]:
    """A document as rows of the table STABILITY."""
    name, unknown = document["cell_type"], (np.nan,) * 3
    found = [(name, "structure", "", document["structure"], *unknown)]
    found += [(name, "variable", v["name"], v["share"], *unknown) for v in document["variables"]]
    found += [(name, "term", t["term"], t["share"], *unknown) for t in document["terms"]]
    found += [
        (name, "constant", c["name"], np.nan, c["value"], c["low"], c["high"])
        for c in document["constants"]["values"]
    ]
    if r := document["r"]:
        found.append((name, "r", "", np.nan, r["value"], r["low"], r["high"]))
    return found
