"""How large models are and how long fitting them took: columns of METRICS beside r.

`terms` is the number of terms that are not zero (docs/equations.md says what a term of each model
is), `seconds` the time that fitting took; the latter is there only where it was asked for, since it
differs from run to run.
"""

import pandas as pd

__all__ = ["over_folds", "sizes_of", "with_sizes"]

AT = ["cell_type", "model"]
SIZES = ("terms", "seconds")


def with_sizes(metrics: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    """METRICS with the columns of `sizes`, which has a row for a cell type and model."""
    return metrics.merge(sizes, "left", AT)


def sizes_of(metrics: pd.DataFrame) -> pd.DataFrame:
    """cell_type, model, and those of SIZES that a table METRICS has: a row for each."""
    columns = [name for name in SIZES if name in metrics]
    return metrics[[*AT, *columns]].drop_duplicates(AT).reset_index(drop=True)


def over_folds(folds: list[pd.DataFrame]) -> pd.DataFrame:
    """Means over the runs of a cross-validation, with the least and most: name_low, name_high.

    folds: what `sizes_of` gives of each run. A column that some run lacks is dropped.
    """
    columns = [name for name in SIZES if all(name in fold for fold in folds)]
    groups = pd.concat(folds).groupby(AT, sort=False)[columns]
    low, high = groups.min().add_suffix("_low"), groups.max().add_suffix("_high")
    return groups.mean().join([low, high]).reset_index()
