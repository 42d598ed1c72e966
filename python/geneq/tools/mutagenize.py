"""Make a mutagenesis library and write it to a file.

The library is defined by --recipe, or by --type and the options of this type. The suffix of --out
sets the format: .fa, .fasta, .fa.gz, .fasta.gz (FASTA), .parquet (a table with the sequences) or
.packed.parquet (a table with tokens in few bits). The recipe is written to OUT.recipe.json; the
same library can be made again from it. Positions are 0-based, ends excluded.
"""

import json
import zlib
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..checks import choices, parse_window, parse_windows
from ..errors import GeneqError, not_found
from ..libraries import Library, read_recipe
from ..libraries.fasta import fasta_records
from ..libraries.writing import suffix_of

# Options for the wild type, which most types of library have.
SOURCE = ("sequence", "fasta", "record", "region")


# --- values on the command line ---------------------------------------------------------------


def number(text: str) -> int | float:
    """A number; integers as int."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def numbers(text: str) -> list[int | float]:
    return [number(part) for part in text.split(",")]


def counts(text: str) -> str | int | float | list[int | float]:
    """An integer, several numbers, or a word."""
    if text.isalpha():
        return text
    found = numbers(text)
    return found if len(found) > 1 else found[0]


def yes_or_no(text: str) -> bool:
    return {"yes": True, "no": False}[text]


def sequences(text: str) -> list[str]:
    return text.split(",")


def weights(text: str) -> dict | list:
    return json.loads(text)


@dataclass(frozen=True)
class Option:
    """How a field of recipes is given: its parser, the name of its value, and the help."""

    read: Callable[[str], object]
    metavar: str
    help: str

    def __call__(self, text: str):
        try:
            return self.read(text)
        except (KeyError, ValueError):
            raise ArgumentTypeError(f"{text!r} is not of the form {self.metavar}") from None


OPTIONS = {
    "alphabet": Option(str, "NAME", "dna, rna, protein, diploid, or custom symbols as symbols:…"),
    "seed": Option(int, "N", "the same seed gives the same library"),
    "n": Option(int, "N", "rows"),
    "rate": Option(float, "R", "mutations expected per position of the windows, 0 to 1"),
    "counts": Option(
        counts, "COUNTS", "mutations per row: poisson, binomial, N, or weights of 0, 1, … as W,W,…"
    ),
    "windows": Option(parse_windows, "START-END,…", "where to mutate"),
    "position_rates": Option(numbers, "R,R,…", "a rate for every position of the windows"),
    "symbol_weights": Option(
        weights, "JSON", 'weights of new symbols, as {"A": {"G": 2, "C": 1, "T": 1}, …}'
    ),
    "include_wild_type": Option(yes_or_no, "yes|no", "row 0 is the wild type"),
    "unique": Option(yes_or_no, "yes|no", "draw rows that repeat an earlier one again"),
    "substitutions": Option(yes_or_no, "yes|no", "all substitutions"),
    "deletions": Option(int, "N", "all deletions of 1 to N symbols"),
    "insertions": Option(int, "N", "all insertions of 1 to N symbols"),
    "left_flank": Option(str, "SEQ", "sequence that enters at the left end"),
    "right_flank": Option(str, "SEQ", "sequence that enters at the right end"),
    "keep": Option(str, "SIDE", "side of an indel that stays in place: left or right"),
    "order": Option(int, "N", "most substitutions per row"),
    "min_order": Option(int, "N", "fewest substitutions per row"),
    "first": Option(parse_window, "START-END", "first window"),
    "second": Option(parse_window, "START-END", "second window"),
    "singles": Option(yes_or_no, "yes|no", "include the single substitutions of both windows"),
    "background": Option(
        str, "NAME", "sequence outside of the windows: random, shuffle (of the sources) or given"
    ),
    "sources": Option(sequences, "SEQ,SEQ,…", "as long as the wild type (default: itself)"),
    "k": Option(int, "N", "length of the words whose counts a shuffle keeps, 2 for dinucleotides"),
    "composition": Option(weights, "JSON", 'weights of random symbols, as {"A": 3, "C": 2, …}'),
    "genome": Option(str, "FOLDER", "genome, written by `geneq genes`"),
    "vcf": Option(str, "FILE", "variants, plain or gzip"),
    "window": Option(int, "N", "bases per row"),
    "anchor": Option(int, "N", "column of a variant's first reference base"),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq mutagenize`."""
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--batch", type=int, help="rows made at a time (default: about 8 MB)")
    parser.add_argument("--recipe", type=Path, help="recipe (JSON), instead of all options below")
    group = parser.add_argument_group("recipe")
    group.add_argument("--type", choices=sorted(_types()), help="type of library")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--sequence", metavar="SEQ", help="wild type")
    source.add_argument("--fasta", type=Path, help="FASTA with the wild type, plain or gzip")
    part = group.add_mutually_exclusive_group()
    part.add_argument("--record", metavar="NAME", help="record of --fasta (default: its only one)")
    part.add_argument("--region", metavar="NAME:START-END", help="part of a record of --fasta")
    for name, option in OPTIONS.items():
        group.add_argument(
            f"--{name}",
            type=option,
            metavar=option.metavar,
            default=SUPPRESS,
            help=f"{option.help} ({', '.join(_takers(name))})",
        )


def _types() -> dict[str, type[Library]]:
    """The types of library that options can define; the others need a recipe."""
    given = {*OPTIONS, "wild_type"}
    return {name: made for name, made in Library.kinds.items() if _required(made) <= given}


def _required(made: type[Library]) -> set[str]:
    both = (MISSING, MISSING)
    return {field.name for field in fields(made) if (field.default, field.default_factory) == both}


def _takers(name: str) -> list[str]:
    """The types of library with the option `name`, or "all"."""
    types = _types()
    takers = sorted(taker for taker, made in types.items() if name in _names(made))
    return ["all"] if len(takers) == len(types) else takers


def _names(made: type[Library]) -> set[str]:
    return {field.name for field in fields(made)}


# --- run --------------------------------------------------------------------------------------


def run(args: Namespace) -> None:
    """Write the library and its recipe; print what was written."""
    suffix_of(args.out)
    library = _from_recipe(args) if args.recipe else _from_options(args)
    with tqdm(total=library.n_rows, unit=" rows", unit_scale=True, disable=None) as bar:
        library.write(args.out, args.batch, args.threads, bar.update)
    print(f"{args.out}: {library.n_rows:,} rows of {library.length:,} symbols, {library!r}")
    for reason, found in getattr(library, "skipped", {}).items():
        print(f"skipped, {reason}: {found['n']}, such as {found['examples'][0]}")


def _given(args: Namespace, names) -> dict[str, Any]:
    """The options among `names` that were given."""
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


def _from_recipe(args: Namespace) -> Library:
    if given := _given(args, ("type", *SOURCE, *OPTIONS)):
        raise GeneqError(
            "--recipe defines the complete library",
            value=_spelled(given),
            fix="Drop these options, or --recipe",
        )
    return read_recipe(args.recipe)


def _from_options(args: Namespace) -> Library:
    if not args.type:
        raise GeneqError("Give --recipe or --type", fix=choices(_types()))
    made = _types()[args.type]
    takes, given, source = _names(made), _given(args, OPTIONS), _given(args, SOURCE)
    foreign = [name for name in given if name not in takes]
    if "wild_type" not in takes:
        foreign += source
    if foreign:
        options = [name for name in OPTIONS if name in takes]
        raise GeneqError(
            f"--type {args.type} has no such options",
            value=_spelled(foreign),
            fix=f"Its options are {_spelled(options)}",
        )
    if missing := [name for name in OPTIONS if name in _required(made) - given.keys()]:
        raise GeneqError(f"--type {args.type} needs {_spelled(missing)}")
    if "wild_type" in takes:
        given["wild_type"] = _wild_type(args)
    return made(**given)


def _spelled(names) -> str:
    return ", ".join(f"--{name}" for name in names)


# --- the wild type ----------------------------------------------------------------------------


def _wild_type(args: Namespace) -> str:
    if args.sequence is not None and not (args.record or args.region):
        return args.sequence
    if args.fasta is None:
        raise GeneqError(
            "Give the wild type by --sequence, or by --fasta with --record or --region"
        )
    name, start, end = _place(args)
    sequence = _record(args.fasta, name)
    end = len(sequence) if end is None else end
    if not start < end <= len(sequence):
        raise GeneqError(f"--region must be within the record's {len(sequence)} symbols",
                         value=args.region, file=args.fasta)  # fmt: skip
    return sequence[start:end]


def _place(args: Namespace) -> tuple[str | None, int, int | None]:
    """Name of the record, start and end in it; None where not given."""
    if not args.region:
        return args.record, 0, None
    name, _, part = args.region.rpartition(":")
    try:
        return name, *parse_window(part)
    except ValueError:
        raise GeneqError("--region must be NAME:START-END (0-based, end excluded)",
                         value=args.region) from None  # fmt: skip


def _record(path: Path, name: str | None) -> str:
    """The sequence of the record called `name`, or of the only one."""
    seen = []
    try:
        for header, sequence in fasta_records(path):
            seen.append((header.split() or [b""])[0].decode(errors="replace"))
            if name is not None and seen[-1] == name:
                return sequence.decode("latin-1")
            if name is None and len(seen) > 1:
                raise GeneqError("The FASTA has several records", value=", ".join(seen),
                                 file=path, fix="Select one with --record or --region")  # fmt: skip
    except FileNotFoundError:
        raise not_found(path) from None
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise GeneqError("Not a complete FASTA", value=str(error), file=path) from None
    if name is None and seen:
        return sequence.decode("latin-1")
    raise GeneqError("The FASTA has no such record", value=name, file=path)
