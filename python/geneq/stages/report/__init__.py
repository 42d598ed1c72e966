"""Write the report of one data set: one HTML file that opens offline.

It also writes the figures it quotes (metrics.parquet), the equations it shows
(equations.json), their stability (stability.json) if it was given, where the truth is known how
well it was recovered (recovery.json), and with --variants the effects of variants that it shows
(largest_effects.parquet).
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ... import __version__, templates
from ...artifacts import LARGEST_EFFECTS, METRICS, remove, write_json
from .effects import Effects, effects_view, read_effects
from .inputs import Inputs, read
from .recovery import Recovery, recover
from .view import page


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, help="name of the data set")
    parser.add_argument(
        "--genes_dir", required=True, type=Path, metavar="DIR", help="output of geneq genes"
    )
    parser.add_argument(
        "--expression", required=True, type=Path, metavar="DIR", help="output of geneq pseudobulk"
    )
    parser.add_argument(
        "--search", required=True, type=Path, metavar="DIR", help="output of geneq search"
    )
    parser.add_argument(
        "--distill", required=True, type=Path, metavar="DIR", help="output of geneq distill"
    )
    parser.add_argument(
        "--cv_distill",
        nargs="*",
        default=[],
        type=Path,
        metavar="DIR",
        help="outputs of geneq distill with each fold once as test",
    )
    parser.add_argument(
        "--stability", type=Path, metavar="DIR", help="output of geneq stability, if there is any"
    )
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="truth.parquet of simulated data"
    )
    parser.add_argument(
        "--variants", type=Path, metavar="DIR", help="output of geneq variants --equations"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="output folder")


def run(args: Namespace) -> None:
    inputs = read(
        args.dataset, args.genes_dir, args.expression, args.search, args.distill, args.cv_distill,
        args.stability,
    )  # fmt: skip
    recovery = recover(inputs, args.truth) if args.truth else None
    effects = read_effects(args.variants, inputs.cell_types) if args.variants else None
    write(inputs, recovery, effects, args.out)


def write(inputs: Inputs, recovery: Recovery | None, effects: Effects | None, out: Path) -> None:
    """Write the files of the report into the folder `out`."""
    for name in ("stability.json", "recovery.json", "largest_effects.parquet"):
        remove(out / name)  # of an earlier report, which the atlas would show
    METRICS.write(inputs.metrics, out / "metrics.parquet")
    write_json(inputs.documents, out / "equations.json")
    if inputs.stability:
        write_json(inputs.stability, out / "stability.json")
    if recovery:
        write_json(recovery.rows, out / "recovery.json")
    if effects:
        LARGEST_EFFECTS.write(effects.largest, out / "largest_effects.parquet")
    templates.write_page(
        "report.html.j2",
        out / "report.html",
        version=__version__,
        effects=effects_view(effects) if effects else None,
        **page(inputs, recovery),
    )
