"""Score a mutagenesis library with an oracle.

The library is given by its recipe, or as a file that `geneq mutagenize` wrote. OUT/mave.parquet has
a row for every sequence with its scores, and the recipe in its metadata. A run that was stopped
goes on where it was when it is started again. docs/oracles.md says which oracles there are.

--loci scores the loci of a sheet, each with a library of its own: OUT/<locus>/ gets mave.parquet
and locus.json. Loci that fail stand in OUT/failed.tsv and do not stop the others.
"""

import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from tqdm import tqdm

from .errors import GeneqError
from .genome import Genome
from .libraries import Library, LibraryFile, open_library, read_recipe
from .locus import each, open_loci, report
from .mave import Mave
from .oracles import Oracle, load_oracle
from .scoring import score


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq score`."""
    parser.add_argument(
        "--oracle", help="KIND:WHAT, e.g. deepstarr:FILE.h5 (with --loci: as the sheet says)"
    )
    library = parser.add_mutually_exclusive_group(required=True)
    library.add_argument("--recipe", type=Path, help="recipe of the library (JSON)")
    library.add_argument("--library", type=Path, help="file that `geneq mutagenize` wrote")
    library.add_argument("--loci", type=Path, help="sheet of loci (CSV)")
    parser.add_argument("--genome", type=Path, help="of --loci: folder that `geneq genes` wrote")
    parser.add_argument("--target", nargs="+", help="targets to keep (default: all)")
    parser.add_argument(
        "--reduce",
        help="profiles to scores: sum, max, START:END (sum of these bins), pc1 (first principal "
        "component), or python:MODULE:FUNCTION",
    )
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="what a network computes in (float32)",
    )
    parser.add_argument(
        "--reverse_complement", action="store_true", help="mean of the scores of both strands"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write mave.parquet to")


def run(args: Namespace) -> None:
    """Write OUT/mave.parquet, or that of every locus; say what was written."""
    if bool(args.loci) != bool(args.genome):
        raise GeneqError("--loci and --genome go together")
    if args.loci:
        many(args)
        return
    if not args.oracle:
        raise GeneqError("Give --oracle, KIND:WHAT")
    library = read_recipe(args.recipe) if args.recipe else open_library(args.library)
    oracle = load_oracle(args.oracle, precision=args.precision)
    with tqdm(total=library.n_rows, unit=" rows", unit_scale=True, disable=None) as bar:
        mave = scored(library, oracle, args.target, args.out, args, bar.update)
    if any(mave.oracle["padding"]):
        left, right = mave.oracle["padding"]
        print(f"N was put around the sequences: {left} on the left, {right} on the right")


def scored(
    library: Library | LibraryFile,
    oracle: Oracle,
    targets: list[str] | None,
    out: Path,
    args: Namespace,
    progress: Callable[[int], object] | None = None,
) -> Mave:
    """Write `out`/mave.parquet by the options that all libraries share."""
    parts = out / ".parts"
    mave = score(
        library,
        oracle,
        targets,
        args.reduce,
        args.reverse_complement,
        args.threads,
        parts,
        progress,
    )
    mave.save(out / "mave.parquet")
    shutil.rmtree(parts)
    print(f"{out / 'mave.parquet'}: {mave.n_rows:,} rows, {', '.join(mave.targets)}")
    return mave


def many(args: Namespace) -> None:
    """Score every locus of the sheet; an oracle is opened once."""
    if args.target:
        raise GeneqError("With --loci the sheet names targets", value=", ".join(args.target))
    loci = {locus.locus: locus for locus in open_loci(args.loci, args.oracle)}
    genome, opened = Genome(args.genome), cache(partial(load_oracle, precision=args.precision))

    def one(name: str) -> None:
        locus = loci[name].on(genome)
        targets = [locus.target] if locus.target else None
        scored(locus.recipe(genome), opened(locus.oracle), targets, args.out / name, args)
        locus.save(args.out / name)

    report(each(loci, "score", one, args.out), len(loci), args.out)
