"""Tracks of profile models: listed in a table, chosen by name.

The table is the one that Basenji, Enformer and Borzoi are published with: tab-separated, a row a
track in the order of the outputs, with the columns `identifier` and `description`.
"""

from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from ..errors import GeneqError, not_found
from .network import NetworkOracle

__all__ = ["chosen_tracks", "read_tracks", "track_names", "tracks_oracle"]

REQUIRED = ("identifier", "description")


def read_tracks(path: str | Path, outputs: int) -> pd.DataFrame:
    """A table of tracks, a row for each of `outputs` outputs.

    Raises
    ------
    GeneqError
        If the file is missing or no such table, or has another number of rows.
    """
    path = Path(path)
    if not path.is_file():
        raise not_found(path)
    try:
        table = pd.read_csv(path, sep="\t", dtype=dict.fromkeys(REQUIRED, str))
    except (ValueError, UnicodeDecodeError) as error:
        raise GeneqError("Not a table of tracks, tab-separated with a header",
                         value=str(error).partition("\n")[0], file=path) from None  # fmt: skip
    absent = [name for name in REQUIRED if name not in table]
    if absent:
        raise GeneqError("A table of tracks lacks columns", value=", ".join(absent), file=path)
    if len(table) != outputs:
        raise GeneqError(
            "A table of tracks must have a row for each output of the model",
            value=f"{len(table):,} rows, {outputs:,} outputs",
            file=path,
        )
    return table.fillna(dict.fromkeys(REQUIRED, ""))


def chosen_tracks(table: pd.DataFrame, wanted: str, folder: str | Path) -> np.ndarray:
    """Places of tracks in the table, in its order.

    Parameters
    ----------
    table : DataFrame
        With the columns `identifier` and `description`.
    wanted : str
        Identifiers, descriptions, or patterns of either (``CAGE:*``), separated by commas; or
        ``@FILE`` with one per line, a file in `folder`. All tracks if empty.
    folder : path
        Of the model.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    GeneqError
        If one of them matches no track.
    """
    if not wanted:
        return np.arange(len(table))
    kept = np.zeros(len(table), bool)
    names = [table[name].tolist() for name in REQUIRED]
    for pattern in _patterns(wanted, Path(folder)):
        found = np.array([fnmatchcase(i, pattern) or fnmatchcase(d, pattern)
                          for i, d in zip(*names, strict=True)])  # fmt: skip
        if not found.any():
            raise GeneqError("No track of the model has this identifier or description",
                             value=pattern, file=folder)  # fmt: skip
        kept |= found
    return np.flatnonzero(kept)


def _patterns(wanted: str, folder: Path) -> list[str]:
    if not wanted.startswith("@"):
        return [pattern.strip() for pattern in wanted.split(",") if pattern.strip()]
    path = folder / wanted[1:]
    if not path.is_file():
        raise not_found(path)
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    if not any(lines):
        raise GeneqError("A list of tracks must not be empty", file=path)
    return [line for line in lines if line]


def tracks_oracle(
    kind: str, what: str, module: nn.Module, length: int, bin_size: int, rows: pd.DataFrame
) -> NetworkOracle:
    """An oracle of chosen tracks.

    Parameters
    ----------
    kind, what : str
        Its name on the command line is KIND:WHAT.
    module : torch.nn.Module
        float32[n, 4, length] → [n, bins, tracks].
    length, bin_size : int
        Of the input and of a bin, in nt.
    rows : DataFrame
        The tracks, rows of their table.
    """
    folder, _, wanted = what.partition(":")
    name = ":".join(part for part in (kind, Path(folder).name, wanted) if part)
    oracle = NetworkOracle(name, module, length, track_names(rows))
    oracle.bin_size = bin_size
    return oracle


def track_names(table: pd.DataFrame) -> list[str]:
    """A different name for each track: its description, and where others have it its identifier.

    The last resort is its place in the table.
    """
    names = table["description"].where(table["description"] != "", table["identifier"])
    shared = names.duplicated(keep=False)
    names = names.where(~shared, names + " (" + table["identifier"] + ")")
    places = pd.Series(table.index.astype(str), index=table.index)
    return names.where(~names.duplicated(keep=False), names + " #" + places).tolist()
