"""The shared expression in files: its documents, and the table of its terms."""

from pathlib import Path

import numpy as np
import pandas as pd

from ...artifacts import SHARED, atomic_path
from ...distill.cell_type import CellType
from ...distill.shared import terms_of
from ...distill.structure import shape
from ...distill.tidy import values
from ...equations import Equation, parse, to_sympy

__all__ = ["write_shared"]


def write_shared(
    documents: list[dict], cells: list[CellType], predictions: list[pd.DataFrame], out: Path
) -> list[pd.DataFrame]:
    """Write shared/<n>.json and shared.parquet; the predictions with the column `shared`.

    documents, predictions: of each of the cell types, in their order.
    """
    tables, found = [], []
    with atomic_path(out / "shared") as folder:
        folder.mkdir()
        for n, (document, cell) in enumerate(zip(documents, cells, strict=True)):
            equation = Equation(document)
            equation.save(folder / f"{n}.json")
            features = cell.source.features.of_genes(cell.rows["gene_id"])
            found.append(predictions[n].assign(shared=equation.predict(features)))
            tables.append(_terms(document, cell))
            print(f"{cell.name}, shared: {equation if equation.selected else 'not selected'}")
    filled = [table for table in tables if len(table)] or tables[:1]
    SHARED.write(pd.concat(filled, ignore_index=True), out / "shared.parquet")
    return found


def _terms(document: dict, cell: CellType) -> pd.DataFrame:
    """The rows of SHARED of one cell type, none where the shared expression was not selected."""
    constants, errors = document["constants"], document["fit"]["standard_errors"]
    train = cell.split("train")
    x = {v["name"]: cell.x[v["name"]][train] for v in document["variables"]}
    rows = []
    for term in terms_of(to_sympy(parse(document["expression"])), x):
        unit, coefficient = term.put_in(constants), constants[term.coefficient]
        part = coefficient * values(unit, x)
        rows.append(
            {
                "term": str(shape(unit)),
                "coefficient": coefficient,
                "se": errors[term.coefficient],
                "effect": _sign(part, values(shape(unit), x)) * part.std(),
            }
        )
    frame = pd.DataFrame(rows, columns=["term", "coefficient", "se", "effect"])
    return frame.assign(cell_type=cell.name, place=np.arange(len(frame)))


def _sign(part: np.ndarray, plain: np.ndarray) -> int:
    """Whether one float64[n] rises (1) or falls (-1) with another, by rank correlation."""
    r = pd.Series(part).corr(pd.Series(plain), method="spearman")
    return int(np.sign(np.nan_to_num(r)))
