"""A locus: where in a genome a sequence lies, and how its library is made and scored.

The stages score, surrogate and variants meet in folders: `<locus>/` with `locus.json` beside what
they make of it, and `failed.tsv` where loci failed. Coordinates are 0-based and half-open, on the
forward strand; columns of the locus' sequence run along its own strand.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

from . import encoding
from .artifacts import read_json, write_json, written_whole
from .errors import GeneqError
from .genome import Genome
from .libraries import Library, RandomLibrary, SaturationLibrary
from .sheets import read_loci

FORMAT, VERSION = "geneq-locus", 1
NAME, FAILED = "locus.json", "failed.tsv"
COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


@dataclass(frozen=True)
class Locus:
    """A row of the sheet of loci, see `data/loci.json`.

    chrom, start, end: [start, end) of the genome's forward strand; strand: "+" or "-", which the
    sequence is given on. window_start, window_end: the part of it that is mutated, in the same
    coordinates; None for all. library: "random", of n rows and a rate, or "saturation". map: what
    the surrogate's phenotype is made of. target: of the oracle, None for all.
    """

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

    # --- coordinates --------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.end - self.start

    def position(self, pos0: int) -> int | None:
        """Column of the forward strand's position in the locus' sequence; None outside."""
        if not self.start <= pos0 < self.end:
            return None
        return pos0 - self.start if self.strand == "+" else self.end - 1 - pos0

    def letter(self, base: str) -> str:
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
            raise GeneqError(f"{chrom} has {genome.lengths[chrom]:,} letters",
                             value=f"the locus ends at {self.end:,}")  # fmt: skip
        return replace(self, chrom=chrom)

    def recipe(self, genome: Genome) -> Library:
        """The library of the locus' sequence in `genome`, mutated in its window."""
        tokens = genome.tokens(self.chrom, self.start, self.end, self.strand)
        wild_type, windows = encoding.strings(tokens[None])[0], [self.window]
        if self.library == "saturation":
            return SaturationLibrary(wild_type, windows=windows)
        return RandomLibrary(wild_type, n=self.n, rate=self.rate, windows=windows, seed=self.seed)

    # --- files --------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write locus.json to `folder`."""
        write_json({"format": FORMAT, "version": VERSION, **asdict(self)}, Path(folder) / NAME)

    @classmethod
    def load(cls, folder: str | Path) -> "Locus":
        """Read what `save` wrote. Raises GeneqError for anything else."""
        path = Path(folder) / NAME
        document = read_json(path)
        if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
            raise GeneqError("Not a locus", file=path)
        if (version := document.pop("version", None)) != VERSION:
            raise GeneqError(f"This geneq reads loci of version {VERSION}", value=version,
                             file=path, fix="Install the geneq that wrote it")  # fmt: skip
        if document.keys() != {field.name for field in fields(cls)}:
            raise GeneqError("Not the fields of a locus", value=", ".join(document), file=path)
        return cls(**document)


def open_loci(path: str | Path, oracle: str | None = None) -> list[Locus]:
    """The loci of a sheet. oracle: in place of what the sheet says."""
    rows = [{name: value for name, value in row.items() if name != "line"}
            for row in read_loci(path)]  # fmt: skip
    return [Locus(**row | ({"oracle": oracle} if oracle else {})) for row in rows]


# --- many of them -----------------------------------------------------------------------------


class Failure(NamedTuple):
    """A locus that failed: at which stage, and why, in one line without tabs."""

    locus: str
    stage: str
    message: str


def folders(folder: str | Path, file: str) -> list[Path]:
    """The folders in `folder` that have such a file, by name."""
    return sorted(path.parent for path in Path(folder).glob(f"*/{file}"))


def each(
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
    header, *rows = Path(path).read_text(encoding="utf-8").rstrip("\n").split("\n")
    if header.split("\t") != [*Failure._fields]:
        raise GeneqError("Not a table of loci that failed", value=header, file=path)
    return [Failure(*row.split("\t")) for row in rows]
