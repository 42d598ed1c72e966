"""The VCF with the largest effects on expression in its INFO column."""

import gzip
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...artifacts import atomic_path
from ...expression_model import ExpressionModel
from ...genome import open_maybe_gzip
from .pairs import Batch, Pairs

__all__ = ["Annotations", "annotate"]

HEADER = (
    b'##INFO=<ID=GENEQ,Number=.,Type=String,Description="Largest effect on expression, by gene: '
    b"allele|gene|method|cell_type|effect (log2 CPM)|percentile of its size among random "
    b'substitutions">\n'
)
# Characters that INFO gives a meaning (VCF 4.3, 1.0.2), and those of GENEQ's own.
ESCAPED = {code: f"%{code:02X}" for code in (*range(33), *map(ord, "%:;=,|"), 127)}
INFO = 7


class Annotations:
    """The largest effect of each pair, by equations if there are any.

    entries: values of GENEQ by line of the VCF, from 1.
    """

    def __init__(self, pairs: Pairs, model: ExpressionModel):
        self.entries: dict[int, list[str]] = defaultdict(list)
        self._columns, self._ranked = model.columns, len(model.equations) or len(model.columns)
        self._line, self._alt = (pairs.table[name].to_numpy() for name in ("line", "alt"))
        self._gene_id = pairs.genes["gene_id"].to_numpy()

    def add(self, batch: Batch, effects: np.ndarray, percentiles: np.ndarray) -> None:
        """Take effects and percentiles, float64[n, columns], of the pairs of a batch."""
        largest = np.nan_to_num(np.abs(effects[:, : self._ranked]), nan=-1).argmax(1)
        for i in np.flatnonzero(batch.scored):
            column, variant = largest[i], batch.variant[i]
            method, cell_type = self._columns[column]
            effect, percentile = effects[i, column], percentiles[i, column]
            gene_id = self._gene_id[batch.gene[i]]
            value = entry(self._alt[variant], gene_id, method, cell_type, effect, percentile)
            self.entries[int(self._line[variant])].append(value)


def entry(
    allele: str, gene: str, method: str, cell_type: str, effect: float, percentile: float
) -> str:
    """One value of GENEQ."""
    names = (name.translate(ESCAPED) for name in (allele, gene, method, cell_type))
    rank = "." if np.isnan(percentile) else f"{percentile:.2f}"
    return "|".join([*names, f"{effect:.4g}", rank])


def annotate(vcf: str | Path, entries: dict[int, list[str]], out: str | Path) -> None:
    """Write the VCF, gzip, with GENEQ added to lines.

    Parameters
    ----------
    vcf : path
    entries : dict of int to list of str
        Values by line of the file, from 1.
    out : path
    """
    with (
        open_maybe_gzip(vcf) as source,
        atomic_path(out) as temporary,
        open(temporary, "wb") as raw,
        # Without a name and a time the same variants give the same file.
        gzip.GzipFile("", "wb", 6, raw, 0) as file,
    ):
        file.writelines(_lines(source, entries))


def _lines(source, entries: dict[int, list[str]]) -> Iterator[bytes]:
    for number, line in enumerate(source, 1):
        if line.startswith(b"#CHROM"):
            yield HEADER
        yield _annotated(line, entries[number]) if number in entries else line


def _annotated(line: bytes, values: list[str]) -> bytes:
    text = line.rstrip(b"\r\n")
    fields = text.split(b"\t")
    fields += [b"."] * (INFO + 1 - len(fields))
    added = b"GENEQ=" + ",".join(values).encode()
    fields[INFO] = added if fields[INFO] in (b".", b"") else fields[INFO] + b";" + added
    return b"\t".join(fields) + line[len(text) :]
