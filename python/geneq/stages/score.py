"""Score a mutagenesis library with an oracle.

The library is given by its recipe, or as a file that `geneq mutagenize` wrote. OUT/mave.parquet has
a row for every sequence with its scores, and the recipe in its metadata. A run that was stopped
goes on where it was when it is started again. docs/oracles.md says which oracles there are.

--loci scores the loci of a sheet, each with a library of its own: OUT/<locus>/ gets mave.parquet
and locus.json; --experiments those of a sheet of recipes, with experiment.json. Options that are
given take the place of what the sheet says. Those that fail stand in OUT/failed.tsv and do not stop
the others.
"""

import shutil
from argparse import ArgumentParser, Namespace
from functools import cache
from pathlib import Path

from tqdm import tqdm

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
from ..oracles.network import PRECISIONS
from ..oracles.scoring import score


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq score`."""
    parser.add_argument(
        "--oracle", help="KIND:WHAT, e.g. deepstarr:FILE.h5 (with a sheet: as that says)"
    )
    library = parser.add_mutually_exclusive_group(required=True)
    library.add_argument("--recipe", type=Path, help="recipe of the library (JSON)")
    library.add_argument("--library", type=Path, help="file that `geneq mutagenize` wrote")
    library.add_argument("--loci", type=Path, help="sheet of loci (CSV)")
    library.add_argument("--experiments", type=Path, help="sheet of experiments (CSV)")
    parser.add_argument("--genome", type=Path, help="of --loci: folder that `geneq genes` wrote")
    parser.add_argument("--target", nargs="+", help="targets to keep (default: all)")
    parser.add_argument(
        "--reduce",
        help="profiles to scores: sum, max, START:END (sum of these bins), pc1 (first principal "
        "component), or python:MODULE:FUNCTION",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="what a network computes in (float32)",
    )
    parser.add_argument(
        "--reverse_complement",
        action="store_true",
        default=None,
        help="mean of the scores of both strands",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write mave.parquet to")


def run(args: Namespace) -> None:
    """Write OUT/mave.parquet, or that of every row of a sheet; say what was written."""
    if bool(args.loci) != bool(args.genome):
        raise GeneqError("--loci and --genome go together")
    if args.loci or args.experiments:
        many(args)
        return
    if not args.oracle:
        raise GeneqError("Give --oracle, KIND:WHAT")
    library = read_recipe(args.recipe) if args.recipe else open_library(args.library)
    oracle = load_oracle(args.oracle, precision=args.precision or "float32")
    how = {"targets": args.target, "reduce": args.reduce, "threads": args.threads,
           "reverse_complement": bool(args.reverse_complement)}  # fmt: skip
    with tqdm(total=library.n_rows, unit=" rows", unit_scale=True, disable=None) as bar:
        scored(library, oracle, args.out, progress=bar.update, **how)


def scored(library: Library | LibraryFile, oracle: Oracle, out: Path, **how) -> None:
    """Write `out`/mave.parquet; `how`: as of `scoring.score`."""
    parts = out / ".parts"
    mave = score(library, oracle, folder=parts, **how)
    mave.save(out / "mave.parquet")
    shutil.rmtree(parts)
    print(f"{out / 'mave.parquet'}: {mave.n_rows:,} rows, {', '.join(mave.targets)}")
    if any(mave.oracle["padding"]):
        left, right = mave.oracle["padding"]
        print(f"N was put around the sequences: {left} on the left, {right} on the right")


def many(args: Namespace) -> None:
    """Score every row of the sheet; an oracle is opened once."""
    if args.target:
        raise GeneqError("The sheet names targets", value=", ".join(args.target))
    rows = open_loci(args.loci) if args.loci else open_experiments(args.experiments)
    scoring = Scoring(args.oracle, args.reduce, args.precision, args.reverse_complement)
    rows = {row.name: row.scored_as(scoring) for row in rows}
    genome, opened = Genome(args.genome) if args.genome else None, cache(load_oracle)

    def one(name: str) -> None:
        row, library = prepared(rows[name], genome)
        how = {"targets": [row.target] if row.target else None, "reduce": row.reduce,
               "reverse_complement": row.reverse_complement, "threads": args.threads}  # fmt: skip
        scored(library, opened(row.oracle, precision=row.precision), args.out / name, **how)
        row.save(args.out / name)

    files = ("mave.parquet", ".parts", *ROW_FILES)
    report(run_each(rows, "score", one, args.out, files), len(rows), args.out)


def prepared(row: Locus | Experiment, genome: Genome | None) -> tuple[Locus | Experiment, Library]:
    """The row, a locus with the genome's name of its chromosome, and its library."""
    if isinstance(row, Experiment):
        return row, read_recipe(row.recipe)
    locus = row.on(genome)
    return locus, locus.recipe(genome)
