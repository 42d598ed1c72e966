"""Classes of outputs: a table that says which outputs of a model make up a sequence class.

The score of a class is the weighted mean of its outputs, each standardised,

    sum of weight × (output - mean) / sd   divided by   sum of |weight|.

The table has a row for every output of a class: output, class, weight, mean, sd. It can be written
by hand, or learnt from the outputs on a genome (`learned_classes`), read, edited and used again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..artifacts import atomic_path, read_parquet
from ..errors import GeneqError, in_file, not_found, some
from ..sizes import check_text
from .base import BinnedOracle
from .clusters import clusters
from .wrapped import WrappedOracle

__all__ = ["Classes", "ProjectedOracle", "learned_classes", "with_classes", "with_classes_of_one"]

NEEDED, OPTIONAL = ("output", "class"), {"weight": 1.0, "mean": 0.0, "sd": 1.0}
# Outputs that are in memory together: 64 MB.
BATCH_SCORES = 2**24


# --- the table --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Classes:
    """A table of classes.

    Attributes
    ----------
    table : pd.DataFrame
        Columns output, class (text), weight, mean, sd (float64); a row for each output of a class.
    """

    table: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """The classes, in the order of the table."""
        return list(dict.fromkeys(self.table["class"]))

    @classmethod
    def read(cls, path: str | Path) -> "Classes":
        """Read a table.

        Parameters
        ----------
        path : path
            Text with tabs (.tsv), or parquet (.parquet). Columns output and class are needed;
            weight (1 where there is no such column), mean (0) and sd (1) are optional, others are
            ignored.

        Raises
        ------
        GeneqError
            The file is missing or empty, lacks a column, an output is in a class twice, or a number
            is none.
        """
        frame = _read_parquet(path) if str(path).endswith(".parquet") else _read_text(path)
        with in_file(path):
            return cls.of(frame)

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Classes":
        """The classes of a table with such columns. Raises GeneqError as `read`."""
        missing = [name for name in NEEDED if name not in frame]
        if missing:
            raise GeneqError("A table of classes needs the columns output and class",
                             value=f"there is no {', '.join(missing)}")  # fmt: skip
        if frame.empty:
            raise GeneqError("A table of classes must have at least one row", value="it is empty")
        table = pd.DataFrame({name: frame[name].astype(str).to_numpy() for name in NEEDED})
        for name in NEEDED:
            _refuse(table[name].str.strip() == "", f"{name} must not be empty")
        for name, default in OPTIONAL.items():
            table[name] = _numbers(frame[name], name) if name in frame else default
        _refuse(table.duplicated(list(NEEDED)), "An output must be in a class only once",
                table["output"])  # fmt: skip
        _refuse(table["sd"] <= 0, "sd must be positive", table["sd"])
        empty = table["weight"].abs().groupby(table["class"]).sum() == 0
        if empty.any():
            raise GeneqError("A class needs a weight other than 0", value=empty.idxmax())
        return cls(table)

    def write(self, path: str | Path) -> None:
        """Write the table as text with tabs."""
        with atomic_path(path) as temporary:
            self.table.to_csv(temporary, sep="\t", index=False, float_format="%.9g")

    def matrix(self, outputs: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Weights float32[outputs, classes] and offset float32[classes]: classes are scores @
        weights + offset.

        Raises GeneqError if the table has outputs that are not in `outputs`.
        """
        table, names = self.table, self.names
        place = {name: i for i, name in enumerate(outputs)}
        unknown = [name for name in dict.fromkeys(table["output"]) if name not in place]
        if unknown:
            raise GeneqError("The table of classes names outputs that the model does not have",
                             value=some(unknown), fix=f"It has {some(outputs)}")  # fmt: skip
        total = table["weight"].abs().groupby(table["class"]).transform("sum")
        share = table["weight"] / total / table["sd"]
        column = table["class"].map({name: i for i, name in enumerate(names)})
        weights = np.zeros((len(outputs), len(names)))
        weights[table["output"].map(place), column] = share
        offset = np.bincount(column, -share * table["mean"], len(names))
        return weights.astype(np.float32), offset.astype(np.float32)


def _read_parquet(path: str | Path) -> pd.DataFrame:
    return read_parquet(path).to_pandas()


def _read_text(path: str | Path) -> pd.DataFrame:
    """Everything as text."""
    try:
        check_text(path)
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise not_found(path) from None
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=list(NEEDED))
    except (ValueError, OSError) as error:
        raise GeneqError("Not a table of classes: text with tabs, or .parquet",
                         value=str(error).splitlines()[0], file=path) from None  # fmt: skip


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    """float64 of a column of numbers or of text."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    _refuse(pd.Series(~np.isfinite(values)), f"{name} must be a number", column)
    return values


def _refuse(wrong: pd.Series, rule: str, values: pd.Series | None = None) -> None:
    """Raises GeneqError that names the rows of the table for which `wrong` is true."""
    rows = np.flatnonzero(wrong.to_numpy())
    if len(rows):
        shown = "" if values is None else f"{values.iloc[rows[0]]} in "
        raise GeneqError(rule, value=f"{shown}row {some(rows + 1)}")


# --- the oracle -------------------------------------------------------------------------------


class ProjectedOracle(WrappedOracle):
    """An oracle with the classes of another one's outputs as its targets.

    Parameters
    ----------
    oracle : BinnedOracle
    classes : Classes
    name : str
        What the classes are called, as part of the oracle's name.

    Raises
    ------
    GeneqError
        If the classes have outputs that the oracle does not have.
    """

    def __init__(self, oracle: BinnedOracle, classes: Classes, name: str):
        super().__init__(oracle)
        self._binned = oracle
        self._classes, self._label = classes, name
        self._weights, self._offset = classes.matrix(oracle.targets)
        self.name, self.targets = f"{oracle.name}, classes {name}", classes.names
        self.strands, self.flank = oracle.strands, oracle.flank
        self.note = f"{len(self.targets)} classes of {len(oracle.targets):,} outputs"
        digest = hashlib.sha256(f"classes 1\0{oracle.hash}\0{self.targets}".encode())
        digest.update(self._weights.tobytes() + self._offset.tobytes())
        self.hash = digest.hexdigest()

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Scores of classes, float32[n, classes] or [n, bins, classes]; see `Oracle.predict`."""
        return self._oracle.predict(tokens, anchor) @ self._weights + self._offset

    def of_classes(self, names: list[str]) -> "ProjectedOracle":
        """An oracle of these classes only; see `BinnedOracle.of_classes`."""
        table = self._classes.table[self._classes.table["class"].isin(names)]
        outputs = self._binned.of_classes(list(table["output"].unique()))
        return ProjectedOracle(outputs, Classes(table), self._label)

    def inputs(self, edges: np.ndarray) -> int:
        """As of the oracle of the outputs; see `BinnedOracle.inputs`."""
        return self._binned.inputs(edges)

    def distinct_inputs(self, tokens: np.ndarray, edges: np.ndarray) -> int:
        """As of the oracle of the outputs; see `BinnedOracle.distinct_inputs`."""
        rows = self._batches(len(tokens), len(edges) - 1)
        return sum(self._binned.distinct_inputs(tokens[r], edges) for r in rows)

    def changes(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, edges: np.ndarray
    ) -> np.ndarray:
        """Changes of classes, float32[n, bins, classes]; see `BinnedOracle.changes`."""
        values = np.empty((len(after), len(edges) - 1, len(self.targets)), np.float32)
        for rows in self._batches(*values.shape[:2]):
            values[rows] = (
                self._binned.changes(before, which[rows], after[rows], edges) @ self._weights
            )
        return values

    def changed_inputs(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, edges: np.ndarray
    ) -> int:
        """As of the oracle of the outputs; see `BinnedOracle.changed_inputs`."""
        rows = self._batches(len(after), len(edges) - 1)
        return sum(self._binned.changed_inputs(before, which[r], after[r], edges) for r in rows)

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Scores float32[n, bins, classes]; see `BinnedOracle.predict_bins`."""
        scores = np.empty((len(tokens), len(edges) - 1, len(self.targets)), np.float32)
        for rows in self._batches(*scores.shape[:2]):
            found = self._binned.predict_bins(tokens[rows], edges)
            scores[rows] = found @ self._weights + self._offset
        return scores

    def _batches(self, rows: int, bins: int) -> Iterator[slice]:
        """Rows whose outputs are in memory together."""
        batch = max(1, BATCH_SCORES // (bins * len(self._weights)))
        return (slice(start, start + batch) for start in range(0, rows, batch))


def with_classes(oracle: BinnedOracle, path: str | Path) -> ProjectedOracle:
    """The oracle whose targets are the classes of the table at `path`.

    Raises
    ------
    GeneqError
        If it is not a table of classes, or names outputs that the oracle does not have.
    """
    classes = Classes.read(path)
    with in_file(path):
        return ProjectedOracle(oracle, classes, Path(path).name)


def with_classes_of_one(oracles: Sequence[BinnedOracle], path: str | Path) -> list[BinnedOracle]:
    """Oracles, one of which has the classes of the table at `path` as its targets.

    Parameters
    ----------
    oracles : sequence of BinnedOracle
    path : path
        A table of classes. It applies to the one oracle that has all of its outputs.

    Raises
    ------
    GeneqError
        As `with_classes`; or none of several oracles has all outputs of the table, or more than one
        has.
    """
    if len(oracles) == 1:
        return [with_classes(oracles[0], path)]
    outputs = set(Classes.read(path).table["output"])
    fitting = [oracle for oracle in oracles if outputs <= set(oracle.targets)]
    if len(fitting) != 1:
        found = " and ".join(oracle.name for oracle in fitting) if fitting else "none has"
        raise GeneqError(
            "Exactly one of several oracles must have all outputs of the table of classes",
            value=f"{found}{' have' if fitting else ''} all {len(outputs):,}",
            file=path,
            fix="Use a table of outputs that one oracle alone has",
        )
    return [with_classes(oracle, path) if oracle is fitting[0] else oracle for oracle in oracles]


# --- learning ---------------------------------------------------------------------------------


def learned_classes(values: np.ndarray, outputs: list[str], max_classes: int) -> Classes:
    """Classes of outputs that are correlated over windows of a genome.

    Parameters
    ----------
    values : float32[windows, outputs]
        Finite.
    outputs : list of str
        A name for each column.
    max_classes : int
        The largest number of classes.

    Returns
    -------
    Classes
        A class is the mean of its standardised outputs, and has the name of the output that is most
        correlated with the others. Outputs that are the same in all windows are in no class.

    Raises
    ------
    GeneqError
        If there are fewer than two windows, or no output differs between windows.

    Notes
    -----
    Ward's clustering of the standardised outputs as unit vectors, whose inner products are their
    correlations.
    """
    if len(values) < 2:
        raise GeneqError("Classes are learnt from at least two windows", value=len(values))
    mean, sd = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
    varies = np.flatnonzero(sd > 1e-6 * np.maximum(np.abs(mean), 1e-6))
    if not len(varies):
        raise GeneqError("No output differs between windows, so there are no classes",
                         value=f"{len(outputs)} outputs")  # fmt: skip
    standard = ((values[:, varies] - mean[varies]) / sd[varies]).astype(np.float32)
    correlation = np.clip((standard.T @ standard).astype(np.float64) / len(values), -1, 1)
    np.fill_diagonal(correlation, 1)
    rows = [
        (outputs[varies[i]], outputs[varies[central]], 1.0, mean[varies[i]], sd[varies[i]])
        for central, members in clusters(correlation, max_classes)
        for i in members
    ]
    return Classes.of(pd.DataFrame(rows, columns=[*NEEDED, *OPTIONAL]))
