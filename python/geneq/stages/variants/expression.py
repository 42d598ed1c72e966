"""Effects of variants on expression, for every cell type, by equations and by their teacher.

A variant is scored for every gene in whose window it is: the expression that is predicted from the
window with the variant, minus that from the genome's. Insertions and deletions shift the sequence
on their other side from the TSS, which is filled up from the genome. The size of an effect is
compared with those of random substitutions in the windows of genes (`geneq background`), since
effects of different models differ in scale.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ...artifacts import EXPRESSION_EFFECTS, LARGEST_EFFECTS, write_json
from ...background import Background
from ...errors import GeneqError
from ...expression_model import ExpressionModel
from ...genome import Genome
from ...oracles.windows import announce_windows, named_by
from ...tally import print_counts
from ...vcf import Variants, read_vcf
from .annotated import Annotations, annotate
from .largest import Largest
from .measured import Measured, of_model
from .pairs import Batch, Pairs
from .truth import CELL_TYPE, GENE, Truth, in_vcf, print_truth, read_truth

__all__ = ["run"]

# Pairs that are scored together.
BATCH = 1024


def run(args: Namespace) -> None:
    """Write expression_effects.parquet, largest_effects.parquet, annotated.vcf.gz, variants.json
    and, with measured effects, agreement.parquet and comparisons.parquet."""
    genome = Genome(args.genome)
    model = ExpressionModel.open(args.equations, args.features, args.search, genome, named_by(args))
    background = Background.read(args.background, model, genome) if args.background else None
    truth = _truth(args.truth, model, genome) if args.truth else None
    variants = read_vcf(args.vcf, genome, args.threads)
    pairs = _pairs(args, variants, model, genome)
    annotations, largest = Annotations(pairs, model), Largest(pairs, model.columns)
    measured = None
    if truth is not None:
        measured = Measured(in_vcf(truth, variants.table, genome), pairs, model.columns)
    collectors = [one for one in (annotations, largest, measured) if one is not None]
    scored = Scored(pairs, model, background, collectors)
    if model.is_deep:
        scored.announce(args.max_windows)
    EXPRESSION_EFFECTS.write_parts(scored.tables(), args.out / "expression_effects.parquet")
    LARGEST_EFFECTS.write(largest.table(), args.out / "largest_effects.parquet")
    annotate(args.vcf, annotations.entries, args.out / "annotated.vcf.gz")
    skipped = {**variants.skipped, **pairs.skipped()}
    about = {
        "variants": len(variants.table),
        "genes": len(model.genes),
        "pairs": len(pairs),
        "model": model.digest,
        "background": background and background.about,
        "skipped": skipped,
    }
    compared = {"truth": measured.write(args.out)} if measured else {}
    write_json(about | compared, args.out / "variants.json")
    print(f"{args.out}: {len(pairs):,} pairs of a variant and a gene in whose window it is")
    print_counts("skipped", skipped)
    if measured:
        print_truth(compared["truth"])


def _truth(path: Path, model: ExpressionModel, genome: Genome) -> Truth:
    """Measured effects in genes and cell types of the model."""
    truth = read_truth(path, genome, (GENE, CELL_TYPE))
    return of_model(truth, model.genes, [cell_type for _, cell_type in model.columns])


def _pairs(args: Namespace, variants: Variants, model: ExpressionModel, genome: Genome) -> Pairs:
    """Raises GeneqError if there are none."""
    pairs = Pairs(variants.table, model.genes, model.window, genome, args.threads)
    if not len(pairs):
        raise GeneqError(
            "No variant is in the window of a gene",
            value=f"{len(variants.table):,} variants, {len(model.genes):,} genes, windows of "
            f"{model.length:,} nt",
            file=args.vcf,
        )
    return pairs


class Scored:
    """The effects of pairs, which `collectors` are given, too."""

    def __init__(
        self,
        pairs: Pairs,
        model: ExpressionModel,
        background: Background | None,
        collectors: list,
    ):
        self.pairs, self.model, self.background = pairs, model, background
        self._collectors = collectors

    def announce(self, most: int) -> None:
        """Print how many windows of deep models are read; see `announce_windows`."""
        announce_windows(
            "effects on expression",
            sum(map(self._windows, self.pairs.batches(BATCH))),
            most,
            lambda k: self._effects(self.pairs.batch(0, k)),
            lambda k: self._windows(self.pairs.batch(0, k)),
            min(BATCH, len(self.pairs)),
        )

    def _windows(self, batch: Batch) -> int:
        scored = batch.scored
        return self.model.windows(batch.reference, batch.which[scored], batch.alternative[scored])

    def tables(self) -> Iterator[pd.DataFrame]:
        """Parts of the table EXPRESSION_EFFECTS, in the order of the VCF."""
        for batch in self.pairs.batches(BATCH):
            effects = self._effects(batch)
            percentiles = self._percentiles(effects)
            for collector in self._collectors:
                collector.add(batch, effects, percentiles)
            yield self._rows(batch, effects, percentiles)

    def _effects(self, batch: Batch) -> np.ndarray:
        """float64[n, columns]; NaN for pairs that cannot be scored."""
        gene_id, scored = self.pairs.genes["gene_id"].to_numpy(), batch.scored
        effects = np.full((len(scored), len(self.model.columns)), np.nan)
        if scored.any():
            alternative, which = batch.alternative[scored], batch.which[scored]
            effects[scored] = self.model.differences(
                batch.reference, which, alternative, gene_id[batch.genes]
            )
        return effects

    def _percentiles(self, effects: np.ndarray) -> np.ndarray:
        if self.background is None:
            return np.full(effects.shape, np.nan)
        columns = zip(self.model.columns, effects.T, strict=True)
        return np.stack([self.background.percentiles(c, values) for c, values in columns], axis=1)

    def _rows(self, batch: Batch, effects: np.ndarray, percentiles: np.ndarray) -> pd.DataFrame:
        n = len(self.model.columns)
        variants = self.pairs.table[["chrom", "pos", "id", "ref", "alt"]].iloc[batch.variant]
        genes = self.pairs.genes[["gene_id", "gene_name"]].iloc[batch.gene]
        pairs = pd.concat([part.reset_index(drop=True) for part in (variants, genes)], axis=1)
        methods, cell_types = zip(*self.model.columns, strict=True)
        return pairs.loc[pairs.index.repeat(n)].assign(
            method=np.tile(methods, len(pairs)),
            cell_type=np.tile(cell_types, len(pairs)),
            effect=effects.ravel(),
            percentile=percentiles.ravel(),
        )
