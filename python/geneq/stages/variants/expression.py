"""Effects of variants on expression, for every cell type, by equations and by their teacher.

A variant is scored for every gene in whose window it is: the expression that is predicted from the
window with the variant, minus that from the genome's. Insertions and deletions shift the sequence
on their other side from the TSS, which is filled up from the genome. The size of an effect is
compared with those of random substitutions in the windows of genes (`geneq background`), since
effects of different models differ in scale.
"""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...artifacts import EXPRESSION_EFFECTS, write_json
from ...background import Background
from ...errors import GeneqError
from ...expression_model import ExpressionModel
from ...genome import Genome
from ...tally import print_counts
from ...vcf import read_vcf
from .annotated import annotate, entry
from .pairs import Batch, Pairs

__all__ = ["run"]

# Pairs that are scored together.
BATCH = 1024


def run(args: Namespace) -> None:
    """Write expression_effects.parquet, annotated.vcf.gz and variants.json."""
    genome = Genome(args.genome)
    model = ExpressionModel.open(args.equations, args.features, args.search, genome)
    background = Background.read(args.background, model, genome) if args.background else None
    variants = read_vcf(args.vcf, genome, args.threads)
    genes = model.genes
    pairs = Pairs(variants.table, genes, model.window, genome, args.threads)
    if not len(pairs):
        raise GeneqError(
            "No variant is in the window of a gene",
            value=f"{len(variants.table):,} variants, {len(genes):,} genes, windows of "
            f"{model.length:,} nt",
            file=args.vcf,
        )
    scored = Scored(pairs, model, background)
    EXPRESSION_EFFECTS.write_parts(scored.tables(), args.out / "expression_effects.parquet")
    annotate(args.vcf, scored.entries, args.out / "annotated.vcf.gz")
    skipped = {**variants.skipped, **pairs.skipped()}
    about = {
        "variants": len(variants.table),
        "genes": len(genes),
        "pairs": len(pairs),
        "model": model.digest,
        "background": background and background.about,
        "skipped": skipped,
    }
    write_json(about, args.out / "variants.json")
    print(f"{args.out}: {len(pairs):,} pairs of a variant and a gene in whose window it is")
    print_counts("skipped", skipped)


class Scored:
    """The effects of pairs. entries: the largest of each pair by line of the VCF, for INFO."""

    def __init__(self, pairs: Pairs, model: ExpressionModel, background: Background | None):
        self.pairs, self.model, self.background = pairs, model, background
        self.entries: dict[int, list[str]] = defaultdict(list)

    def tables(self) -> Iterator[pd.DataFrame]:
        """Parts of the table EXPRESSION_EFFECTS, in the order of the VCF."""
        for batch in self.pairs.batches(BATCH):
            effects = self._effects(batch)
            percentiles = self._percentiles(effects)
            self._note(batch, effects, percentiles)
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

    def _note(self, batch: Batch, effects: np.ndarray, percentiles: np.ndarray) -> None:
        """Add the largest effect of each pair, by equations if there are any, to `entries`."""
        n = len(self.model.equations) or len(self.model.columns)
        largest = np.nan_to_num(np.abs(effects[:, :n]), nan=-1).argmax(1)
        line, alt = (self.pairs.table[name].to_numpy()[batch.variant] for name in ("line", "alt"))
        gene_id = self.pairs.genes["gene_id"].to_numpy()[batch.gene]
        for i in np.flatnonzero(batch.scored):
            column = largest[i]
            method, cell_type = self.model.columns[column]
            effect, percentile = effects[i, column], percentiles[i, column]
            value = entry(alt[i], gene_id[i], method, cell_type, effect, percentile)
            self.entries[int(line[i])].append(value)
