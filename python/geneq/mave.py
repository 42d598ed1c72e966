"""A MAVE: a library with its scores, measured or predicted.

`mave.parquet` has a row for every sequence: `row` (int64, from 0), `y:<target>` and, where errors
are known, `sigma:<target>` (float32), and `sequence` only where no recipe makes the sequences
again. The metadata of its schema has a JSON object under `geneq-mave`.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from . import _ext, encoding
from .artifacts import read_parquet, whole_parquet, written_whole
from .checks import check_format
from .errors import GeneqError, in_file, not_found, some
from .genome import open_maybe_gzip
from .libraries import Library, Mutations

FORMAT, VERSION = "geneq-mave", 1
KEY = FORMAT.encode()


@dataclass(frozen=True, eq=False)
class Mave:
    """A library with its scores.

    library: the recipe, or None: then tokens, uint8[n, length], are the sequences. alphabet: as of
    libraries. y: float32[n, targets], finite. targets: a name a column of y. sigma: float32[n,
    targets], standard errors of y, > 0. oracle: what gave the scores (name, hash, and how they were
    made), None for measured ones. wild: symbols of the wild type where no recipe has one.
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
        n = self.tokens.shape[0] if self.library is None else self.library.n_rows
        if len(set(self.targets)) != len(self.targets) or not self.targets:
            raise GeneqError("There must be targets, of different names", value=self.targets)
        for name, values in (("y", self.y), ("sigma", self.sigma)):
            if values is not None and values.shape != (n, len(self.targets)):
                raise GeneqError(f"{name} must be of shape [{n}, {len(self.targets)}]",
                                 value=str(values.shape))  # fmt: skip
        check_finite(self.y, "Scores")
        if self.sigma is not None:
            check_finite(self.sigma, "Standard errors", self.sigma > 0, "finite and above 0")
        if self.wild is not None and len(self.wild) != self.length:
            raise GeneqError(f"The wild type must have {self.length} symbols as the sequences",
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
        return self.tokens.shape[1] if self.library is None else self.library.length

    @cached_property
    def wild_type(self) -> np.ndarray:
        """Tokens uint8[length]: the recipe's wild type, the one given, or the consensus.

        Raises GeneqError for recipes that know of no wild type.
        """
        wild = self.wild if self.library is None else getattr(self.library, "wild_type", None)
        if wild is not None:
            return encoding.tokens(wild, self.alphabet)[0]
        if self.library is not None:
            raise GeneqError("Libraries of this kind have no wild type", value=self.library.kind)
        return self._consensus()

    def _consensus(self) -> np.ndarray:
        """The commonest known symbol of every position; unknown where there is none."""
        symbols = range(len(_ext.alphabet(self.alphabet)[0]))
        counts = np.array([np.count_nonzero(self.tokens == symbol, axis=0) for symbol in symbols])
        return np.where(counts.any(0), counts.argmax(0), len(symbols)).astype(np.uint8)

    @property
    def windows(self) -> tuple[tuple[int, int], ...] | None:
        """Where the recipe mutates, [start, end) each; None for anywhere, or where it is not known.

        What stands elsewhere is the wild type's, or, of a global library, a background.
        """
        return getattr(self.library, "windows", None)

    def mutations(self, threads: int = 1) -> Mutations:
        """The substitutions that make every row from the wild type.

        Raises GeneqError for libraries that are no substitutions in one wild type, and where
        sequences of a table have an unknown symbol in place of a known one.
        """
        if self.library is not None:
            return self.library.mutations(threads=threads)
        row, position = np.nonzero(self.tokens != self.wild_type)
        symbol = self.tokens[row, position]
        unknown = symbol == len(_ext.alphabet(self.alphabet)[0])
        if unknown.any():
            raise GeneqError("An unknown symbol is no substitution",
                             value=named_rows(np.unique(row[unknown])),
                             fix="Leave these rows out")  # fmt: skip
        return Mutations(row.astype(np.int64), position.astype(np.int32), symbol)

    def of_targets(self, targets: Sequence[str] | None) -> "Mave":
        """The same library with the scores of these targets alone; None keeps all."""
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
        """Write `mave.parquet` to `path`, whole or not at all."""
        columns: dict = {"row": np.arange(self.n_rows, dtype=np.int64)}
        if self.library is None:
            columns["sequence"] = encoding.strings(self.tokens, self.alphabet)
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
        with written_whole(path) as temporary:
            # Row numbers take next to nothing as differences; no value of y comes twice.
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
        """What `save` wrote (`load`), or a table of one's own (`read_table`)."""
        path = Path(path)
        is_own = path.suffix != ".parquet" or KEY not in (_schema(path).metadata or {})
        return cls.read_table(path, alphabet, wild_type) if is_own else cls.load(path)

    @classmethod
    def read_table(
        cls, path: str | Path, alphabet: str = "dna", wild_type: str | None = None
    ) -> "Mave":
        """A MAVE of one's own: .tsv, .csv (either also .gz) or .parquet.

        Columns: `sequence`, all equally long; `y`, or `y:<target>` for several; standard errors
        `sigma`, or `sigma:<target>`, where they are known. Others are left aside. wild_type:
        symbols; by default the consensus of the sequences. Raises GeneqError for tables of another
        form.
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
    """Raises GeneqError that names the rows of `values` that are not finite, or not `good`.

    first: the number of the first row.
    """
    bad = ~(np.isfinite(values) & good).all(axis=1)
    if bad.any():
        raise GeneqError(f"{what} must be {rule}", value=named_rows(first + np.flatnonzero(bad)))


def named_rows(rows: Sequence[int] | np.ndarray) -> str:
    """The first of `rows`, for an error."""
    return f"rows {some(rows)} (0-based)"


# --- tables -----------------------------------------------------------------------------------


def _schema(path: str | Path) -> pa.Schema:
    with whole_parquet(path):
        return pq.read_schema(path)


def _about(metadata: dict | None, path) -> dict:
    """What the metadata of a MAVE says."""
    about = json.loads((metadata or {}).get(KEY, b"{}"))
    return check_format(about, "a MAVE", FORMAT, VERSION, path)


def _need(found, wanted: set[str], path) -> None:
    if missing := sorted(wanted - set(found)):
        raise GeneqError("The table lacks columns", value=", ".join(missing), file=path)


def _matrix(table: pa.Table, names: list[str]) -> np.ndarray:
    return np.stack([table[name].to_numpy() for name in names], axis=1)


def user_table(path: Path, text: Sequence[str]) -> pd.DataFrame:
    """A table of one's own, .tsv, .csv (either also .gz) or .parquet.

    Of the former, columns of the names `text` are read as text, and lines above the header that
    begin with ## are left out. Raises GeneqError for other files, and for damaged ones.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return read_parquet(path).to_pandas()
    separators = {".tsv": "\t", ".csv": ","}
    if name[-4:] not in separators:
        raise GeneqError("A table is .tsv, .csv or .parquet", file=path)
    try:
        with open_maybe_gzip(path) as file:
            comments = sum(1 for _ in takewhile(lambda line: line.startswith(b"##"), file))
        how = {"sep": separators[name[-4:]], "skiprows": comments}
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, **how).iloc[0]
        table = pd.read_csv(path, dtype=dict.fromkeys(text, "str"), **how)
    except FileNotFoundError:
        raise not_found(path) from None
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise GeneqError("Not a whole table", value=str(error), file=path) from None
    if twice := sorted({*header[header.duplicated() & header.notna()]}):
        raise GeneqError("The table has a column twice", value=", ".join(twice), file=path)
    return table


def _numbers(columns: pd.DataFrame) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # infinite in float32, which is then said with its rows
            return columns.to_numpy(np.float32)
    except (ValueError, TypeError) as error:
        raise GeneqError("Scores must be numbers", value=str(error)) from None
