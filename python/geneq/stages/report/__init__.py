"""Write the report of one data set: one HTML file that opens offline.

It also writes the figures it quotes (metrics.parquet), the equations it shows
(equations.json), their stability (stability.json) if it was given and, where the truth is known,
how well it was recovered (recovery.json).
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ... import __version__, templates
from ...artifacts import METRICS, write_json
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
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="output folder")


def run(args: Namespace) -> None:
    inputs = read(
        args.dataset, args.genes_dir, args.expression, args.search, args.distill, args.cv_distill,
        args.stability,
    )  # fmt: skip
    recovery = recover(inputs, args.truth) if args.truth else None
    write(inputs, recovery, args.out)


def write(inputs: Inputs, recovery: Recovery | None, out: Path) -> None:
    """Write the files of the report into the folder `out`."""
    METRICS.write(inputs.metrics, out / "metrics.parquet")
    write_json(inputs.documents, out / "equations.json")
    if inputs.stability:
        write_json(inputs.stability, out / "stability.json")
    if recovery:
        write_json(recovery.rows, out / "recovery.json")
    templates.write_page(
        "report.html.j2", out / "report.html", version=__version__, **page(inputs, recovery)
    )
