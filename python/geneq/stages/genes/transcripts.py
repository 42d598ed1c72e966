"""Features of genes that their annotation gives: lengths and exons of one transcript of each.

The transcript is, of those that gave the gene its TSS, the one with the longest coding sequence,
then the longest one, then the first in the GTF. Coding is what lies between the first and the last
base of its CDS and stop_codon rows; a transcript without them has no UTRs either.
"""

import re
from array import array

import numpy as np
import pandas as pd

from ...tally import Tally

__all__ = ["COLUMNS", "Exons", "features", "transcript_key"]

LONGEST_NUMBER = 15
EXON, CODING = b"exon", (b"CDS", b"stop_codon")
# Lengths as log10(1 + nt).
COLUMNS = (
    "log10_transcript_length", "log10_utr5_length", "log10_cds_length", "log10_utr3_length",
    "exon_count", "exon_junctions_per_kb",
)  # fmt: skip

# Not orig_transcript_id; looked for from its first letter on, which is three times faster.
_ID = re.compile(rb"""transcript_id(?<!\wtranscript_id)\s+(?:"([^"]*)"|'([^']*)'|([^\s";]+))""")


def transcript_key(contig: str, transcript_id: str) -> bytes:
    """A transcript of a GTF: an id may be on several contigs."""
    return f"{contig}\t{transcript_id}".encode()


class Exons:
    """Exons and coding parts of transcripts, in the order of a GTF.

    Rows are kept in arrays of numbers: a human annotation has millions.
    """

    ROWS = (EXON, *CODING)

    def __init__(self) -> None:
        self._number: dict[bytes, int] = {}
        self._transcript, self._start, self._end = array("i"), array("q"), array("q")
        self._coding = array("b")

    def add(self, line: bytes, number: int, dropped: Tally) -> None:
        """Add a line of one of the types ROWS; one without coordinates is counted in `dropped`."""
        contig, _, feature, start, end, text = line.split(b"\t", 5)
        found = _ID.search(text)
        if not found:
            return
        numbers = start.isdigit() and end.isdigit() and len(end) <= LONGEST_NUMBER
        if not numbers or not 1 <= int(start) <= int(end):
            dropped.add("bad_exon", f"line {number}")
            return
        key = contig + b"\t" + found[found.lastindex or 1]
        self._transcript.append(self._number.setdefault(key, len(self._number)))
        self._start.append(int(start) - 1)
        self._end.append(int(end))
        self._coding.append(feature != EXON)

    def lengths(self) -> pd.DataFrame:
        """nt in all, left (by coordinate) of the coding part, in it and right of it, and exons.

        One row per transcript, by `transcript_key`: total, left, coding, right, exons.
        """
        n = len(self._number)
        t, start, end = map(np.asarray, (self._transcript, self._start, self._end))
        coding = np.asarray(self._coding, bool)
        first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
        np.minimum.at(first, t[coding], start[coding])
        np.maximum.at(last, t[coding], end[coding])
        t, start, end = t[~coding], start[~coding], end[~coding]

        def total(sizes: np.ndarray) -> np.ndarray:
            return np.bincount(t, np.maximum(sizes, 0), n) * (last >= 0)

        table = pd.DataFrame({"total": np.bincount(t, end - start, n)}, index=[*self._number])
        table["left"] = total(np.minimum(end, first[t]) - start)
        table["right"] = total(end - np.maximum(start, last[t]))
        table["coding"] = total(end - start) - table["left"] - table["right"]
        return table.assign(exons=np.bincount(t, minlength=n))


def features(genes: pd.DataFrame, exons: Exons) -> pd.DataFrame | None:
    """Features of genes.

    Parameters
    ----------
    genes : DataFrame
        gene_id, strand, and transcripts: `transcript_key` of those that gave the gene its TSS.
    exons : Exons

    Returns
    -------
    DataFrame or None
        float64 columns COLUMNS by gene_id; NaN for genes without exons. None if no gene has any.
    """
    lengths = exons.lengths()
    lengths = lengths[lengths["exons"] > 0]
    chosen = _chosen(genes["transcripts"], lengths)
    if not len(genes) or chosen.isna().all():
        return None
    found = lengths.reindex(chosen)
    plus = (genes["strand"] == "+").to_numpy()
    left, right = found["left"].to_numpy(), found["right"].to_numpy()
    total, count = found["total"].to_numpy(), found["exons"].to_numpy()
    sizes = [total, np.where(plus, left, right), found["coding"], np.where(plus, right, left)]
    columns = [*np.log10(1 + np.array(sizes)), count, (count - 1) / (total / 1000)]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)), index=genes["gene_id"])


def _chosen(candidates: pd.Series, lengths: pd.DataFrame) -> pd.Series:
    """The transcript of each gene, see the module's docstring; None where none has exons."""
    rank = dict(zip(lengths.index, zip(lengths["coding"], lengths["total"], strict=True),
                    strict=True))  # fmt: skip
    return candidates.map(lambda keys: max(filter(rank.__contains__, keys), key=rank.__getitem__,
                                           default=None))  # fmt: skip
