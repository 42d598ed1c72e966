"""Sequence reading and encoding in Rust. Bases A, C, G, T are tokens 0…3, N is 4.

The symbols of any alphabet are tokens by their place in it; the unknown symbol is the token after
them. An alphabet is "dna", "rna", "protein", "diploid" (unphased genotypes), or "symbols:" followed
by custom symbols. Half-precision numbers are passed as their bits, in uint16.

Every function raises ValueError for a wrong dtype, shape, memory layout or value, and releases the
GIL while it works. Results do not depend on `threads`.
"""

from collections.abc import Sequence
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CODE_DIGEST",
    "Background",
    "FastaScanner",
    "FeatureRows",
    "Library",
    "PairLayout",
    "add_entries",
    "add_totals",
    "alphabet",
    "decode",
    "detections",
    "edited_windows",
    "from_one_hot",
    "kmer_frequencies",
    "one_hot",
    "pack",
    "random_sequences",
    "reverse_complement",
    "shuffle",
    "symbol_one_hot",
    "symbol_tokens",
    "tokens",
    "unpack",
    "vcf_alleles",
    "windows",
]

CODE_DIGEST: str
"""sha256 of the code this was built from: the files under python/ and rust_ext/."""

def add_entries(
    by_cell: bool,
    first: int,
    lengths: NDArray[np.int64],
    across: NDArray[np.int64],
    values: NDArray[np.float64],
    place: NDArray[np.int64],
    group: NDArray[np.int64],
    kind: NDArray[np.int64],
    totals: NDArray[np.float64],
    by_group: NDArray[np.float64],
    squares: NDArray[np.float64],
    products: NDArray[np.float64],
) -> None:
    """Add entries of a sparse matrix to sums over cells.

    The entries are those of consecutive lines, the first of them `first`: of cells if by_cell,
    otherwise of columns. lengths: int64[lines], their numbers of entries; across: int64[n], places
    on the other axis; values: float64[n]. place: int64[columns], the column of the sums, or -1 for
    one that is not used. group, kind: int64[cells], the first element of the cell's row in by_group
    [groups, width], and in squares and products [kinds, width], or -1 for a cell that is not used.
    Added are the value, its square, and its product with the cell's total, float64[cells]; squares
    and products without rows are left out.
    """

def add_totals(
    lengths: NDArray[np.int64],
    across: NDArray[np.int64],
    values: NDArray[np.float64],
    line_totals: NDArray[np.float64],
    across_totals: NDArray[np.float64],
) -> tuple[float, bool, int | None]:
    """Add entries, as in `add_entries`, to float64[lines] and to float64[places on the other axis].

    Returns the largest value (0 or more), whether all are integers, and the first entry that is
    negative or not finite.
    """

def alphabet(name: str) -> tuple[str, str, int]:
    """The symbols of an alphabet, its unknown symbol, and the columns of its one-hot."""

def tokens(text: bytes, alphabet: str = "dna") -> NDArray[np.uint8]:
    """Tokens uint8[symbols] of sequence text without headers.

    Upper or lower case; every IUPAC ambiguity code of DNA is N; line breaks are skipped. Any other
    byte is a ValueError with its row and column.
    """

def decode(tokens: NDArray[np.uint8], alphabet: str = "dna") -> bytes:
    """Upper-case symbols of uint8[n] tokens."""

def reverse_complement(
    tokens: NDArray[np.uint8], threads: int = 1, alphabet: str = "dna"
) -> NDArray[np.uint8]:
    """Reverse complement of uint8[..., length] tokens, as a new array; N stays N."""

def windows(
    contig: NDArray[np.uint8],
    starts: NDArray[np.int64],
    length: int,
    minus: NDArray[np.bool_],
    threads: int = 1,
) -> NDArray[np.uint8]:
    """Cut windows uint8[n, length] from the tokens of a contig.

    starts: int64[n], 0-based on the forward strand, of any value; positions outside of the contig
    are N. minus: bool[n], whether to return the window on the reverse strand.
    """

def detections(
    tokens: NDArray[np.uint8],
    tables: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    width: int,
    average: bool = False,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Maxima float32[n, 1, columns] over positions of detectors applied to uint8[n, length] of DNA.

    tables: float32[columns / 32, width / 2 rounded up, 25, 32], what a detector (the last axis)
    finds at two of its positions in the 25 pairs of A, C, G, T, N; the sum over its positions and
    its threshold is taken, and 0 where it is negative. Positions are those at which a detector
    covers a base of the sequence; beyond the sequence is N. average: float32[n, 2, columns], with
    the mean over positions.
    """

def kmer_frequencies(
    tokens: NDArray[np.uint8],
    edges: NDArray[np.int64],
    k: int,
    canonical: bool = False,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Frequencies float32[n, bins, classes] of k-mers in bins of uint8[n, length] tokens of DNA.

    edges: int64[bins + 1], ascending, in 0…length; bin b has the k-mers whose centre (start +
    k // 2) is in [edges[b], edges[b + 1]). Classes are the k-mers in alphabetical order; if
    canonical, a k-mer and its reverse complement are one class, in the place of the first of the
    two. k is 1 to 6. K-mers with N are not counted; a bin without any k-mer is all 0.
    """

def one_hot(
    tokens: NDArray[np.uint8],
    dtype: str = "uint8",
    layout: Literal["nlc", "ncl"] = "nlc",
    out: NDArray | None = None,
    threads: int = 1,
    alphabet: str = "dna",
) -> NDArray:
    """One-hot of uint8[n, length] tokens: [n, length, 4] ("nlc") or [n, 4, length] ("ncl").

    There is a column for every symbol; genotypes count the bases A, C, G, T. The unknown symbol is
    all zero. `out`, of that dtype and shape, is filled and returned if given.
    """

def symbol_tokens(
    symbols: NDArray[np.uint8], threads: int = 1, alphabet: str = "dna"
) -> NDArray[np.uint8]:
    """Tokens uint8[n, length] of the bytes uint8[n, length] of symbols.

    A byte that is not a symbol is a ValueError with its row and column (from 1); the byte 0 is
    reported as the end of a row.
    """

def symbol_one_hot(
    symbols: NDArray[np.uint8],
    dtype: str = "uint8",
    layout: Literal["nlc", "ncl"] = "nlc",
    out: NDArray | None = None,
    threads: int = 1,
    alphabet: str = "dna",
) -> NDArray:
    """`one_hot` of `symbol_tokens`, in one step. After an error `out` is undefined."""

def from_one_hot(
    hot: NDArray, layout: Literal["nlc", "ncl"] = "nlc", threads: int = 1, alphabet: str = "dna"
) -> NDArray[np.uint8]:
    """Tokens uint8[n, length] of one-hot in uint8, uint16 (half precision) or float32.

    Values that encode no symbol are a ValueError with row and column (from 1).
    """

def pack(
    tokens: NDArray[np.uint8], threads: int = 1, alphabet: str = "dna"
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int32]]:
    """Tokens uint8[n, length] in as few bits as the alphabet needs: (data, row, position).

    data: uint8[n, ceil(length * bits / 8)], least significant bits first, rows padded with zero
    bits. Unknown symbols are zero there; their rows and positions (0-based) are listed in order.
    """

def unpack(
    data: NDArray[np.uint8],
    length: int,
    unknown_row: NDArray[np.int64],
    unknown_position: NDArray[np.int32],
    threads: int = 1,
    alphabet: str = "dna",
) -> NDArray[np.uint8]:
    """Tokens uint8[n, length] from the output of `pack`."""

def shuffle(
    tokens: NDArray[np.uint8],
    k: int = 2,
    seed: int = 1,
    first_row: int = 0,
    copies: int = 1,
    out: NDArray[np.uint8] | None = None,
    threads: int = 1,
    alphabet: str = "dna",
) -> NDArray[np.uint8]:
    """Shuffles uint8[n, copies, length] of uint8[n, length] tokens that keep all k-mer counts.

    Each is drawn uniformly from all rows with the same k-mers, first and last (k-1)-mer. The
    unknown symbol is a symbol like the others. k: 1…length. Copy c of row i depends on tokens[i],
    seed, first_row + i and c only. `out` is filled and returned if given.
    """

def random_sequences(
    n: int,
    length: int,
    composition: NDArray[np.float64] | None = None,
    seed: int = 1,
    first_row: int = 0,
    out: NDArray[np.uint8] | None = None,
    threads: int = 1,
    alphabet: str = "dna",
) -> NDArray[np.uint8]:
    """Tokens uint8[n, length], each drawn independently.

    composition: a weight for each symbol, uniform by default; probabilities are rounded to
    multiples of 2^-32. Row i depends on seed and first_row + i only. `out` is filled and returned
    if given.
    """

def edited_windows(
    contig: NDArray[np.uint8],
    edits: NDArray[np.int64],
    symbols: NDArray[np.uint8],
    out: NDArray[np.uint8],
    threads: int = 1,
) -> None:
    """Fill the rows of uint8[n, length] `out` with windows of a contig with edits.

    edits: int64[n, 5] of start, end, place, first, last: symbols[first:last] (tokens), from column
    place on, replace [start, end) of the contig (0-based). To their left is the contig up to start,
    to their right the contig from end; positions outside of the contig are N.
    """

def vcf_alleles(
    lines: bytes, first: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], bytes, bytes, bytes, bytes]:
    """Alleles of complete lines of a VCF: line, pos, kind, chrom, id, ref, alt of each alternative.

    first: number of the first line in the file. Empty lines and those that begin with "#" are
    skipped. pos as in the file (from 1; 0 is a telomere). kind: 0 bases (ACGTN), 1 ".", 2 "*",
    3 symbolic, 4 breakend, 5 the bases of ref, 6 IUPAC ambiguity codes in ref or alt, 7 anything
    else. Text has a line feed after every value; bases are in upper case. A broken rule is a
    ValueError that names its line.
    """

@final
class FastaScanner:
    """One pass over a FASTA file, in chunks: checks it and gives its canonical text.

    Canonical text has a line ">NAME" for every record and its sequence in upper case, 60 symbols
    per line. Invalid FASTA is a ValueError with the row; the scanner is then finished.
    """

    def __new__(cls) -> FastaScanner: ...
    def feed(self, chunk: bytes) -> bytes:
        """Read the next bytes of the file; returns their canonical text."""

    def finish(self) -> tuple[bytes, list[tuple[str, int]]]:
        """The rest of the canonical text; header and length of the records, in their order."""

@final
class Background:
    """Backgrounds of elements and motifs; each is a function of the seed and its number."""

    @staticmethod
    def random(alphabet: str, composition: NDArray[np.float64] | None = None) -> Background:
        """Symbols drawn independently, uniformly or by a weight for each."""

    @staticmethod
    def shuffled(sources: NDArray[np.uint8], k: int, alphabet: str) -> Background:
        """Shuffles of uint8[sources, length] that keep k-mer counts, using sources in turn."""

    @staticmethod
    def given(sources: NDArray[np.uint8], alphabet: str) -> Background:
        """uint8[sources, length] as they are, in turn."""

@final
class Library:
    """A compiled library: a checked recipe that can make any of its rows.

    The constructors take the wild type as uint8[length] tokens and the positions that may change
    as uint32[n], 0-based and ascending, none with the unknown symbol. Symbols are tokens.
    """

    @staticmethod
    def random(
        wild_type: NDArray[np.uint8],
        positions: NDArray[np.uint32],
        alphabet: str,
        rows: int,
        seed: int,
        how: Literal["poisson", "binomial", "fixed", "table", "rates"],
        numbers: list[float],
        symbol_weights: Sequence[Sequence[float]] | None = None,
        wild_first: bool = True,
        distinct: bool = False,
        threads: int = 1,
    ) -> Library:
        """Random mutations in every row.

        numbers: for poisson the mean, for binomial the probability per position, for fixed the
        count, for table the weights of 0, 1, 2… mutations, for rates the probability of every
        position. symbol_weights: by wild-type symbol, then by new symbol; the diagonal is ignored.
        wild_first: row 0 is the wild type. distinct: rows that repeat an earlier one are drawn
        again; this is done here, using `threads`.
        """

    @staticmethod
    def combinations(
        wild_type: NDArray[np.uint8],
        positions: NDArray[np.uint32],
        alphabet: str,
        min_order: int,
        max_order: int,
        rows: int | None = None,
        seed: int = 0,
    ) -> Library:
        """All combinations of min_order to max_order substitutions, or `rows` of them.

        They are ordered by order, positions, symbols; a sample is drawn without replacement.
        """

    @staticmethod
    def pairs(
        wild_type: NDArray[np.uint8],
        first: NDArray[np.uint32],
        second: NDArray[np.uint32],
        alphabet: str,
        singles: bool = True,
    ) -> Library:
        """The wild type, the substitutions at `first` and at `second` if requested, their pairs.

        No position is in both.
        """

    @staticmethod
    def saturation(
        wild_type: NDArray[np.uint8],
        positions: NDArray[np.uint32],
        alphabet: str,
        substitutions: bool,
        deletions: int,
        insertions: int,
        left: NDArray[np.uint8],
        right: NDArray[np.uint8],
        keep: Literal["left", "right"] = "left",
        wild_first: bool = True,
    ) -> Library:
        """Every single edit: substitutions, deletions and insertions of up to so many symbols.

        left, right: uint8[n], the symbols that flank the sequence. keep: the side of a deletion or
        insertion that stays in place.
        """

    @staticmethod
    def in_background(element: Library, background: Background) -> Library:
        """A random library whose symbols outside of its positions are background `row`.

        Backgrounds are as long as everything outside of the positions, joined.
        """

    @staticmethod
    def factorial(
        background: Background,
        length: int,
        words: list[list[int]],
        starts: NDArray[np.int32],
        chosen: NDArray[np.int32],
        backgrounds: int,
        seed: int,
        unpaired: bool = False,
    ) -> Library:
        """Words in backgrounds; row b * points + p is point p in background b.

        words: for every position a bit for each allowed symbol (one is drawn for every
        background), none where the background's is kept. starts: int32[points, motifs], -1 where
        a motif is absent. chosen: as starts, twice the word, plus 1 for its reverse complement.
        unpaired: every row has its own background.
        """

    @property
    def rows(self) -> int:
        """Number of sequences in the library."""

    @property
    def length(self) -> int:
        """Number of symbols in every sequence."""

    def tokens(
        self, first: int, rows: int, out: NDArray[np.uint8] | None = None, threads: int = 1
    ) -> NDArray[np.uint8]:
        """uint8[rows, length] from row `first` on. `out` is filled and returned if given."""

    def one_hot(
        self,
        first: int,
        rows: int,
        dtype: str = "uint8",
        layout: Literal["nlc", "ncl"] = "nlc",
        out: NDArray | None = None,
        threads: int = 1,
    ) -> NDArray:
        """[rows, length, columns] ("nlc") or [rows, columns, length] ("ncl") from `first` on.

        `out`, of that dtype and shape, is filled and returned if given.
        """

    def mutations(
        self, first: int, end: int, threads: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint8]]:
        """Row, position and new symbol of the substitutions in rows [first, end), in that order.

        Not for saturation libraries, whose rows may have indels.
        """

    def edits(self, first: int, end: int) -> list[tuple[int, int, bytes] | None]:
        """Position, number of deleted symbols, tokens of the inserted ones, of rows [first, end).

        None is the wild type. Only for saturation libraries.
        """

@final
class FeatureRows:
    """The features of every row: the mutations of a library of substitutions.

    Row i has features[starts[i] : starts[i + 1]], ascending, all below size. Tables and weights may
    have a leading axis of k; then so have the results, faster than one by one.
    """

    def __new__(
        cls, starts: NDArray[np.int64], features: NDArray[np.uint32], size: int
    ) -> FeatureRows: ...
    @property
    def rows(self) -> int:
        """Number of rows."""

    @property
    def size(self) -> int:
        """Number of features."""

    def sums(self, table: NDArray[np.float64], threads: int = 1) -> NDArray[np.float64]:
        """float64[rows]: the sum of table[feature], float64[size], over the features of a row."""

    def transposed(self, weights: NDArray[np.float64], threads: int = 1) -> NDArray[np.float64]:
        """float64[size]: the sum of weights, float64[rows], over the rows that have a feature."""

@final
class PairLayout:
    """Which pairs of features have an entry in a table: feature f with first[f] to ends[f] - 1.

    The entries are ordered by first feature, then by second. Partners are later features. Tables,
    weights and single may have a leading axis of k, as in FeatureRows.
    """

    def __new__(cls, first: NDArray[np.uint32], ends: NDArray[np.uint32]) -> PairLayout: ...
    @property
    def size(self) -> int:
        """Number of entries of the table."""

    def sums(
        self, rows: FeatureRows, table: NDArray[np.float64], threads: int = 1
    ) -> NDArray[np.float64]:
        """float64[rows]: the sum of table, float64[size], over the pairs of a row's features.

        Those of one feature are added in float32.
        """

    def shifted(
        self, table: NDArray[np.float64], centre: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """float64[features]: for every feature the sum of table[f, g] · centre[g] over its pairs.

        This is subtracted from its additive effect if table, float64[size], is of centred features.
        """

    def transposed(
        self,
        rows: FeatureRows,
        weights: NDArray[np.float64],
        single: NDArray[np.float64],
        centre: NDArray[np.float64],
        threads: int = 1,
    ) -> NDArray[np.float64]:
        """float64[size]: the sum of weights, float64[rows], over the rows that have a pair.

        Minus single[f] · centre[g] + single[g] · centre[f], both float64[features]. With a leading
        axis of k, weights are added in float32.
        """
