"""Score random substitutions, which the effects of variants on expression are compared with.

OUT is a folder for `geneq variants --background`. It can be used for any variants with the same
genome, features, equations and teacher.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..background import random_effects
from ..checks import check_int
from ..expression_model import ExpressionModel
from ..genome import Genome
from ..oracles.windows import add_equation_options, named_by

__all__ = ["add_arguments", "run"]

# With fewer, a percentile would differ from the next by more than one percent.
FEWEST = 100


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--genome", type=Path, required=True, help="folder written by `geneq genes`"
    )
    parser.add_argument(
        "--equations", type=Path, required=True, help="folder written by `geneq distill`"
    )
    parser.add_argument("--features", type=Path, required=True, help="features.zarr of the genome")
    parser.add_argument(
        "--search", type=Path, help="folder written by `geneq search`: the teacher too"
    )
    parser.add_argument(
        "--n",
        type=int,
        default=10_000,
        help=f"number of substitutions, at least {FEWEST} (default: 10000)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed (default: 1)")
    add_equation_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write the background."""
    check_int(args.n, "--n", FEWEST)
    check_int(args.seed, "--seed", 0, 2**32 - 1)
    genome = Genome(args.genome)
    model = ExpressionModel.open(args.equations, args.features, args.search, genome, named_by(args))
    found = random_effects(model, genome, args.n, args.seed, args.threads, args.max_windows)
    found.write(args.out)
    print(f"{args.out}: {args.n:,} random substitutions, {len(model.columns)} predictions of each")
