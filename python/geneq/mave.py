"""A MAVE: a library with its scores, measured or predicted.

`mave.parquet` has a row for every sequence: `row` (int64, from 0), `y:<target>` and, where errors
are known, `sigma:<target>` (float32), and `sequence` only where there is no recipe from which the
sequences can be made. The metadata of its schema has a JSON object under `geneq-mave`.
"""

import json
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from . import _ext, encoding
from .artifacts import atomic_path, parquet_errors, parse_json, read_parquet
from .checks import check_format
from .errors import GeneqError, in_file, not_found, some
from .genome import open_maybe_gzip
from .libraries import Library, Mutations
from .sizes import check_text

__all__ = ["Mave", "check_finite", "named_rows", "user_table"]

FORMAT, VERSION = "geneq-mave", 1
KEY = FORMAT.encode()
# Of user-supplied tables; where the header has none of the expected ones, another is used.
SEPARATORS = {".tsv": "\t", ".csv": ","}


@dataclass(frozen=True, eq=False)
class Mave:
    """A library with its scores.

    Attributes
    ----------
    library : Library or None
        The recipe. Without one, `tokens` are the sequences.
    tokens : np.ndarray or None
        uint8[n, length], the sequences where there is no recipe.
    alphabet : str
        As for libraries.
    y : np.ndarray
        float32[n, targets], the scores, finite.
    targets : list of str
        One name per column of y.
    sigma : np.ndarray, optional
        float32[n, targets], standard errors of y, > 0.
    oracle : dict, optional
        What computed the scores (name, hash, how they were made); None for measured ones.
    wild : str, optional
        The wild type where no recipe has one.
    """

    library: Library | None
    tokens: np.ndarray | None
    alphabet: str
    y: np.ndarray
    targets: list[str]
    sigma: np.ndarray | None = None
    oracle: dict | None = None
    wild: str | None = None

    def __post_init__(self) -> None:
        n = len(self._stored) if self.library is None else self.library.n_rows
        if len(set(self.targets)) != len(self.targets) or not self.targets:
            raise GeneqError("There must be targets, with different names", value=self.targets)
        for name, values in (("y", self.y), ("sigma", self.sigma)):
            if values is not None and values.shape != (n, len(self.targets)):
                raise GeneqError(f"{name} must be of shape [{n}, {len(self.targets)}]",
                                 value=str(values.shape))  # fmt: skip
        check_finite(self.y, "Scores")
        if self.sigma is not None:
            check_finite(self.sigma, "Standard errors", self.sigma > 0, "finite and above 0")
        if self.wild is not None and len(self.wild) != self.length:
            raise GeneqError(f"The wild type must have {self.length} symbols like the sequences",
                             value=len(self.wild))  # fmt: skip

    # --- sequences ----------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.n_rows

    @property
    def n_rows(self) -> int:
        """Sequences."""
        return len(self.y)

    @property
    def length(self) -> int:
        """Symbols of every sequence."""
        return self._stored.shape[1] if self.library is None else self.library.length

    @property
    def _stored(self) -> np.ndarray:
        """The sequences of a MAVE without a recipe."""
        assert self.tokens is not None
        return self.tokens

    @cached_property
    def wild_type(self) -> np.ndarray:
        """Tokens uint8[length]: the recipe's wild type, the given one, or the consensus.

        Raises GeneqError for recipes without a wild type.
        """
        wild = self.wild if self.library is None else getattr(self.library, "wild_type", None)
        if wild is not None:
            return encoding.tokens(wild, self.alphabet)[0]
        if self.library is not None:
            raise GeneqError("Libraries of this type have no wild type", value=self.library.kind)
        return self._consensus()

    def _consensus(self) -> np.ndarray:
        """The commonest known symbol of every position; unknown where there is none."""
        symbols = range(len(_ext.alphabet(self.alphabet)[0]))
        counts = np.array([np.count_nonzero(self._stored == one, axis=0) for one in symbols])
        return np.where(counts.any(0), counts.argmax(0), len(symbols)).astype(np.uint8)

    @property
    def windows(self) -> tuple[tuple[int, int], ...] | None:
        """The mutated intervals of the recipe, [start, end) each; None for anywhere or unknown.

        Elsewhere is the wild type or, in a global library, a background.
        """
        return getattr(self.library, "windows", None)

    def mutations(self, threads: int = 1) -> Mutations:
        """The substitutions that make every row from the wild type.

        Raises GeneqError for libraries that are not substitutions in one wild type, and where
        sequences of a table have an unknown symbol in place of a known one.
        """
        if self.library is not None:
            return self.library.mutations(threads=threads)
        row, position = np.nonzero(np.not_equal(self._stored, self.wild_type))
        symbol = self._stored[row, position]
        unknown = symbol == len(_ext.alphabet(self.alphabet)[0])
        if unknown.any():
            raise GeneqError("An unknown symbol is not a substitution",
                             value=named_rows(np.unique(row[unknown])),
                             fix="Remove these rows")  # fmt: skip
        return Mutations(row.astype(np.int64), position.astype(np.int32), symbol)

    def of_targets(self, targets: Sequence[str] | None) -> "Mave":
        """The same library with the scores of these targets only; None keeps all."""
        if targets is None:
            return self
        if unknown := [target for target in targets if target not in self.targets]:
            raise GeneqError("The MAVE has no such target", value=", ".join(unknown),
                             fix=f"It has {', '.join(self.targets)}")  # fmt: skip
        at = [self.targets.index(target) for target in targets]
        sigma = None if self.sigma is None else self.sigma[:, at]
        return replace(self, y=self.y[:, at], targets=list(targets), sigma=sigma)

    # --- files --------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write `mave.parquet` to `path`, complete or not at all."""
        columns: dict = {"row": np.arange(self.n_rows, dtype=np.int64)}
        if self.library is None:
            columns["sequence"] = encoding.strings(self._stored, self.alphabet)
        for name, values in (("y", self.y), ("sigma", self.sigma)):
            if values is not None:
                columns |= {f"{name}:{t}": values[:, i] for i, t in enumerate(self.targets)}
        about = {
            "format": FORMAT,
            "version": VERSION,
            "recipe": json.loads(self.library.to_json()) if self.library is not None else None,
            "alphabet": self.alphabet,
            "targets": self.targets,
            "oracle": self.oracle,
            "wild_type": self.wild,
        }
        table = pa.table(columns).replace_schema_metadata({KEY: json.dumps(about)})
        with atomic_path(path) as temporary:
            # Row numbers are stored as differences; values of y rarely repeat, so no dictionary.
            pq.write_table(
                table,
                temporary,
                compression="zstd",
                write_page_checksum=True,
                use_dictionary=False,
                column_encoding={"row": "DELTA_BINARY_PACKED"},
            )

    @classmethod
    def load(cls, path: str | Path) -> "Mave":
        """Read what `save` wrote. Raises GeneqError for anything else, and for damaged files."""
        table = read_parquet(path)
        about = _about(table.schema.metadata, path)
        names = [f"y:{target}" for target in about["targets"]]
        sigmas = [f"sigma:{target}" for target in about["targets"]]
        recipe = about["recipe"]
        wanted = {"row", *names, *([] if recipe else ["sequence"])}
        _need(table.column_names, wanted, path)
        if not np.array_equal(table["row"], np.arange(table.num_rows)):
            raise GeneqError("Rows of a MAVE must be numbered from 0", file=path)
        library = Library.from_json(json.dumps(recipe)) if recipe else None
        sequences = None if recipe else table["sequence"].to_pylist()
        with in_file(path):
            return cls(
                library,
                None if recipe else encoding.tokens(sequences, about["alphabet"]),
                about["alphabet"],
                _matrix(table, names),
                about["targets"],
                _matrix(table, sigmas) if set(sigmas) <= set(table.column_names) else None,
                about["oracle"],
                about["wild_type"],
            )

    @classmethod
    def open(cls, path: str | Path, alphabet: str = "dna", wild_type: str | None = None) -> "Mave":
        """Read what `save` wrote (`load`), or a user-supplied table (`read_table`)."""
        path = Path(path)
        is_table = path.suffix != ".parquet" or KEY not in (_schema(path).metadata or {})
        return cls.read_table(path, alphabet, wild_type) if is_table else cls.load(path)

    @classmethod
    def read_table(
        cls, path: str | Path, alphabet: str = "dna", wild_type: str | None = None
    ) -> "Mave":
        """Read a user-supplied MAVE.

        Parameters
        ----------
        path : str or Path
            .tsv, .csv (either also .gz) or .parquet with the columns `sequence` (all of one
            length), `y`, or `y:<target>` for several targets, and, where they are known, the
            standard errors `sigma` or `sigma:<target>`. Other columns are ignored.
        alphabet : str
            As for libraries.
        wild_type : str, optional
            By default the consensus of the sequences.

        Raises
        ------
        GeneqError
            The file is not such a table.
        """
        table = user_table(Path(path), ("sequence",))
        names = [name for name in table if name == "y" or name.startswith("y:")]
        _need(table.columns, {"sequence", *(names or ["y"])}, path)
        sigmas = ["sigma" + name[1:] for name in names]
        known = [name for name in sigmas if name in table]
        if known:
            _need(table.columns, set(sigmas), path)
        with in_file(path):
            return cls(
                None,
                encoding.tokens(table["sequence"].to_numpy(object), alphabet),
                alphabet,
                _numbers(table[names]),
                [name[2:] or "y" for name in names],
                _numbers(table[sigmas]) if known else None,
                wild=wild_type,
            )


# --- checks -----------------------------------------------------------------------------------


def check_finite(
    values: np.ndarray,
    what: str,
    good: np.ndarray | bool = True,
    rule: str = "finite",
    first: int = 0,
) -> None:
    """Raise GeneqError that names the rows of `values` that are not finite, or not `good`.

    first: the number of the first row.
    """
    bad = ~(np.isfinite(values) & good).all(axis=1)
    if bad.any():
        raise GeneqError(f"{what} must be {rule}", value=named_rows(first + np.flatnonzero(bad)))


def named_rows(rows: Sequence[int] | np.ndarray) -> str:
    """The first of `rows`, for an error."""
    return f"rows {some(np.asarray(rows).tolist())} (0-based)"


# --- tables -----------------------------------------------------------------------------------


def _schema(path: str | Path) -> pa.Schema:
    with parquet_errors(path):
        return pq.read_schema(path)


def _about(metadata: dict | None, path) -> dict:
    """The metadata of a MAVE."""
    about = parse_json((metadata or {}).get(KEY, b"{}"), path)
    return check_format(about, "a MAVE", FORMAT, VERSION, path)


def _need(found, wanted: set[str], path) -> None:
    if missing := sorted(wanted - set(found)):
        raise GeneqError("The table lacks columns", value=", ".join(missing), file=path)


def _matrix(table: pa.Table, names: list[str]) -> np.ndarray:
    return np.stack([table[name].to_numpy() for name in names], axis=1)


def user_table(path: Path, text: Sequence[str] | None) -> pd.DataFrame:
    """Read a user-supplied table.

    Lines above the header that begin with ## are ignored, and so are rows and columns without any
    entry, as spreadsheet programs write them. Where the header does not have the separator of the
    suffix, a semicolon, tab or comma is used instead.

    Parameters
    ----------
    path : Path
        .tsv, .csv (either also .gz) or .parquet.
    text : sequence of str or None
        Columns of .tsv and .csv that are read as text; None for all.

    Returns
    -------
    pd.DataFrame
        Rows are numbered from 0.

    Raises
    ------
    GeneqError
        The file is missing, damaged or not a table, its rows have more fields than the header, or
        or it has duplicate columns.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return read_parquet(path).to_pandas()
    if name[-4:] not in SEPARATORS:
        raise GeneqError("A table must be .tsv, .csv or .parquet", file=path)
    try:
        check_text(path)
        header, table = _parsed(path, SEPARATORS[name[-4:]], text)
    except FileNotFoundError:
        raise not_found(path) from None
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise GeneqError("Not a complete table", value=str(error), file=path) from None
    if twice := sorted({*header[header.duplicated() & header.notna()]}):
        raise GeneqError("The table has duplicate columns", value=", ".join(twice), file=path)
    nameless = header.isna().to_numpy() & table.isna().all().to_numpy()
    return table.loc[:, ~nameless].dropna(how="all").reset_index(drop=True)


def _parsed(
    path: Path, separator: str, text: Sequence[str] | None
) -> tuple[pd.Series, pd.DataFrame]:
    """The header, NA where it is empty, and the table."""
    comments, line = _first_line(path)
    if separator not in line:
        separator = next((other for other in ";\t," if other in line), separator)
    how = {"sep": separator, "skiprows": comments}
    with open_maybe_gzip(path) as file:
        header = pd.read_csv(file, header=None, nrows=1, dtype=str, **how).iloc[0]
    dtype = str if text is None else dict.fromkeys(text, str)
    return header, _rows(path, dtype=dtype, low_memory=False, **how)


def _first_line(path: Path) -> tuple[int, str]:
    """How many lines of comments there are, and the line after them."""
    comments, line = 0, b""
    with open_maybe_gzip(path) as file:
        for comments, line in enumerate(file):
            if not line.startswith(b"##"):
                return comments, line.decode(errors="replace")
    return comments + bool(line), ""


def _rows(path: Path, **how) -> pd.DataFrame:
    """The table. Raises ValueError where rows have more fields than the header."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            # One separator at the end of every row is accepted.
            with open_maybe_gzip(path) as file:
                return pd.read_csv(file, index_col=False, **how)
        except pd.errors.ParserWarning:
            with open_maybe_gzip(path) as file:
                table = pd.read_csv(file, **how)
    # R's write.table puts row names, which are unique, before the columns, without a header.
    if table.index.nlevels > 1 or not table.index.is_unique:
        raise ValueError("rows have more fields than the header")
    return table


def _numbers(columns: pd.DataFrame) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # infinite in float32, which is refused later
            return columns.to_numpy(np.float32)
    except (ValueError, TypeError) as error:
        raise GeneqError("Scores must be numbers", value=str(error)) from None
