"""Score a mutagenesis library with an oracle.

The library is given by its recipe, or as a file written by `geneq mutagenize`. OUT/mave.parquet has
one row per sequence with its scores, and the recipe in its metadata. A run that was stopped
continues when it is started again. docs/oracles.md lists the oracles.

--loci scores the loci of a sheet, each with its own library: OUT/<locus>/ has mave.parquet and
locus.json. --experiments scores the recipes of a sheet, with experiment.json. Command-line options
override the sheet. Rows that fail are listed in OUT/failed.tsv and do not stop the others.
"""

import shutil
import sys
from argparse import ArgumentParser, Namespace
from functools import cache
from pathlib import Path

from ..errors import GeneqError
from ..genome import Genome
from ..libraries import Library, LibraryFile, open_library, read_recipe
from ..locus import (
    ROW_FILES,
    Experiment,
    Locus,
    Scoring,
    open_experiments,
    open_loci,
    report,
    run_each,
)
from ..oracles import Oracle, load_oracle
from ..oracles.base import check_build
from ..oracles.blocks import NamedOracles
from ..oracles.network import PRECISIONS
from ..oracles.scoring import padding, rows_of_a_part, score, seconds_a_row
from ..oracles.windows import add_equation_options, check_library, named_by
from ..progress import Progress, duration


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq score`."""
    parser.add_argument(
        "--oracle",
        help="TYPE:FILE, e.g. deepstarr:FILE.h5 (default with a sheet: its column oracle)",
    )
    library = parser.add_mutually_exclusive_group(required=True)
    library.add_argument("--recipe", type=Path, help="recipe of the library (JSON)")
    library.add_argument("--library", type=Path, help="file written by `geneq mutagenize`")
    library.add_argument("--loci", type=Path, help="sheet of loci (CSV)")
    library.add_argument("--experiments", type=Path, help="sheet of experiments (CSV)")
    parser.add_argument("--genome", type=Path, help="with --loci: folder written by `geneq genes`")
    parser.add_argument("--target", nargs="+", help="targets to keep (default: all)")
    parser.add_argument(
        "--reduce",
        help="how profiles become scores: sum, max, START:END (sum of these bins), pc1 (first "
        "principal component), or python:MODULE:FUNCTION",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="precision of a network (default: float32)",
    )
    parser.add_argument(
        "--reverse_complement",
        action="store_true",
        default=None,
        help="average the scores of both strands",
    )
    add_equation_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="output folder (mave.parquet)")


def run(args: Namespace) -> None:
    """Write OUT/mave.parquet, or that of every row of a sheet, and report it."""
    if bool(args.loci) != bool(args.genome):
        raise GeneqError("--loci needs --genome, and only --loci does")
    if args.loci or args.experiments:
        many(args)
        return
    if not args.oracle:
        raise GeneqError("--oracle is required without a sheet", fix="For example motifs:core")
    library = read_recipe(args.recipe) if args.recipe else open_library(args.library)
    named = named_by(args, [args.oracle])
    oracle = _opened(args.oracle, args.precision or "float32", named)
    options = {"targets": args.target, "reduce": args.reduce, "threads": args.threads,
               "reverse_complement": bool(args.reverse_complement)}  # fmt: skip
    if not _checked(library, oracle, args.max_windows, options["reverse_complement"]):
        each = seconds_a_row(library, oracle, args.reduce, options["reverse_complement"])
        print(f"{library.n_rows:,} sequences, {each:.3g} s each; expected time: "
              f"{duration(each * library.n_rows)}", file=sys.stderr)  # fmt: skip
    progress = Progress(oracle.name, library.n_rows, "sequences")
    write_scores(library, oracle, args.out, progress=progress.add, **options)


def _opened(spec: str, precision: str, named: NamedOracles) -> Oracle:
    """The oracle; prints what it is."""
    oracle = load_oracle(spec, precision=precision, named=named)
    print(oracle.summary())
    return oracle


def _checked(
    library: Library | LibraryFile, oracle: Oracle, most: int, reverse_complement: bool
) -> bool:
    """As `check_library`, of the parts that `scoring.score` scores."""
    parts = library.stream(rows_of_a_part(library.length))
    strands = 2 if reverse_complement and oracle.strand != "both" else 1
    return check_library(oracle, parts, most, strands)


def write_scores(library: Library | LibraryFile, oracle: Oracle, out: Path, **options) -> None:
    """Write `out`/mave.parquet; `options` are those of `scoring.score`."""
    parts = out / ".parts"
    mave = score(library, oracle, folder=parts, **options)
    mave.save(out / "mave.parquet")
    shutil.rmtree(parts)
    print(f"{out / 'mave.parquet'}: {mave.n_rows:,} rows, {', '.join(mave.targets)}")
    left, right = padding(library.length, oracle)
    if left or right:
        print(f"Sequences were padded with N: {left} on the left, {right} on the right")


def many(args: Namespace) -> None:
    """Score every row of a sheet; an oracle is opened once."""
    if args.target:
        raise GeneqError("--target is not used with a sheet, which has a column target",
                         value=", ".join(args.target))  # fmt: skip
    genome = Genome(args.genome) if args.loci else None
    found = open_loci(args.loci) if args.loci else open_experiments(args.experiments)
    scoring = Scoring(args.oracle, args.reduce, args.precision, args.reverse_complement)
    rows = {row.name: row.scored_as(scoring) for row in found}
    named = named_by(args, [row.oracle for row in rows.values()])

    @cache
    def opened(spec: str, precision: str) -> Oracle:
        return _opened(spec, precision, named)

    def one(name: str) -> None:
        row, library = prepared(rows[name], genome)
        options = {"targets": [row.target] if row.target else None, "reduce": row.reduce,
                   "reverse_complement": row.reverse_complement,
                   "threads": args.threads}  # fmt: skip
        oracle = opened(row.oracle, row.precision)
        if genome:
            check_build(oracle, genome)
        _checked(library, oracle, args.max_windows, row.reverse_complement)
        write_scores(library, oracle, args.out / name, **options)
        row.save(args.out / name)

    files = ("mave.parquet", ".parts", *ROW_FILES)
    report(run_each(rows, "score", one, args.out, files), len(rows), args.out)


def prepared(row: Locus | Experiment, genome: Genome | None) -> tuple[Locus | Experiment, Library]:
    """The row, a locus with the genome's name of its chromosome, and its library."""
    if isinstance(row, Experiment):
        return row, read_recipe(row.recipe)
    assert genome is not None  # run() asks for it with a sheet of loci
    locus = row.on(genome)
    return locus, locus.recipe(genome)
