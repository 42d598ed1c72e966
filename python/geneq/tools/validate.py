"""Check the sheets of a run of the pipeline before anything is computed.

Samplesheet, and sheets of genomes, loci and experiments: the rules of each are in
`data/<sheet>.json`, which the pipeline reads too. All errors of a sheet are reported at once, each
with its line and column.
"""

from pathlib import Path

from ..errors import GeneqError
from ..sheets import read_experiments, read_genomes, read_loci, read_samples


def add_arguments(parser) -> None:
    """Options of `geneq validate`."""
    parser.add_argument("--input", type=Path, help="samplesheet (CSV)")
    parser.add_argument("--genomes", type=Path, help="sheet of genomes (CSV)")
    parser.add_argument("--loci", type=Path, help="sheet of loci (CSV)")
    parser.add_argument("--experiments", type=Path, help="sheet of experiments (CSV)")


def run(args) -> None:
    """Check the sheets; print the number of rows of each."""
    if not (args.input or args.genomes or args.loci or args.experiments):
        raise GeneqError("Give at least one of --input, --genomes, --loci and --experiments")
    genomes = read_genomes(args.genomes) if args.genomes else []
    if args.genomes:
        print(f"{args.genomes}: {len(genomes)} genomes, no errors")
    samples = read_samples(args.input, [row["genome"] for row in genomes]) if args.input else []
    if args.input:
        print(f"{args.input}: {len(samples)} data sets, no errors")
    datasets = [row["dataset"] for row in samples]
    # Without a sheet of genomes there is only one, which the samplesheet may name.
    located = [row["genome"] for row in genomes if "fasta" in row]
    located = located if genomes else [row["genome"] for row in samples[:1]]
    loci = read_loci(args.loci, located, datasets) if args.loci else []
    if args.loci:
        print(f"{args.loci}: {len(loci)} loci, no errors")
    if args.experiments:
        experiments = read_experiments(args.experiments, datasets, [row["locus"] for row in loci])
        print(f"{args.experiments}: {len(experiments)} experiments, no errors")
