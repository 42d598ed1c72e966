"""The k-mer oracle: how often each k-mer occurs in a bin.

The score of a k-mer in a bin is its share among the k-mers of the bin that have no N. A k-mer
belongs to the bin that contains its centre (start + K // 2), and must be completely inside the
sequence. Classes are named by the k-mer.
"""

import hashlib
from itertools import product

import numpy as np
import torch

from .. import encoding
from .._ext import kmer_frequencies
from ..errors import GeneqError
from .base import BinnedOracle, chosen_strands

__all__ = ["LONGEST", "KmerOracle"]

LONGEST = 6
# Frequencies of a batch when only some classes are kept: 64 MB.
BATCH_SCORES = 2**24


class KmerOracle(BinnedOracle):
    """Frequencies of k-mers; see the module's docstring.

    Parameters
    ----------
    k : int
        Length of the k-mers, 1 to 6.
    strands : {"split", "both"}
        "split" counts on the given strand and has 4^k classes. With "both" a k-mer and its reverse
        complement are one class, named by the alphabetically first of the two.
    """

    unknown = "k-mers with N are not counted"
    trained = False
    strands: str

    def __init__(self, k: int, strands: str = "split"):
        self.name, self.k, self.strands, self.reach = f"kmers:{k}", k, strands, k
        self.strand = "both" if strands == "both" else "given"
        self.hash = hashlib.sha256(f"kmers 1\0{k}\0{strands}".encode()).hexdigest()
        kmers = ["".join(bases) for bases in product("ACGT", repeat=k)]
        pairs = zip(kmers, encoding.reverse_complement(kmers), strict=True)
        self.targets = [kmer for kmer, other in pairs if strands == "split" or kmer <= other]
        self._kept: np.ndarray | None = None

    @classmethod
    def open(cls, k: str, strands: str = "auto") -> "KmerOracle":
        """Open the oracle of k-mers of one length.

        Parameters
        ----------
        k : str
            Their length, "1" to "6".
        strands : {"auto", "both", "split"}
            See `KmerOracle`; "auto" is "split".

        Raises
        ------
        GeneqError
            For any other length.
        """
        if k not in map(str, range(1, LONGEST + 1)):
            raise GeneqError(
                f"kmers:K takes a length K from 1 to {LONGEST}", value=k, fix="For example kmers:3"
            )
        return cls(int(k), chosen_strands(strands, "split"))

    def of_classes(self, names: list[str]) -> "KmerOracle":
        """An oracle of the classes in `names` only, with the same scores."""
        part = KmerOracle(self.k, self.strands)
        part._kept = np.flatnonzero(np.isin(self.targets, names))
        part.targets = [self.targets[i] for i in part._kept]
        return part

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Frequencies float32[n, targets] in complete sequences; see `Oracle.predict`."""
        return self.predict_bins(tokens, np.array([0, tokens.shape[1]]))[:, 0]

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Frequencies float32[n, bins, targets]; see `BinnedOracle.predict_bins`.

        A bin without k-mers, because it is too narrow or all N, scores 0 for every class.
        """
        if self._kept is None:
            return self._frequencies(tokens, edges)
        scores = np.empty((len(tokens), len(edges) - 1, len(self._kept)), np.float32)
        batch = max(1, BATCH_SCORES // (4**self.k * (len(edges) - 1)))
        for start in range(0, len(tokens), batch):
            rows = slice(start, start + batch)
            scores[rows] = self._frequencies(tokens[rows], edges)[:, :, self._kept]
        return scores

    def _frequencies(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return kmer_frequencies(
            np.ascontiguousarray(tokens),
            np.ascontiguousarray(edges, np.int64),
            self.k,
            self.strands == "both",
            torch.get_num_threads(),
        )
