"""Score a mutagenesis library with an oracle.

The library is given by its recipe, or as a file that `geneq mutagenize` wrote. OUT/mave.parquet has
a row for every sequence with its scores, and the recipe in its metadata. A run that was stopped
goes on where it was when it is started again. docs/oracles.md says which oracles there are.
"""

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

from tqdm import tqdm

from .errors import GeneqError, in_file
from .libraries import Library, open_library
from .oracles import load_oracle
from .scoring import score


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq score`."""
    parser.add_argument("--oracle", required=True, help="KIND:WHAT, e.g. deepstarr:FILE.h5")
    library = parser.add_mutually_exclusive_group(required=True)
    library.add_argument("--recipe", type=Path, help="recipe of the library (JSON)")
    library.add_argument("--library", type=Path, help="file that `geneq mutagenize` wrote")
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
    """Write OUT/mave.parquet; say what was written."""
    path, parts = args.out / "mave.parquet", args.out / ".parts"
    library = _recipe(args.recipe) if args.recipe else open_library(args.library)
    oracle = load_oracle(args.oracle, precision=args.precision)
    with tqdm(total=library.n_rows, unit=" rows", unit_scale=True, disable=None) as bar:
        mave = score(
            library,
            oracle,
            args.target,
            args.reduce,
            args.reverse_complement,
            args.threads,
            parts,
            bar.update,
        )
    mave.save(path)
    shutil.rmtree(parts)
    print(f"{path}: {mave.n_rows:,} rows, {', '.join(mave.targets)}")
    if any(mave.oracle["padding"]):
        left, right = mave.oracle["padding"]
        print(f"N was put around the sequences: {left} on the left, {right} on the right")


def _recipe(path: Path) -> Library:
    try:
        with in_file(path):
            return Library.from_json(path.read_bytes())
    except FileNotFoundError:
        raise GeneqError("File not found", file=path) from None
