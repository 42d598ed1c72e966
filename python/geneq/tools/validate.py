"""Check the sheets of a run of the pipeline before anything runs.

Samplesheet, and sheets of genomes, loci and experiments: the rules of each stand in
`data/<sheet>.json`; the pipeline reads the same files. All faults of a sheet are named at once,
each with its line and column.
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
    """Check the sheets; say how many rows they have."""
    if not (args.input or args.loci or args.experiments):
        raise GeneqError("Give --input, --loci or --experiments, a sheet of each")
    genomes = read_genomes(args.genomes) if args.genomes else []
    if args.input:
        samples = read_samples(args.input, [row["genome"] for row in genomes])
        print(f"{args.input}: {len(samples)} data sets, no fault")
    if args.loci:
        loci = read_loci(args.loci, [row["genome"] for row in genomes if "fasta" in row])
        print(f"{args.loci}: {len(loci)} loci, no fault")
    if args.experiments:
        experiments = read_experiments(args.experiments)
        print(f"{args.experiments}: {len(experiments)} experiments, no fault")
