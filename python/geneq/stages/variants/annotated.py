"""The VCF with the largest effects on expression in its INFO column."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...artifacts import atomic_path
from ...genome import open_maybe_gzip

__all__ = ["annotate"]

HEADER = (
    b'##INFO=<ID=GENEQ,Number=.,Type=String,Description="Largest effect on expression, by gene: '
    b"allele|gene|method|cell_type|effect (log2 CPM)|percentile of its size among random "
    b'substitutions">\n'
)
# Characters that INFO gives a meaning (VCF 4.3, 1.0.2), and those of GENEQ's own.
ESCAPED = {code: f"%{code:02X}" for code in (*range(33), *map(ord, "%:;=,|"), 127)}
INFO = 7


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
