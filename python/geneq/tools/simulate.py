"""Make a small genome, its annotation and two single-cell data sets with a known answer.

The expression of every cell type follows a planted equation over motif classes of `motifs:core`
(sums, products, saturation); one type has no signal. The truth is computed from the finished DNA by
slow code in this module, independent of featurize. One site that determines a cell type's
expression is written as a locus with variants (loci.csv, variants.vcf), and its position as
sites.csv. With --variants, random substitutions in the genes' windows (expression_variants.vcf) and
their effects in every cell type (expression_effects.tsv), by the planted equations.
"""

import gzip
import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from ..artifacts import atomic_path
from ..errors import GeneqError
from ..oracles.meme import read_meme
from . import planted_site, planted_variants

CHROMOSOMES = 10
SPACING = 2600  # nt between neighbouring TSSs
WINDOW = 1024  # nt on either side of a TSS that the truth reads
EDGES = np.array([-1024, -512, -256, -128, -64, 0, 64, 128, 256, 512, 1024])
TRUTH_SD = 1.6  # log2 units
RESIDUAL_SD = 0.82  # log2 units: what a gene's expression owes to nothing in its DNA
DEPTH = 2500  # median counts of a cell
DISPERSION = 0.3  # of the negative binomial
UNMAPPED = 150  # genes of the data sets that are not in the annotation

# Classes that tend to be planted together, so that their scores are correlated.
PROGRAMS = [
    ("SP1", "NFY", "ETS"),
    ("NRF1", "YY1", "E2F"),
    ("IRF", "STAT", "NFKB"),
    ("GATA", "RUNX", "CEBP"),
    ("CREB", "AP1", "TEAD"),
    ("MEF2", "SRF", "POU2F"),
]


@dataclass(frozen=True)
class Term:
    """One summand of a planted equation: `value` of its standardised classes, of type `form`."""

    classes: tuple[str, ...]
    form: str
    value: Callable[..., np.ndarray]
    scale: float = 1.0


def linear(name: str, scale: float = 1.0) -> Term:
    return Term((name,), "linear", lambda u: u, scale)


def saturating(name: str, scale: float = 1.0) -> Term:
    return Term((name,), "tanh", lambda u: np.tanh(1.5 * u), scale)


def product(a: str, b: str, scale: float = 1.0) -> Term:
    return Term((a, b), "product", lambda u, v: (1 + u) * (1 + v), scale)


PLANTED = {
    "blood": {
        "T cell": [linear("ETS"), linear("NRF1", -0.9), product("RUNX", "IRF", 0.7)],
        "B cell": [
            saturating("NFKB", 1.2), linear("NFY"), linear("YY1", -0.8), linear("CREB", 0.8),
        ],
        "monocyte (CD14+)": [product("CEBP", "ETS", 0.8), linear("SP1"), linear("STAT", 0.8)],
        "silent": [],
    },
    "muscle": {
        "myotube": [product("MEF2", "SRF", 0.8), saturating("TEAD", 1.1), linear("NRF1", 0.9)],
        "fibroblast": [linear("AP1"), linear("NFY", 0.9), saturating("GATA", -1.0)],
    },
}  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--out", required=True, help="folder for genome, annotation and data sets")
    parser.add_argument(
        "--genes", type=int, default=3000, help="number of genes, at least 100 (default: 3000)"
    )
    parser.add_argument("--cells", type=int, default=110, help="cells per cell type (default: 110)")
    parser.add_argument(
        "--variants",
        type=int,
        default=0,
        help="number of random substitutions whose effects on expression are written (default: 0)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed (default: 1)")


def run(args: Namespace) -> None:
    """Write genome.fa.gz, genes.gtf, a h5ad per data set, samplesheet.csv and truth.parquet; of a
    locus loci.csv, variants.vcf and sites.csv."""
    if args.genes < 100 or args.cells < 4 or args.seed < 0 or args.variants < 0:
        raise GeneqError(
            "--genes must be at least 100, --cells at least 4, --seed and --variants at least 0",
            value=f"{args.genes}, {args.cells}, {args.seed}, {args.variants}",
        )
    rng = np.random.default_rng(args.seed)
    motifs = {
        motif.name: motif.probabilities
        for motif in read_meme(Path(str(resources.files("geneq") / "data" / "core.meme")))
    }
    genes = make_genes(args.genes, rng)
    windows = make_windows(genes, motifs, rng)
    out = Path(args.out)
    write_genome(genes, windows, rng, out / "genome.fa.gz")
    write_annotation(genes, rng, out / "genes.gtf")
    reaches = draw_reaches(rng)
    truth, planted = make_truth(windows, motifs, reaches)
    for dataset, types in truth.items():
        write_dataset(dataset, types, genes, args.cells, rng, out / f"{dataset}.h5ad")
    rows = [f"{dataset},{dataset}.h5ad,cell_type" for dataset in truth]
    with atomic_path(out / "samplesheet.csv") as path:
        path.write_text("\n".join(["dataset,h5ad,cell_type_key", *rows]) + "\n")
    planted_site.write(genes, windows, planted_site.find(windows, motifs), out)
    if args.variants:
        # By another generator: the other files are the same without variants.
        drawn = planted_variants.draw(windows, args.variants, np.random.default_rng([args.seed, 1]))
        effects = variant_effects(windows, drawn, motifs, reaches)
        planted_variants.write(genes, windows, drawn, effects, out)
    # Last: its presence means that everything was written.
    write_truth(truth, planted, genes, out / "truth.parquet")
    print(f"seed {args.seed}: {args.genes} genes, {len(truth)} data sets in {out}")


def make_genes(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Genes on chr1…chr10: chrom, tss (0-based), strand, gene_id, gene_name."""
    per_chromosome = -(-n // CHROMOSOMES)
    place = np.arange(n)
    jitter = rng.integers(-200, 201, n)
    return pd.DataFrame(
        {
            "chrom": [f"chr{i // per_chromosome + 1}" for i in place],
            "tss": (place % per_chromosome) * SPACING + SPACING + jitter,
            "strand": rng.choice(["+", "-"], n),
            "gene_id": [f"ENSG{i + 1:011d}" for i in place],
            "gene_name": [f"SIM{i + 1}" for i in place],
        }
    )


def make_windows(
    genes: pd.DataFrame, motifs: dict[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """uint8[genes, 2048]: windows on the gene's strand, CpG islands and planted sites in them."""
    n, length = len(genes), 2 * WINDOW
    distance = np.abs(np.arange(length) - WINDOW)
    island = rng.random(n) < 0.6
    peak = np.where(island, rng.uniform(0.15, 0.3, n), rng.uniform(-0.03, 0.06, n))
    reach = rng.uniform(150, 500, n)
    gc = 0.42 + peak[:, None] * np.exp(-((distance / reach[:, None]) ** 2))
    strong = rng.random((n, length)) < gc
    windows = np.where(strong, rng.integers(1, 3, (n, length)), 3 * rng.integers(0, 2, (n, length)))
    windows = windows.astype(np.uint8)
    in_program = {name: i for i, program in enumerate(PROGRAMS) for name in program}
    active = rng.random((n, len(PROGRAMS))) < 0.35
    for name, matrix in motifs.items():
        often = active[:, in_program[name]] if name in in_program else np.zeros(n, bool)
        sites = rng.poisson(np.where(often, 1.6, 0.4))
        for gene in np.flatnonzero(sites):
            for _ in range(sites[gene]):
                plant(windows[gene], matrix, rng)
    return windows


def plant(window: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> None:
    """Write one site drawn from `matrix` into `window`, near the TSS, on either strand."""
    draws = rng.random(len(matrix))
    site = (draws[:, None] > np.cumsum(matrix, 1)[:, :3]).sum(1)
    if rng.random() < 0.5:
        site = 3 - site[::-1]
    start = int(np.clip(WINDOW - 50 + rng.normal(0, 120), 0, len(window) - len(site)))
    window[start : start + len(site)] = site


def write_genome(
    genes: pd.DataFrame, windows: np.ndarray, rng: np.random.Generator, path: Path
) -> None:
    """The genome that has the windows at its genes: gzip FASTA, 60 symbols per line."""
    symbols = np.frombuffer(b"ACGT", np.uint8)
    with atomic_path(path) as temporary, gzip.GzipFile(temporary, "wb", 5, mtime=0) as file:
        for chrom, group in genes.groupby("chrom", sort=False):
            length = group["tss"].max() + SPACING
            sequence = rng.choice(4, length, p=[0.29, 0.21, 0.21, 0.29]).astype(np.uint8)
            for gene, tss, strand in zip(group.index, group["tss"], group["strand"], strict=True):
                if strand == "+":
                    sequence[tss - WINDOW : tss + WINDOW] = windows[gene]
                else:  # the TSS is base WINDOW of the window, so it is at tss on this strand too
                    sequence[tss - WINDOW + 1 : tss + WINDOW + 1] = 3 - windows[gene][::-1]
            text = symbols[sequence].tobytes()
            lines = [text[i : i + 60] for i in range(0, length, 60)]
            file.write(f">{chrom}\n".encode() + b"\n".join(lines) + b"\n")


def write_annotation(genes: pd.DataFrame, rng: np.random.Generator, path: Path) -> None:
    """GTF: versioned ids; each gene a canonical transcript and one that starts further upstream."""
    lines = []
    for gene in genes.itertuples():
        more = int(rng.integers(50, 400))
        for feature, extension, tag in (
            ("gene", more, ""),
            ("transcript", more, ""),
            ("transcript", 0, ' tag "Ensembl_canonical";'),
        ):
            first, last = gene.tss - extension, gene.tss + 899
            if gene.strand == "-":
                first, last = gene.tss - 899, gene.tss + extension
            ids = f'gene_id "{gene.gene_id}.3"; gene_name "{gene.gene_name}";'
            if feature == "transcript":
                ids += f' transcript_id "{gene.gene_id.replace("G", "T")}{bool(tag):d}.1";'
            fields = [gene.chrom, "simulated", feature, str(max(first, 0) + 1), str(last + 1)]
            lines.append("\t".join([*fields, ".", gene.strand, ".", ids + tag]))
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n")


# --- the truth, read from the DNA in the slow and obvious way -------------------------------------


def draw_reaches(rng: np.random.Generator) -> dict[str, float]:
    """How far the weights of each planted class reach from the TSS, nt."""
    terms = [term for types in PLANTED.values() for some in types.values() for term in some]
    names = dict.fromkeys(name for term in terms for name in term.classes)
    return {name: rng.uniform(60, 250) for name in names}


def make_truth(
    windows: np.ndarray, motifs: dict[str, np.ndarray], reaches: dict[str, float]
) -> tuple[dict, list[dict]]:
    """Noiseless log2 expression float64[genes] per data set and cell type, and what was planted."""
    drivers = make_drivers(windows, motifs, reaches)
    truth: dict[str, dict[str, np.ndarray]] = {}
    planted = []
    for dataset, types in PLANTED.items():
        truth[dataset] = {}
        for cell_type, terms in types.items():
            truth[dataset][cell_type] = combine(terms, drivers, drivers, len(windows))
            about = describe(terms, drivers, reaches)
            planted.append({"dataset": dataset, "cell_type": cell_type, **about})
    return truth, planted


def make_drivers(
    windows: np.ndarray, motifs: dict[str, np.ndarray], reaches: dict[str, float]
) -> dict[str, np.ndarray]:
    """The driver of each planted class, float64[windows]."""
    return {name: driver(windows, motifs[name], reach) for name, reach in reaches.items()}


def variant_effects(
    windows: np.ndarray,
    drawn: planted_variants.Substitutions,
    motifs: dict[str, np.ndarray],
    reaches: dict[str, float],
) -> Iterator[tuple[str, np.ndarray]]:
    """Cell types, and the effects of substitutions in them, log2 units, float64[n]."""
    drivers, edited = (make_drivers(w, motifs, reaches) for w in (windows, drawn.edited))
    for types in PLANTED.values():
        for cell_type, terms in types.items():
            before = combine(terms, drivers, drivers, len(windows))[drawn.gene]
            yield cell_type, combine(terms, edited, drivers, len(drawn.gene)) - before


def summands(
    terms: list[Term], drivers: dict[str, np.ndarray], like: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """The terms of `drivers`, each brought to a standard deviation of its scale over `like`."""
    found = []
    for term in terms:
        value, base = (
            term.value(*(standard(values[name], like[name]) for name in term.classes))
            for values in (drivers, like)
        )
        found.append(term.scale * standard(value, base))
    return found


def standard(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Shifted and scaled so that `like` has mean 0 and standard deviation 1."""
    return (values - like.mean()) / like.std()


def combine(
    terms: list[Term], drivers: dict[str, np.ndarray], like: dict[str, np.ndarray], n: int
) -> np.ndarray:
    """The sum of the terms, float64[n], with a standard deviation of TRUTH_SD over `like`."""
    if not terms:
        return np.zeros(n)
    spread = np.sum(summands(terms, like, like), axis=0).std()
    return np.sum(summands(terms, drivers, like), axis=0) * TRUTH_SD / spread


def describe(terms: list[Term], drivers: dict[str, np.ndarray], reaches: dict[str, float]) -> dict:
    """What was planted.

    A term's share of the variance is its covariance with the sum over the variance of the sum.
    """
    values = summands(terms, drivers, drivers)
    total = np.sum(values, axis=0)
    about = [
        {
            "classes": list(term.classes),
            "form": term.form,
            "variance_share": float(np.cov(value, total)[0, 1] / total.var(ddof=1)),
        }
        for term, value in zip(terms, values, strict=True)
    ]
    classes = sorted({name for term in terms for name in term.classes})
    return {"terms": about, "classes": classes, "reach": {name: reaches[name] for name in classes}}


def driver(windows: np.ndarray, matrix: np.ndarray, reach: float) -> np.ndarray:
    """float64[windows]: log mean affinity of the bins, weighted by distance.

    A bin weighs exp(-distance of its middle from the TSS / reach).
    """
    affinity = np.exp(scan(windows, matrix)) / 2 + np.exp(scan(windows, complement(matrix))) / 2
    centre = np.arange(affinity.shape[1]) + len(matrix) // 2 - WINDOW
    middles = (EDGES[:-1] + EDGES[1:]) / 2
    total = np.zeros(len(windows))
    for first, end, middle in zip(EDGES[:-1], EDGES[1:], middles, strict=True):
        inside = (centre >= first) & (centre < end)
        total += np.exp(-abs(middle) / reach) * np.log(affinity[:, inside].mean(1))
    return total


def complement(matrix: np.ndarray) -> np.ndarray:
    """The matrix of the other strand."""
    return matrix[::-1, ::-1]


def scan(windows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """float64[genes, positions]: natural log-odds against even background at every start."""
    log_odds = np.log((matrix + 0.0025) / 1.01 / 0.25)
    positions = windows.shape[1] - len(matrix) + 1
    score = np.zeros((len(windows), positions))
    for i, row in enumerate(log_odds):
        score += row[windows[:, i : i + positions]]
    return score


def write_truth(truth: dict, planted: list[dict], genes: pd.DataFrame, path: Path) -> None:
    """Long table dataset, gene_id, cell_type, truth; what was planted in the schema's metadata."""
    frame = pd.concat(
        [
            pd.DataFrame(
                {
                    "dataset": dataset,
                    "gene_id": genes["gene_id"],
                    "cell_type": cell_type,
                    "truth": values,
                }
            )
            for dataset, types in truth.items()
            for cell_type, values in types.items()
        ],
        ignore_index=True,
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({b"planted": json.dumps(planted).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


# --- the cells ------------------------------------------------------------------------------------


def write_dataset(
    dataset: str,
    types: dict[str, np.ndarray],
    genes: pd.DataFrame,
    cells: int,
    rng: np.random.Generator,
    path: Path,
) -> None:
    """Counts as h5ad: CSR under gene symbols, or CSC under versioned ids for every other set."""
    counts, labels = [], []
    for cell_type, truth in types.items():
        spread = RESIDUAL_SD if truth.any() else np.hypot(TRUTH_SD, RESIDUAL_SD)
        level = truth + rng.normal(0, spread, len(genes))
        level = np.concatenate([level, rng.normal(0, TRUTH_SD, UNMAPPED)])
        counts.append(draw_counts(2.0**level, cells, rng))
        labels += [cell_type] * cells
    by_symbol = list(PLANTED).index(dataset) % 2 == 0
    ids = genes["gene_name"] if by_symbol else genes["gene_id"] + ".3"
    names = [*ids, *(f"UNKNOWN{i}" for i in range(UNMAPPED))]
    order, columns = rng.permutation(len(labels)), rng.permutation(len(names))
    matrix = np.concatenate(counts)[np.ix_(order, columns)]
    data = anndata.AnnData(
        (sparse.csr_matrix if by_symbol else sparse.csc_matrix)(matrix.astype(np.float32)),
        obs=pd.DataFrame(
            {"cell_type": pd.Categorical(np.array(labels)[order])},
            index=[f"cell{i}" for i in range(len(labels))],
        ),
        var=pd.DataFrame(index=np.array(names)[columns]),
    )
    with atomic_path(path) as temporary:
        data.write_h5ad(temporary, compression="gzip")


def draw_counts(rate: np.ndarray, cells: int, rng: np.random.Generator) -> np.ndarray:
    """int64[cells, genes]: negative binomial around depth × share of the rate."""
    depth = DEPTH * np.exp(rng.normal(0, 0.4, cells))
    mean = depth[:, None] * rate / rate.sum()
    return rng.poisson(mean * rng.gamma(1 / DISPERSION, DISPERSION, mean.shape))
