"""Import features that were made elsewhere, or check features that exist.

`geneq features import FILE` reads scores by gene (parquet, TSV, CSV, h5ad, npy), for example of a
model that geneq does not have, and writes features.zarr. `geneq features check FOLDER` reports what
features are and stops with an error if they are not those of a genome.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path, PurePath

from ..artifacts import GENES, read_object
from ..binning import check_within
from ..errors import GeneqError, in_file, some
from ..features import Features
from ..imported import import_features
from ..oracles import names_of

# Types whose oracles are called as on the command line, without folders.
NAMED = ("motifs", "kmers", "deepbind", "sei", "keras", "deepstarr", "torchscript")


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq features import` and `geneq features check`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="import|check")
    importing = actions.add_parser(
        "import", help="make features.zarr of a file of scores", allow_abbrev=False
    )
    checking = actions.add_parser(
        "check", help="check that features are those of a genome", allow_abbrev=False
    )
    importing.add_argument(
        "file",
        type=Path,
        help="scores by gene: .parquet, TSV or CSV (plain or gzip), with columns CLASS or "
        "CLASS@BIN, or with the columns gene_id, class, bin, value; .h5ad; or .npy",
    )
    importing.add_argument(
        "--rows", type=Path, help="of .npy: gene ids, one a line or in the column gene_id or name"
    )
    importing.add_argument("--columns", type=Path, help="of .npy: classes, one a line")
    importing.add_argument(
        "--bin_edges", help="edges of the bins, as for `geneq featurize`; needed for several bins"
    )
    importing.add_argument("--name", help="what the features are called (default: the file's name)")
    training = importing.add_mutually_exclusive_group()
    training.add_argument(
        "--held_out", help="chromosomes that the model was not trained on, as chr8,chr9,chr10"
    )
    training.add_argument(
        "--untrained", action="store_true", help="the model was not trained on genomic data"
    )
    importing.add_argument("--out", required=True, help="output folder, e.g. features.zarr")
    checking.add_argument("features", type=Path, help="features.zarr")
    checking.add_argument("--oracle", help="names of oracles that the features must have")
    for action in (importing, checking):
        action.add_argument(
            "--genome_dir", type=Path, required=True, help="folder written by `geneq genes`"
        )


def run(args: Namespace) -> None:
    """Write or check features; print what they are."""
    if args.action == "check":
        features = Features.read(args.features)
        check(features, args.features, args.genome_dir, args.oracle)
    else:
        held_out = args.held_out.split(",") if args.held_out else None
        features = import_features(
            args.file, args.genome_dir, args.name, args.rows, args.columns, args.bin_edges,
            not args.untrained, held_out,
        )  # fmt: skip
        features.write(args.out)
    print("\n".join(_summary(features)))


def check(
    features: Features, path: Path, genome_dir: str | Path, oracle: str | None = None
) -> None:
    """Check that features can be used with a gene table.

    Parameters
    ----------
    features : Features
    path : path
        Where they are.
    genome_dir : path
        Folder that `geneq genes` wrote.
    oracle : str, optional
        Oracles that they must have, as ``TYPE:WHAT`` joined by "+"; those whose functions name
        themselves (python: and other packages) are not compared.

    Raises
    ------
    GeneqError
        Features are a shard, or of another genome, other genes or other bins; or lack an oracle.
        Imported features may lack genes.
    """
    about = read_object(Path(genome_dir) / "genes.json")
    with in_file(path):
        if any(block.quantiles is None for block in features.blocks):
            raise GeneqError("The features are a shard", value=features.shard,
                             fix="Join all shards with `geneq featurize --join`")  # fmt: skip
        _check_genome(features, about)
        _check_genes(features, set(GENES.read(Path(genome_dir) / "genes.parquet")["gene_id"]))
        _check_oracles(features, oracle)
    edges = [block.meta["bin_edges"] for block in features.blocks if "bin_edges" in block.meta]
    if edges:
        check_within(edges, about["bin_edges"], Path(genome_dir) / "genes.json")


def _check_genome(features: Features, about: dict) -> None:
    wanted = {"genome": about["digest"], **{key: about[key] for key in ("mode", "promoter_choice")}}
    for key, value in wanted.items():
        if features.meta.get(key) != value:
            raise GeneqError(
                "The features were not made of this genome"
                if key == "genome"
                else f"The features were made with another {key}",
                value=f"{features.meta.get(key)}, that of the gene table is {value}",
                fix="Make features of this genome with `geneq featurize`",
            )


def _check_genes(features: Features, genes: set[str]) -> None:
    own = set(features.gene_id)
    imported = any("source" in block.meta for block in features.blocks)
    wrong = {
        "are of genes that the gene table does not have": own - genes,
        "lack genes of the gene table": set() if imported else genes - own,
    }
    for what, names in wrong.items():
        if names:
            raise GeneqError(
                f"The features {what}",
                value=f"{len(names):,}: {some(sorted(names))}",
                fix="Use the annotation that they were made with, and the same options for genes",
            )


def _check_oracles(features: Features, oracle: str | None) -> None:
    own = [block.name.partition(", classes ")[0] for block in features.blocks]
    for name in names_of(oracle) if oracle else []:
        kind, _, what = name.partition(":")
        file, colon, rest = what.partition(":")
        if kind in NAMED and f"{kind}:{PurePath(file).name}{colon}{rest}" not in own:
            raise GeneqError("The features were not made with this oracle", value=name,
                             fix=f"They have {', '.join(own)}")  # fmt: skip


def _summary(features: Features) -> Iterator[str]:
    yield f"{len(features.gene_id):,} genes"
    for block in features.blocks:
        _, bins, classes = block.values.shape
        yield f"{block.name}: {bins} bins, {classes} classes"
        if source := block.meta.get("source"):
            yield (
                f"{block.name}: from {source['file']}, which has {source['unknown_genes']:,} genes "
                f"that the genome does not have, and lacks {source['missing_genes']:,} of its genes"
            )
