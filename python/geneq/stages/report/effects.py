"""Effects of variants on expression: the largest of every cell type, and how well they agree with
measured ones."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...artifacts import EXPRESSION_AGREEMENT, LARGEST_EFFECTS, read_object
from ...errors import GeneqError

__all__ = ["Effects", "effects_view", "read_effects"]

# Effects that are shown of each cell type.
SHOWN = 10


@dataclass(frozen=True)
class Effects:
    """about: variants.json; largest: LARGEST_EFFECTS, at most SHOWN of each cell type; agreement:
    EXPRESSION_AGREEMENT, without rows if nothing was measured."""

    about: dict
    largest: pd.DataFrame
    agreement: pd.DataFrame


def read_effects(folder: Path, cell_types: list[str]) -> Effects:
    """Read what `geneq variants --equations` wrote for a data set with these cell types.

    Raises
    ------
    GeneqError
        A file is missing or damaged, or the effects are those of other cell types.
    """
    path = folder / "largest_effects.parquet"
    largest, compared = LARGEST_EFFECTS.read(path), folder / "agreement.parquet"
    other = sorted({*largest["cell_type"]} - {*cell_types})
    if other:
        raise GeneqError(
            "The effects of variants are not of this data set: it has no such cell type",
            value=other[0],
            file=path,
            fix="Give the output of `geneq variants` with the equations of this data set",
        )
    return Effects(
        read_object(folder / "variants.json"),
        largest.groupby("cell_type", sort=False).head(SHOWN).reset_index(drop=True),
        EXPRESSION_AGREEMENT.read(compared) if compared.exists() else _none(),
    )


def _none() -> pd.DataFrame:
    return pd.DataFrame(columns=list(EXPRESSION_AGREEMENT.columns))


def effects_view(effects: Effects) -> dict:
    """The values of report/effects.html.j2."""
    about = effects.about
    return {
        "variants": about["variants"],
        "pairs": about["pairs"],
        "random": about["background"] and about["background"]["n"],
        "shown": SHOWN,
        "rows": effects.largest.to_dict("records"),
        "truth": about.get("truth"),
        "agreement": effects.agreement.to_dict("records"),
    }
