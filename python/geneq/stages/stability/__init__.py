"""Estimate how far the equations of a data set can be trusted, part by part.

Blocks of neighbouring genes are drawn with replacement, and the equation is searched again on the
genes drawn: variables, forms and the choice among them, against the same teacher. Reported is in
which share of these replicates each variable and each term comes back, and intervals for constants
and r. An equation that comes back in under half of them is called unstable. Replicates can be
divided among tasks (--shard I/N), whose results are then joined (--join).
"""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...artifacts import GENES, PREDICTIONS, REPLICATES, STABILITY, atomic_path, write_json
from ...checks import check_int, parse_shard
from ...distill.cell_type import Settings, Source
from ...equations import Equation
from ...errors import GeneqError
from ...evaluation import gene_blocks
from .replicates import replicates
from .summary import summarised, table_rows

REPLICATED, MOST = "replicates.parquet", 10_000


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--search", required=True, help="folder written by `geneq search`")
    parser.add_argument("--distill", required=True, help="folder written by `geneq distill`")
    parser.add_argument("--features", required=True, help="features.zarr of the genome")
    parser.add_argument("--genes", required=True, help="genes.parquet of the genome")
    parser.add_argument(
        "--replicates",
        type=int,
        default=50,
        help="searches of every equation on resampled genes (default: 50)",
    )
    parser.add_argument(
        "--sr_generations",
        type=int,
        default=20,
        help="generations of symbolic regression in a replicate, at most those of distill "
        "(default: 20)",
    )
    parser.add_argument("--shard", default="1/1", help="I/N: the I-th of N parts of the replicates")
    parser.add_argument(
        "--join", nargs="+", metavar="FOLDER", help="output folders of all shards, to be joined"
    )
    parser.add_argument("--out", required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write replicates.parquet; of all replicates also stability.parquet and equations/<n>.json."""
    check_int(args.replicates, "--replicates", 1, MOST)
    part, parts = parse_shard(args.shard)
    source = Source.read(args.search, args.features)
    blocks = gene_blocks(GENES.read(args.genes))
    equations = read_equations(args.distill, source)
    if args.join:
        found = joined(args.join, source.teacher.cell_types, args.replicates)
    else:
        settings = settings_of(args)
        numbers = np.array_split(np.arange(args.replicates), parts)[part - 1].tolist()
        found = replicates(source, equations, blocks, settings, numbers, args.threads)
    out = Path(args.out)
    if args.join or parts == 1:
        write_summary(source, equations, blocks, found, args.distill, out)
    REPLICATES.write(found, out / REPLICATED)


def settings_of(args: Namespace) -> Settings:
    """The settings of distill, with at most the generations that were given."""
    settings = Settings.read(Path(args.distill) / "settings.json")
    generations = min(args.sr_generations, settings.sr_generations)
    return replace(settings, sr_generations=generations).check()


def read_equations(folder: str, source: Source) -> list[Equation]:
    """The equations/<n>.json of distill, in the order of the teacher's cell types."""
    names = source.teacher.cell_types
    paths = [Path(folder) / "equations" / f"{n}.json" for n in range(len(names))]
    equations = [Equation.load(path) for path in paths]
    for equation, name, path in zip(equations, names, paths, strict=True):
        if equation.document["cell_type"] != name:
            raise GeneqError(
                f"The equation is not that of the teacher's cell type {name!r}",
                value=equation.document["cell_type"],
                file=path,
                fix="Give the folders of one run of search and distill",
            )
    return equations


def joined(folders: list[str], cell_types: list[str], n: int) -> pd.DataFrame:
    """The replicates of shards as one table. Raises GeneqError unless they are complete."""
    tables = [REPLICATES.read(Path(folder) / REPLICATED) for folder in folders]
    table = pd.concat(tables, ignore_index=True).sort_values(["replicate"], kind="stable")
    found = sorted(zip(table["cell_type"], table["replicate"], strict=True))
    if found != sorted((name, i) for name in cell_types for i in range(n)):
        raise GeneqError(
            f"The shards must have each of {n} replicates of every cell type once",
            value=f"{len(found)} rows of {n * len(cell_types)}",
            file=folders[0],
            fix="Join all shards of one run, with its --replicates",
        )
    return table


def write_summary(
    source: Source,
    equations: list[Equation],
    blocks: pd.Series,
    found: pd.DataFrame,
    distill: str,
    out: Path,
) -> None:
    predictions = PREDICTIONS.read(Path(distill) / "predictions.parquet")
    documents = []
    for equation in equations:
        name = equation.document["cell_type"]
        again = found[found["cell_type"] == name]
        genes = predictions[predictions["cell_type"] == name].reset_index(drop=True)
        documents.append(summarised(equation, again, genes, source.features, blocks))
        verdict = "stable" if documents[-1]["stable"] else "unstable"
        print(f"{name}: {verdict}, comes back in {documents[-1]['structure']:.0%}")
    with atomic_path(out / "equations") as folder:
        folder.mkdir()
        for n, document in enumerate(documents):
            write_json(document, folder / f"{n}.json")
    table = [row for document in documents for row in table_rows(document)]
    STABILITY.write(pd.DataFrame(table, columns=list(STABILITY.columns)), out / "stability.parquet")
