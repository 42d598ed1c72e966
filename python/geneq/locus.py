"""A locus: the position of a sequence in a genome, and how its library is made and scored.

The stages score, surrogate and variants exchange folders: `<locus>/` has `locus.json` and the
results for that locus, and `failed.tsv` next to these folders lists the loci that failed. An
experiment, whose library is given by a recipe, has `experiment.json` instead. Coordinates are
0-based and half-open, on the forward strand; columns of the locus' sequence run along the strand of
the locus.
"""

import shutil
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, NamedTuple, Self, get_type_hints

from . import encoding
from .artifacts import atomic_path, read_json, write_json
from .checks import check_format
from .errors import GeneqError
from .genome import Genome
from .libraries import Library, RandomLibrary, SaturationLibrary
from .sheets import read_experiments, read_loci

__all__ = [
    "FAILED", "NAME", "ROW_FILES", "Experiment", "Failure", "Locus", "Row", "Scoring",
    "find_folders", "keep_apart", "open_experiments", "open_loci", "read_failed", "read_row",
    "report", "run_each", "write_failed",
]  # fmt: skip

# Of locus.json and experiment.json.
VERSION = 2
NAME, FAILED = "locus.json", "failed.tsv"
# The file of a row, in the folder of its results.
ROW_FILES = (NAME, "experiment.json")
COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


@dataclass(frozen=True)
class Scoring:
    """How sequences are scored, as given on the command line; None where the row decides.

    Parameters
    ----------
    oracle : str, optional
        FORMAT:SOURCE of the oracle.
    reduce : str, optional
        How profiles are reduced to one score.
    precision : str, optional
        Floating-point precision of a network.
    reverse_complement : bool, optional
        Whether scores are the mean over both strands.
    """

    oracle: str | None = None
    reduce: str | None = None
    precision: str | None = None
    reverse_complement: bool | None = None


@dataclass(frozen=True)
class Row:
    """A row of a sheet, saved with the results for it."""

    KIND: ClassVar[str]
    FILE: ClassVar[str]

    def save(self, folder: str | Path) -> None:
        """Write locus.json, or experiment.json, to `folder`."""
        about = {"format": f"geneq-{self.KIND}", "version": VERSION}
        write_json(about | asdict(self), Path(folder) / self.FILE)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote. Raises GeneqError for any other file."""
        path = Path(folder) / cls.FILE
        document = check_format(
            read_json(path), f"a file of one {cls.KIND}", f"geneq-{cls.KIND}", VERSION, path
        )
        del document["format"], document["version"]
        if document.keys() != {field.name for field in fields(cls)}:
            raise GeneqError(f"Not the fields of one {cls.KIND}", value=", ".join(document),
                             file=path)  # fmt: skip
        types = get_type_hints(cls)
        for name, value in document.items():
            if not isinstance(value, types[name]):
                raise GeneqError(f"The field {name} of one {cls.KIND} has another type",
                                 value=repr(value), file=path)  # fmt: skip
        return cls(**document)

    def scored_as(self, scoring: Scoring) -> Self:
        """The row with the fields that `scoring` gives replaced."""
        given = {name: value for name, value in asdict(scoring).items() if value is not None}
        return replace(self, **given)


@dataclass(frozen=True)
class Experiment(Row):
    """A row of the sheet of experiments, see `data/experiments.json`.

    recipe: path of the library's recipe. map: terms of the surrogate's latent phenotype, None for
    the default of the library. Other fields are those of `Locus`.
    """

    KIND, FILE = "experiment", "experiment.json"

    experiment: str
    recipe: str
    oracle: str
    target: str | None = None
    reduce: str | None = None
    precision: str = "float32"
    reverse_complement: bool = False
    map: str | None = None
    noise_shape_order: int | None = None
    replicates: int | None = None

    @property
    def name(self) -> str:
        return self.experiment


@dataclass(frozen=True)
class Locus(Row):
    """A row of the sheet of loci, see `data/loci.json`.

    chrom, start, end: [start, end), 0-based, on the genome's forward strand; strand: "+" or "-",
    the strand of the sequence. window_start, window_end: the part that is mutated, in the same
    coordinates; None for all of it. library: "random", of n rows with a mutation rate, or
    "saturation". map: terms of the surrogate's latent phenotype. target: output of the oracle, None
    for all. reduce, precision, reverse_complement: options of `geneq score`. noise_shape_order,
    replicates: options of `geneq surrogate`, None for its defaults.
    """

    KIND, FILE = "locus", NAME

    locus: str
    chrom: str
    start: int
    end: int
    oracle: str
    strand: str = "+"
    target: str | None = None
    genome: str | None = None
    window_start: int | None = None
    window_end: int | None = None
    library: str = "random"
    n: int = 20_000
    rate: float = 0.1
    seed: int = 1
    map: str = "additive"
    reduce: str | None = None
    precision: str = "float32"
    reverse_complement: bool = False
    noise_shape_order: int | None = None
    replicates: int | None = None

    @property
    def name(self) -> str:
        return self.locus

    # --- coordinates --------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.end - self.start

    def position(self, pos0: int) -> int | None:
        """Column in the locus' sequence of a forward-strand position (0-based); None outside."""
        if not self.start <= pos0 < self.end:
            return None
        return pos0 - self.start if self.strand == "+" else self.end - 1 - pos0

    def forward(self, column: int) -> int:
        """Forward-strand position (0-based) of a column in the locus' sequence."""
        return self.start + column if self.strand == "+" else self.end - 1 - column

    def symbol(self, base: str) -> str:
        """A base of the forward strand (or several at one position), on the strand of the locus."""
        return base if self.strand == "+" else base.translate(COMPLEMENT)

    @property
    def window(self) -> tuple[int, int]:
        """[start, end) of the mutated columns."""
        if self.window_start is None or self.window_end is None:
            return 0, len(self)
        if self.strand == "+":
            return self.window_start - self.start, self.window_end - self.start
        return self.end - self.window_end, self.end - self.window_start

    # --- sequences ----------------------------------------------------------------------------

    def on(self, genome: Genome) -> "Locus":
        """The locus with its chromosome named as in the genome.

        Raises GeneqError if the genome has no such contig, or the locus exceeds its end.
        """
        chrom = genome.contig(self.chrom)
        if chrom is None:
            raise GeneqError("The genome has no such chromosome", value=self.chrom)
        if self.end > genome.lengths[chrom]:
            raise GeneqError(f"{chrom} has {genome.lengths[chrom]:,} bases",
                             value=f"the locus ends at {self.end:,}")  # fmt: skip
        return replace(self, chrom=chrom)

    def recipe(self, genome: Genome) -> Library:
        """The library of the locus' sequence in `genome`, mutated in its window."""
        tokens = genome.tokens(self.chrom, self.start, self.end, self.strand)
        wild_type, windows = encoding.strings(tokens[None])[0], [self.window]
        if self.library == "saturation":
            return SaturationLibrary(wild_type, windows=windows)
        return RandomLibrary(wild_type, n=self.n, rate=self.rate, windows=windows, seed=self.seed)


# --- their sheets and files -----------------------------------------------------------------------


def open_loci(path: str | Path) -> list[Locus]:
    """Read a sheet of loci (CSV). Raises GeneqError that lists every error in it."""
    return [Locus(**_fields(row)) for row in read_loci(path)]


def open_experiments(path: str | Path) -> list[Experiment]:
    """Read a sheet of experiments (CSV); paths of recipes are relative to the sheet's folder.

    Raises GeneqError that lists every error in it.
    """
    rows = [Experiment(**_fields(row)) for row in read_experiments(path)]
    return [replace(row, recipe=str(Path(path).parent / row.recipe)) for row in rows]


def _fields(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "line"}


def read_row(folder: str | Path) -> Locus | Experiment | None:
    """The row saved in `folder`; None if there is none."""
    rows = (row for row in (Locus, Experiment) if (Path(folder) / row.FILE).exists())
    return next((row.load(folder) for row in rows), None)


# --- many of them ---------------------------------------------------------------------------------


class Failure(NamedTuple):
    """A locus that failed: in which stage, and why, in one line without tabs."""

    locus: str
    stage: str
    message: str


def find_folders(folder: str | Path, file: str) -> list[Path]:
    """The folders in `folder` that contain `file`, by name."""
    return sorted(path.parent for path in Path(folder).glob(f"*/{file}"))


def keep_apart(out: Path, read: Path) -> None:
    """Raises GeneqError if results would be written to the folder that is read."""
    if out.resolve() == read.resolve():
        raise GeneqError("--out must differ from the input folder", value=str(out),
                         fix="Choose a new folder")  # fmt: skip


def run_each(
    names: Iterable[str],
    stage: str,
    make: Callable[[str], object],
    folder: str | Path,
    files: Collection[str] = (),
) -> list[str]:
    """Call `make` with every name; one that fails does not stop the others.

    Parameters
    ----------
    names : iterable of str
        Names of the loci.
    stage : str
        Name of the stage, for `failed.tsv`.
    make : callable
        Called with each name; writes its results to `folder`/<name>.
    folder : path
        Where `failed.tsv` is written if any fail.
    files : collection of str
        Names of the files and folders that `make` may write in `folder`/<name>. Those of a failed
        locus are removed, so that neither a part of them nor results of an earlier run remain;
        other files there are kept.

    Returns
    -------
    list of str
        The names that failed.

    Raises
    ------
    OSError, MemoryError, OutOfMemoryError
        Transient errors are re-raised so that Nextflow can retry.
    """
    folder = Path(folder)
    failed: list[Failure] = []
    for name in names:
        try:
            _check_name(name)
            make(name)
        except Exception as error:
            if _is_transient(error):
                raise
            failed.append(Failure(name, stage, _one_line(error)))
            _remove(folder / name, files)
    write_failed(failed, folder / FAILED)
    return [name for name, _, _ in failed]


def _check_name(name: str) -> None:
    if name.lower() == FAILED:
        raise GeneqError(f"A locus cannot be named {FAILED}: the file that lists failed loci has "
                         "this name", value=name, fix="Rename the locus")  # fmt: skip


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, GeneqError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _remove(folder: Path, files: Collection[str]) -> None:
    """Remove these files and folders from `folder`, and `folder` itself if nothing remains."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in (folder / file for file in files):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def report(failed: list[str], n: int, folder: Path) -> None:
    """Print which of n loci failed, if any."""
    if failed:
        print(f"{len(failed)} of {n} failed, see {folder / FAILED}: {', '.join(failed)}")


def _is_transient(error: Exception) -> bool:
    """Whether it may not recur (memory, I/O). torch has a separate OutOfMemoryError."""
    return isinstance(error, OSError | MemoryError) or "OutOfMemory" in type(error).__name__


def write_failed(rows: list[Failure], path: str | Path) -> None:
    """Write a table of failed loci; remove it if none failed."""
    if not rows:
        Path(path).unlink(missing_ok=True)
        return
    lines = ["\t".join(row) for row in (Failure._fields, *rows)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_failed(path: str | Path) -> list[Failure]:
    """Read a table of failed loci. Raises GeneqError for any other file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""
    header, *rows = (line.split("\t") for line in text.rstrip("\n").split("\n"))
    if header != [*Failure._fields] or any(len(row) != len(header) for row in rows):
        raise GeneqError("Not a complete table of failed loci", file=path,
                         fix="Give a failed.tsv written by a stage")  # fmt: skip
    return [Failure(*row) for row in rows]
