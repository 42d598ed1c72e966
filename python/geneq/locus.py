"""A locus: where in a genome a sequence lies, and how its library is made and scored.

The stages score, surrogate and variants meet in folders: `<locus>/` with `locus.json` beside what
they make of it, and `failed.tsv` where loci failed; an experiment, whose library has a recipe of
its own, has `experiment.json` there. Coordinates are 0-based and half-open, on the forward strand;
columns of the locus' sequence run along its own strand.
"""

import shutil
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from . import encoding
from .artifacts import read_json, write_json, written_whole
from .checks import check_format
from .errors import GeneqError
from .genome import Genome
from .libraries import Library, RandomLibrary, SaturationLibrary
from .sheets import read_experiments, read_loci

# Of locus.json and experiment.json.
VERSION = 2
NAME, FAILED = "locus.json", "failed.tsv"
COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")
# How rows of either sheet are scored, where the command line does not say it.
SCORING_FIELDS = ("oracle", "reduce", "precision", "reverse_complement")


class Row:
    """A row of a sheet, which is kept beside what is made of it."""

    KIND: ClassVar[str]
    FILE: ClassVar[str]

    def save(self, folder: str | Path) -> None:
        """Write locus.json, or experiment.json, to `folder`."""
        about = {"format": f"geneq-{self.KIND}", "version": VERSION}
        write_json(about | asdict(self), Path(folder) / self.FILE)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote. Raises GeneqError for anything else."""
        path = Path(folder) / cls.FILE
        document = check_format(
            read_json(path), f"a file of one {cls.KIND}", f"geneq-{cls.KIND}", VERSION, path
        )
        del document["format"], document["version"]
        if document.keys() != {field.name for field in fields(cls)}:
            raise GeneqError(f"Not the fields of one {cls.KIND}", value=", ".join(document),
                             file=path)  # fmt: skip
        return cls(**document)

    def scored_as(self, args: Namespace) -> Self:
        """The row with those of SCORING_FIELDS that are options which were given."""
        given = {
            name: value for name in SCORING_FIELDS if (value := getattr(args, name)) is not None
        }
        return replace(self, **given)


@dataclass(frozen=True)
class Experiment(Row):
    """A row of the sheet of experiments, see `data/experiments.json`.

    recipe: path of the library's. map: what the surrogate's phenotype is made of, None for what is
    usual of such libraries. The others as of a locus.
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

    chrom, start, end: [start, end) of the genome's forward strand; strand: "+" or "-", which the
    sequence is given on. window_start, window_end: the part of it that is mutated, in the same
    coordinates; None for all. library: "random", of n rows and a rate, or "saturation". map: what
    the surrogate's phenotype is made of. target: of the oracle, None for all. reduce, precision,
    reverse_complement: as of `geneq score`. noise_shape_order, replicates: as of `geneq surrogate`,
    None for what is usual.
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
        """Column of the forward strand's position in the locus' sequence; None outside."""
        if not self.start <= pos0 < self.end:
            return None
        return pos0 - self.start if self.strand == "+" else self.end - 1 - pos0

    def symbol(self, base: str) -> str:
        """A base (or bases at one position) of the forward strand, as the locus' strand has it."""
        return base if self.strand == "+" else base.translate(COMPLEMENT)

    @property
    def window(self) -> tuple[int, int]:
        """[start, end) of the columns that are mutated."""
        if self.window_start is None or self.window_end is None:
            return 0, len(self)
        ends = (self.position(self.window_start), self.position(self.window_end - 1))
        return min(ends), max(ends) + 1

    # --- sequences ----------------------------------------------------------------------------

    def on(self, genome: Genome) -> "Locus":
        """The locus with the genome's own name of its chromosome.

        Raises GeneqError where the genome has no such contig, or the locus lies beyond its end.
        """
        chrom = genome.contig(self.chrom)
        if chrom is None:
            raise GeneqError("The genome has no such chromosome", value=self.chrom)
        if self.end > genome.lengths[chrom]:
            raise GeneqError(f"{chrom} has {genome.lengths[chrom]:,} symbols",
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
    """The loci of a sheet."""
    return [Locus(**_fields(row)) for row in read_loci(path)]


def open_experiments(path: str | Path) -> list[Experiment]:
    """The experiments of a sheet, paths of recipes against its folder."""
    rows = [Experiment(**_fields(row)) for row in read_experiments(path)]
    return [replace(row, recipe=str(Path(path).parent / row.recipe)) for row in rows]


def _fields(row: dict) -> dict:
    return {name: value for name, value in row.items() if name != "line"}


def found_in(folder: str | Path) -> Locus | Experiment | None:
    """What the files in `folder` are of; None where nothing says it."""
    kinds = (kind for kind in (Locus, Experiment) if (Path(folder) / kind.FILE).exists())
    return next((kind.load(folder) for kind in kinds), None)


# --- many of them ---------------------------------------------------------------------------------


class Failure(NamedTuple):
    """A locus that failed: at which stage, and why, in one line without tabs."""

    locus: str
    stage: str
    message: str


def folders(folder: str | Path, file: str) -> list[Path]:
    """The folders in `folder` that have such a file, by name."""
    return sorted(path.parent for path in Path(folder).glob(f"*/{file}"))


def keep_apart(out: Path, read: Path) -> None:
    """Raises GeneqError where results would lie in the folder that is read.

    `each` removes what failed from there: scores and surrogates would be gone.
    """
    if out.resolve() == read.resolve():
        raise GeneqError("--out must be another folder than the one that is read", value=str(out),
                         fix="Name a new folder")  # fmt: skip


def run_each(
    names: Iterable[str], stage: str, make: Callable[[str], object], folder: str | Path
) -> list[str]:
    """Call `make` with every name; one that fails does not stop the others.

    Returns the names that failed. They stand in `failed.tsv` of `folder` with stage and message,
    and what they had made, `folder`/<name>, is gone. What another try may mend (memory, discs) is
    raised.
    """
    folder, failed = Path(folder), []
    for name in names:
        try:
            make(name)
        except Exception as error:
            if _passes(error):
                raise
            known = isinstance(error, GeneqError)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            failed.append(Failure(name, stage, " ".join(text.split())))
            shutil.rmtree(folder / name, ignore_errors=True)
    write_failed(failed, folder / FAILED)
    return [name for name, _, _ in failed]


def report(failed: list[str], n: int, folder: Path) -> None:
    """Say which of n loci failed, if any."""
    if failed:
        print(f"{len(failed)} of {n} failed, see {folder / FAILED}: {', '.join(failed)}")


def _passes(error: Exception) -> bool:
    """Whether the machine is to blame: torch has an OutOfMemoryError of its own."""
    return isinstance(error, OSError | MemoryError) or "OutOfMemory" in type(error).__name__


def write_failed(rows: list[Failure], path: str | Path) -> None:
    """Write a table of what failed; without any there is none."""
    if not rows:
        Path(path).unlink(missing_ok=True)
        return
    lines = ["\t".join(row) for row in (Failure._fields, *rows)]
    with written_whole(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_failed(path: str | Path) -> list[Failure]:
    """Read what `write_failed` wrote. Raises GeneqError for another table."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        text = ""
    header, *rows = (line.split("\t") for line in text.rstrip("\n").split("\n"))
    if header != [*Failure._fields] or any(len(row) != len(header) for row in rows):
        raise GeneqError("Not a whole table of loci that failed", file=path,
                         fix="Give failed.tsv as one of the stages wrote it")  # fmt: skip
    return [Failure(*row) for row in rows]
