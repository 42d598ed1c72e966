"""The tables of an h5ad file, obs and var, read a column at a time.

Columns are read with h5py alone, so that one that cannot be read does no harm unless it is needed,
and so that attributes and text that other programs write (HDF5.jl, hdf5r) are understood.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pandas as pd

from ...errors import GeneqError
from ...sizes import check_dataset

__all__ = ["MISSING", "Column", "Frame", "text_attribute"]

NA_INTEGER = -(2**31)  # how R stores a missing integer
# What a missing value becomes when a column is turned into text by pandas, NumPy or R.
MISSING = {"", "na", "n/a", "<na>", "nan", "nat", "none", "null", str(NA_INTEGER)}
ARRAYS = ("", "array", "string-array")
NULLABLE = ("nullable-integer", "nullable-boolean", "nullable-string-array")


def text_attribute(element: h5py.Group | h5py.Dataset, name: str) -> str:
    """An attribute as text, also if stored as fixed-length bytes or as an array of one element.

    "" if it is absent or not text.
    """
    value = element.attrs.get(name)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        value = _decode(value)
    return value.strip("\0 ") if isinstance(value, str) else ""


def _decode(text: Any) -> Any:
    """Bytes as str: UTF-8, or Latin-1 if they are not that. Anything else as it is."""
    if not isinstance(text, bytes):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


@dataclass(frozen=True)
class Column:
    """A column as codes: value i is values[codes[i]], and a code of -1 a missing value.

    codes: int64[n_rows]. values: str, numbers or booleans, without duplicates.
    """

    codes: np.ndarray
    values: list

    @property
    def is_text(self) -> bool:
        return all(isinstance(value, str) for value in self.values)

    def texts(self) -> list[str]:
        """`values` as text: 1.0 as "1"."""
        return [
            str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
            for value in self.values
        ]

    def as_text(self) -> np.ndarray:
        """Every row as text without white space around it, "" if missing: object[n_rows]."""
        texts = np.array([*(text.strip() for text in self.texts()), ""], dtype=object)
        return texts[self.codes]


@dataclass(frozen=True)
class Frame:
    """obs, var or raw/var of an open h5ad file. Raises GeneqError if it is not a readable table."""

    group: h5py.Group
    name: str

    @classmethod
    def open(cls, file: h5py.File, name: str) -> "Frame":
        if name not in file:
            raise GeneqError(
                f"An h5ad file has '{name}'; this HDF5 file does not",
                value=", ".join(file) or "it is empty",
                file=file.filename,
            )
        group = file[name]
        if not isinstance(group, h5py.Group):
            raise GeneqError(
                f"'{name}' is stored in the format of anndata before 0.7",
                file=file.filename,
                fix="Rewrite the file: anndata.read_h5ad(OLD).write_h5ad(NEW)",
            )
        frame = cls(group, name)
        if frame.index not in group:
            raise GeneqError(
                f"'{name}' has no index: attribute or column '_index' is missing",
                value=", ".join(group) or "it is empty",
                file=file.filename,
                fix="Write the file again with anndata",
            )
        return frame

    @property
    def file(self) -> str:
        return self.group.file.filename

    @property
    def index(self) -> str:
        """The name of the index column."""
        return text_attribute(self.group, "_index") or "_index"

    @property
    def columns(self) -> list[str]:
        return [name for name in self.group if name not in (self.index, "__categories")]

    @property
    def n_rows(self) -> int:
        index = self.group[self.index]
        if isinstance(index, h5py.Group):
            index = index["codes" if "codes" in index else "values"]
        return index.shape[0] if index.shape else 0

    def names(self) -> np.ndarray:
        """The index as text: object[n_rows]."""
        return self.column(self.index).as_text()

    def column(self, key: str) -> Column:
        """One column. Raises GeneqError, naming file and column, if it cannot be read."""
        try:
            return _read(self.group, key, self.n_rows)
        except (ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
            raise GeneqError(
                f"Column '{key}' of {self.name} cannot be read",
                value=str(error.args[0] if error.args else error),
                file=self.file,
                fix="Write this column again with anndata",
            ) from None


def _read(group: h5py.Group, key: str, n_rows: int) -> Column:
    """A column in any of anndata's formats. Raises ValueError, or what h5py raises."""
    element, parent = group[key], f"__categories/{key}"
    encoding = text_attribute(element, "encoding-type")
    if isinstance(element, h5py.Dataset) and encoding in ARRAYS:
        if "categories" in element.attrs:  # anndata 0.7
            return _categorical(element, group.file[element.attrs["categories"]], n_rows)
        if parent in group:
            return _categorical(element, group[parent], n_rows)
        return _factorize(_vector(element, n_rows))
    if isinstance(element, h5py.Group) and (encoding == "categorical" or not encoding):
        return _categorical(element["codes"], element["categories"], n_rows)
    if isinstance(element, h5py.Group) and encoding in NULLABLE:
        column = _factorize(_vector(element["values"], n_rows))
        missing = _vector(element["mask"], n_rows).astype(bool)
        return Column(np.where(missing, -1, column.codes), column.values)
    raise ValueError(f"its encoding-type is '{encoding}'")


def _categorical(codes: h5py.Dataset, categories: h5py.Dataset | h5py.Group, n_rows: int) -> Column:
    codes = _vector(codes, n_rows)
    if codes.dtype.kind not in "iu":
        raise ValueError(f"its codes are {codes.dtype}, not integers")
    codes = codes.astype(np.int64)
    codes[codes == NA_INTEGER] = -1
    found = _vector(categories["values"] if isinstance(categories, h5py.Group) else categories)
    values = [_decode(value) for value in found.tolist()]
    if len(codes) and (codes.min() < -1 or codes.max() >= len(values)):
        raise ValueError(
            f"its codes run from {codes.min()} to {codes.max()}, for {len(values)} categories"
        )
    name, n = Counter(values).most_common(1)[0] if values else ("", 0)
    if n > 1:
        raise ValueError(f"the category '{name}' is listed {n} times")
    return Column(codes, values)


def _factorize(values: np.ndarray) -> Column:
    codes, unique = pd.factorize(values)
    return Column(codes.astype(np.int64), [_decode(value) for value in unique.tolist()])


def _vector(dataset: h5py.Dataset, n_rows: int | None = None) -> np.ndarray:
    """A dataset of one dimension: numbers, booleans, or object[n] of bytes."""
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"its part '{dataset.name}' is a group, not a dataset")
    if dataset.ndim != 1:
        raise ValueError(f"it has {dataset.ndim} dimensions")
    if n_rows is not None and len(dataset) != n_rows:
        raise ValueError(f"it has {len(dataset)} values for {n_rows} rows")
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    if not is_text and dataset.dtype.kind not in "biuf":
        raise ValueError(f"it is neither text nor numbers but {dataset.dtype}")
    check_dataset(dataset)
    values = dataset[()]
    names = h5py.check_enum_dtype(dataset.dtype)
    if names:  # as R stores logical values
        texts = {number: name for name, number in names.items()}
        return np.array([texts.get(value, "") for value in values.tolist()], dtype=object)
    return values.astype(object) if is_text else values
