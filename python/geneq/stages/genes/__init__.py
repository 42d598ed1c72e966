"""Index a genome once and make the gene table: a TSS, a fold and a split for every gene.

Reads --fasta and --gtf, or --promoters instead. Later stages read the folder written here.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ... import binning, folds
from ...artifacts import GENE_FEATURES, GENES, write_json
from ...checks import check_int
from ...errors import GeneqError
from ...gene_features import ANNOTATION_FILE
from ...genome import Genome, Index, build_of, index_fasta
from ...similarity import similar_pairs
from ...tally import Tally
from . import annotation, promoters, transcripts

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `geneq genes`."""
    parser.add_argument("--genome", required=True, help="name of the genome")
    parser.add_argument("--fasta", type=Path, help="genome sequence: plain, gzip or bgzip")
    parser.add_argument(
        "--gtf", type=Path, help="annotation with gene or transcript rows; plain or gzip"
    )
    parser.add_argument(
        "--promoters",
        type=Path,
        help="FASTA of promoters instead of --fasta and --gtf; "
        "headers NAME gene_id=… gene_name=… chrom=…",
    )
    parser.add_argument(
        "--promoter_choice",
        choices=promoters.CHOICES,
        default=promoters.FIRST,
        help="promoters of a gene: the one numbered 1, or the mean or max over all "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--bin_edges",
        help="bin edges in nt from the TSS, or for promoters in fractions of the length; with "
        "'=' as in --bin_edges=-500,0,500; several lists, one for each oracle, are separated by "
        "/, and the window is from the first edge to the last of all (default: "
        f"{binning.DEFAULT_EDGES[binning.ANNOTATION]}; "
        f"promoters: {binning.DEFAULT_EDGES[binning.PROMOTERS]})",
    )
    parser.add_argument(
        "--valid_chroms", help="chromosomes for validation, as chr10,chr11 (default: chr10)"
    )
    parser.add_argument("--test_chroms", help="chromosomes for test (default: chr8,chr9)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the folds (default: 1)")
    parser.add_argument("--out", type=Path, required=True, help="output folder")


def run(args: argparse.Namespace) -> None:
    """Write the indexed genome, `genes.parquet` and `genes.json` to `args.out`.

    Where the GTF has transcripts and exons, write `gene_features.parquet`, too.
    """
    mode = _mode(args)
    check_int(args.seed, "--seed", 0)
    edges = binning.parse_edge_lists(args.bin_edges, mode)
    with _staged(args.out) as folder:
        index = index_fasta(args.promoters or args.fasta, folder)
        make = _from_promoters if mode == binning.PROMOTERS else _from_annotation
        made = make(args, index, Genome(folder), edges)
        genes = _with_folds(made)
        GENES.write(genes, folder / "genes.parquet")
        if made.features is not None:
            features = made.features.loc[genes["gene_id"]].reset_index()
            GENE_FEATURES.write(features, folder / ANNOTATION_FILE)
        about = _document(args, mode, index, edges, made, len(genes))
        write_json(about, folder / "genes.json")
    print("\n".join(_summary(about)))


@dataclass(frozen=True)
class _Made:
    """The gene table without folds, its folds, what to report, and gene features by gene id."""

    genes: pd.DataFrame
    folds: folds.Folds
    dropped: Tally
    notes: list[str]
    about: dict
    features: pd.DataFrame | None = None


def _mode(args: argparse.Namespace) -> str:
    if args.promoters and not (args.fasta or args.gtf):
        return binning.PROMOTERS
    if args.fasta and args.gtf and not args.promoters:
        return binning.ANNOTATION
    given = [name for name in ("fasta", "gtf", "promoters") if getattr(args, name)]
    raise GeneqError(
        "A genome is given by --fasta and --gtf, or by --promoters alone",
        value=" ".join(f"--{name}" for name in given) or "none of them",
    )


def _from_annotation(
    args: argparse.Namespace, index: Index, genome: Genome, edges: list[list[float]]
) -> _Made:
    first, end = binning.union(edges)
    dropped, window = Tally(), (int(first), int(end))
    found, exons = annotation.read_gtf(args.gtf, dropped)
    files = f"{args.fasta} and {args.gtf}"
    genes, notes = annotation.place(found, genome, window, args.threads, dropped, files)
    about = {"tss_by": annotation.chosen_by(genes)}
    features = transcripts.features(genes, exons)
    genes = genes.drop(columns=["chosen_by", "transcripts"]).assign(records="")
    batches = annotation.windows(genes, genome, window, args.threads)
    pairs = similar_pairs(sequence for batch in batches for sequence in batch)
    divided = folds.assign(genes, pairs, window, index.lengths, *_named_chroms(args), args.seed)
    return _Made(genes, divided, dropped, notes, about, features)


def _from_promoters(
    args: argparse.Namespace, index: Index, genome: Genome, edges: list[list[float]]
) -> _Made:
    dropped = Tally()
    genes = promoters.choose(index, genome, args.promoter_choice, dropped)
    records = genes["records"].str.split(" ")
    pairs = similar_pairs(genome.record(name) for names in records for name in names)
    pairs = np.repeat(np.arange(len(genes)), records.str.len())[pairs]  # of records → of genes
    divided = folds.assign(genes, pairs, None, None, *_named_chroms(args), args.seed)
    return _Made(genes, divided, dropped, [], {"n_records": len(index.records)})


def _named_chroms(args: argparse.Namespace) -> tuple[list[str] | None, list[str] | None]:
    """The chromosomes named for validation and for test; None for an option that is absent."""

    def parsed(text: str | None) -> list[str] | None:
        return None if text is None else [name for name in text.split(",") if name]

    return parsed(args.valid_chroms), parsed(args.test_chroms)


def _with_folds(made: _Made) -> pd.DataFrame:
    kept = made.folds.fold >= 0
    made.dropped.add_all("crosses_block_edge", made.genes.loc[~kept, "gene_id"])
    divided = {"fold": made.folds.fold, "split": made.folds.split, "family": made.folds.family}
    return made.genes.assign(**divided)[kept]


def _document(
    args: argparse.Namespace, mode: str, index: Index, edges: list, made: _Made, n_genes: int
) -> dict:
    is_annotation = mode == binning.ANNOTATION
    return {
        "genome": args.genome,
        "mode": mode,
        "promoter_choice": None if is_annotation else args.promoter_choice,
        "files": [path.name for path in (args.fasta, args.gtf, args.promoters) if path],
        "digest": index.digest,
        "contigs": index.lengths if is_annotation else {},
        "build": build_of(index.lengths) if is_annotation else None,
        "bin_edges": edges,
        "gene_features": [] if made.features is None else list(made.features),
        "folds": made.folds.about,
        "n_genes": n_genes,
        **made.about,
        "dropped": made.dropped.as_dict(),
        "notes": made.notes + _fold_notes(made.folds.about),
    }


def _fold_notes(about: dict) -> list[str]:
    notes = []
    if about.get("absent"):
        notes.append(
            "The default chromosomes for validation and test do not exist "
            f"({', '.join(about['absent'])}): folds are made of {_units(about)}"
        )
    if n := about["genes_per_fold"].count(0):
        notes.append(
            f"{n} of {folds.N_FOLDS} folds have no genes: cross-validation (--cv) is not possible"
        )
    if n := max(about["relatives_in_other_fold"], about["relatives_in_other_part"]):
        notes.append(
            f"{n:,} genes have similar DNA to a gene of another fold or of another part of the "
            "split: where a gene is tested, its relatives are not used for training or validation"
        )
    return notes


def _units(about: dict) -> str:
    return {
        folds.CHROMOSOMES: "whole chromosomes",
        folds.BLOCKS: f"{about.get('n_blocks')} blocks of at least {folds.BLOCK // 10**6} Mb",
        folds.CLUSTERS: f"{about.get('n_clusters')} clusters of similar promoters",
    }[about["by"]]


def _summary(about: dict) -> Iterable[str]:
    """What the command prints."""
    made = about["folds"]
    yield f"{about['n_genes']:,} genes"
    if about["dropped"]:
        counts = (f"{reason} {found['n']:,}" for reason, found in about["dropped"].items())
        yield f"dropped: {', '.join(counts)}"
    sizes = ", ".join(f"{n:,}" for n in made["genes_per_fold"])
    yield f"folds of {_units(made)}; genes per fold: {sizes}"
    parts = []
    for part, n in made["split"].items():
        names = made.get(f"{part}_chroms")
        parts.append(f"{part} {n:,}" + (f" ({', '.join(names)})" if names else ""))
    yield f"split: {', '.join(parts)}"
    yield from about["notes"]


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder inside `out` whose files are moved to `out` on success, and removed on failure."""
    made_here = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".genes.", dir=out))
    done = False
    try:
        yield folder
        for path in folder.iterdir():
            path.replace(out / path.name)
        done = True
    finally:
        shutil.rmtree(folder if done or not made_here else out, ignore_errors=True)
