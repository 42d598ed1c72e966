"""A distilled equation as an oracle: from DNA to log2(CPM + 1) of one cell type.

The equation's file has the weights of its variables, and the names, windows and bins of the oracles
that they depend on, which `blocks` opens. DNA is read as in `geneq featurize`: the complete window
around the TSS on the gene's strand, with what oracles read beyond it, or a promoter of any length,
whose bins are fractions of it. Gene features are held at their medians over training genes.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..binning import of_promoter
from ..equations import SOURCE, Equation, used_blocks, used_columns, used_variables
from ..errors import GeneqError
from ..features import Block, Features
from ..mave import check_finite
from .base import BinnedOracle, Oracle, check_sequences, flanked
from .blocks import NamedOracles, is_deep, open_block
from .feeding import Fitting

__all__ = ["EquationOracle", "equation_hash"]

# Entries of the file that determine scores, besides the variables that occur in the expression.
DECISIVE = ("scale", "expression", "constants")
# Entries of a block that do not.
DESCRIPTIVE = ("classes", "trained", "held_out")
# Sequences whose features are in memory together.
BATCH = 4096


class EquationOracle(Oracle):
    """The values of an equation, computed from sequence.

    Its length is that of the union of what its oracles read and the windows of all blocks, used or
    not; promoters may have any.

    Parameters
    ----------
    name : str
    equation : Equation
        Not one that is an intercept only.
    oracles : dict of int to BinnedOracle
        Those of the blocks that the equation uses, by their place in its document.
    """

    batched = True

    def __init__(self, name: str, equation: Equation, oracles: dict[int, BinnedOracle]):
        self.name, self.equation = name, equation
        document = equation.document
        self.unknown = "; ".join(dict.fromkeys(oracle.unknown for oracle in oracles.values()))
        self.build = next((oracle.build for oracle in oracles.values() if oracle.build), None)
        self.targets = [document["cell_type"]]
        self.hash = equation_hash(document)
        # What is read as (first, end) around the TSS; None for promoters.
        self.window = _window(document["blocks"], oracles)
        if self.window:
            self.length, self.tss = self.window[1] - self.window[0], -self.window[0]
        self._readers = [
            Reader(document["blocks"][i], oracle.of_classes(_classes(document, i)), self.window)
            for i, oracle in oracles.items()
        ]
        self._tables = {i: document["blocks"][i] for i in used_blocks(document) if i not in oracles}
        held = [name for i in self._tables for name in _classes(document, i)]
        self.note = f"gene features held at their medians: {', '.join(held)}" if held else ""

    @classmethod
    def open(cls, file: str, named: NamedOracles | None = None) -> "EquationOracle":
        """Open `equations/<n>.json` of `geneq distill`.

        Parameters
        ----------
        file : str
        named : NamedOracles, optional
            The models that it may depend on, besides motifs and k-mers.

        Raises
        ------
        GeneqError
            If no equation was selected, it depends on gene features only or on imported features,
            or an oracle that it was made with is missing or not named.
        """
        path, equation = Path(file), Equation.load(file)
        document = equation.document
        if not equation.selected:
            raise GeneqError(
                "No equation was selected for this cell type (intercept only), so it cannot score "
                "sequences",
                value=document.get("cell_type"),
                file=path,
                fix="Use the equation of another cell type",
            )
        try:
            oracles = {
                i: open_block(document["blocks"][i], path, named or NamedOracles())
                for i in used_blocks(document)
                if SOURCE in document["blocks"][i] or not _is_table(document["blocks"][i])
            }
            if not oracles:
                raise GeneqError("The equation depends on gene features only, not on DNA",
                                 value=document["cell_type"], file=path)  # fmt: skip
            return cls(f"equation:{path.name}", equation, oracles)
        except (KeyError, TypeError) as error:
            raise GeneqError(
                "The equation file is incomplete", value=str(error), file=path
            ) from None

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """log2(CPM + 1), float32[n, 1]; see `Oracle.predict`."""
        values = np.empty((len(tokens), 1), np.float32)
        for rows in self._batches(tokens, anchor):
            values[rows, 0] = self.equation.predict(self._features(tokens[rows]))
        return values

    def windows(self, tokens: np.ndarray) -> int:
        """Windows that deep models read; see `Oracle.windows`."""
        deep = [reader for reader in self._readers if is_deep(reader.oracle)]
        batches = list(self._batches(tokens)) if deep else []
        return sum(
            reader.oracle.distinct_inputs(*reader.part(tokens[rows]))
            for rows in batches
            for reader in deep
        )

    def _batches(self, tokens: np.ndarray, anchor: int | None = None) -> Iterator[slice]:
        """Rows whose features are in memory together; raises GeneqError for other sequences."""
        cut = f"Cut them so that the TSS is at index {self.tss}, on the gene's strand"
        check_sequences(self, tokens, anchor, cut)
        return (slice(start, start + BATCH) for start in range(0, len(tokens), BATCH))

    def _features(self, tokens: np.ndarray) -> Features:
        """The blocks that the equation uses."""
        blocks = [reader.block(tokens) for reader in self._readers]
        blocks += [_held(about, len(tokens)) for about in self._tables.values()]
        return Features(np.arange(len(tokens)), blocks, {})


class Reader:
    """The oracle of a block, which reads its own part of sequences and no more.

    Parameters
    ----------
    about : dict
        The block in the equation's document.
    oracle : BinnedOracle
    window : (int, int) or None
        What sequences are, around the TSS; None for promoters.
    """

    def __init__(self, about: dict, oracle: BinnedOracle, window: tuple[int, int] | None):
        self.about, self.oracle, self._window = about, oracle, window
        self._score = Fitting(oracle.predict_bins, oracle.name, measured=False)

    def part(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The part of sequences uint8[n, length] that is read, and the edges of bins in it."""
        flank, edges = self.oracle.flank, np.asarray(self.about["bin_edges"])
        if self._window is None:
            return flanked(tokens, of_promoter(edges, tokens.shape[1]), flank)
        first, end = edges[0] - flank, edges[-1] + flank
        return tokens[:, first - self._window[0] : end - self._window[0]], edges - first

    def block(self, tokens: np.ndarray) -> Block:
        """The features of sequences."""
        scores = self._score(*self.part(tokens))
        check_finite(scores.reshape(len(scores), -1), f"Scores of {self.oracle.name}")
        meta = {"hash": self.about["hash"], "bin_edges": self.about["bin_edges"]}
        return Block(self.about["name"], scores, self.oracle.targets, meta)


def _is_table(about: dict) -> bool:
    return "bin_edges" not in about


def _held(about: dict, n: int) -> Block:
    """A table whose n rows are its medians."""
    medians = np.array([about["medians"][name] for name in about["classes"]], np.float32)
    values = np.broadcast_to(medians, (n, 1, len(medians)))
    return Block(about["name"], values, about["classes"], {"hash": about["hash"]})


def _window(
    blocks: list[dict], oracles: dict[int, BinnedOracle] | None = None
) -> tuple[int, int] | None:
    """The union of the windows of blocks and of what `oracles` read; None for promoters."""
    windows = [about["window"] for about in blocks if not _is_table(about)]
    if None in windows:
        return None
    for i, oracle in (oracles or {}).items():
        first, end = blocks[i]["window"]
        windows.append((first - oracle.flank, end + oracle.flank))
    return min(first for first, _ in windows), max(end for _, end in windows)


def equation_hash(document: dict) -> str:
    """A digest of everything in a document that determines predictions."""
    blocks = [
        {key: value for key, value in document["blocks"][i].items() if key not in DESCRIPTIVE}
        for i in used_blocks(document)
    ]
    decisive = [blocks, _window(document["blocks"]), *(document[key] for key in DECISIVE)]
    decisive += [
        [variable["name"], variable["offset"], variable["weights"]]
        for variable in used_variables(document)
    ]
    decisive.append(document["quantiles"] if document["scale"] == "normal" else None)
    return hashlib.sha256(
        json.dumps(["equation 2", *decisive], sort_keys=True).encode()
    ).hexdigest()


def _classes(document: dict, block: int) -> list[str]:
    """Classes of a block that the expression depends on."""
    return sorted({column.name for column in used_columns(document) if column.block == block})
