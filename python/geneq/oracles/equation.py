"""A distilled equation as an oracle: from DNA to log2(CPM + 1) of one cell type.

The equation's file has all that is needed: the oracles (motifs or k-mers) whose classes it uses,
their windows and bins, the weights of its variables. DNA is read as in `geneq featurize`: the
complete window around the TSS on the gene's strand, or a promoter of any length, whose bins are
fractions of it. Gene features are held at their medians over training genes.
"""

import hashlib
import json
from pathlib import Path
from typing import NoReturn

import numpy as np

from ..binning import of_promoter
from ..equations import SOURCE, Equation, used_blocks, used_columns, used_variables
from ..errors import GeneqError
from ..features import Block, Features
from .base import BinnedOracle, Oracle, check_sequences
from .kmers import KmerOracle
from .motifs import MotifOracle, max_classes_of

__all__ = ["EquationOracle", "equation_hash", "open_block"]

# Entries of the file that determine scores, besides the variables that occur in the expression.
DECISIVE = ("scale", "expression", "constants")
# Entries of a block that do not.
DESCRIPTIVE = ("classes", "trained", "held_out")
# Sequences whose features are in memory together.
BATCH = 4096


class EquationOracle(Oracle):
    """The values of an equation, computed from sequence.

    Its length is that of the union of the windows of the equation's blocks, used or not; promoters
    may have any.

    Parameters
    ----------
    name : str
    equation : Equation
        Not one that is an intercept only.
    oracles : dict of int to MotifOracle or KmerOracle
        Those of the blocks that the equation uses, by their place in its document.
    """

    def __init__(self, name: str, equation: Equation, oracles: dict[int, MotifOracle | KmerOracle]):
        self.name, self.equation = name, equation
        document = equation.document
        self.unknown = "; ".join(dict.fromkeys(oracle.unknown for oracle in oracles.values()))
        self.targets = [document["cell_type"]]
        self.hash = equation_hash(document)
        # The union of the windows as (first, end) around the TSS; None for promoters.
        self.window = _window(document["blocks"])
        if self.window:
            self.length, self.tss = self.window[1] - self.window[0], -self.window[0]
        self._oracles = {
            i: (document["blocks"][i], oracle.of_classes(_classes(document, i)))
            for i, oracle in oracles.items()
        }
        self._tables = {i: document["blocks"][i] for i in used_blocks(document) if i not in oracles}
        held = [name for i in self._tables for name in _classes(document, i)]
        self.note = f"gene features held at their medians: {', '.join(held)}" if held else ""

    @classmethod
    def open(cls, file: str) -> "EquationOracle":
        """Open `equations/<n>.json` of `geneq distill`.

        Raises
        ------
        GeneqError
            If no equation was selected, it depends on gene features only or on imported features,
            or an oracle that it was made with is missing.
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
                i: open_block(document["blocks"][i], path)
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
        cut = f"Cut them so that the TSS is at index {self.tss}, on the gene's strand"
        check_sequences(self, tokens, anchor, cut)
        values = np.empty((len(tokens), 1), np.float32)
        for start in range(0, len(tokens), BATCH):
            rows = slice(start, start + BATCH)
            values[rows, 0] = self.equation.predict(self._features(tokens[rows]))
        return values

    def _features(self, tokens: np.ndarray) -> Features:
        """The blocks that the equation uses."""
        blocks = [self._scores(about, oracle, tokens) for about, oracle in self._oracles.values()]
        blocks += [_held(about, len(tokens)) for about in self._tables.values()]
        return Features(np.arange(len(tokens)), blocks, {})

    def _scores(self, about: dict, oracle: BinnedOracle, tokens: np.ndarray) -> Block:
        """The block of one oracle, which reads its own window and no more."""
        if self.window is None:
            edges = of_promoter(about["bin_edges"], tokens.shape[1])
        else:
            first, end = about["window"]
            tokens = tokens[:, first - self.window[0] : end - self.window[0]]
            edges = np.subtract(about["bin_edges"], first)
        scores = oracle.predict_bins(tokens, edges)
        meta = {"hash": about["hash"], "bin_edges": about["bin_edges"]}
        return Block(about["name"], scores, oracle.targets, meta)


def _is_table(about: dict) -> bool:
    return "bin_edges" not in about


def _held(about: dict, n: int) -> Block:
    """A table whose n rows are its medians."""
    medians = np.array([about["medians"][name] for name in about["classes"]], np.float32)
    values = np.broadcast_to(medians, (n, 1, len(medians)))
    return Block(about["name"], values, about["classes"], {"hash": about["hash"]})


def _window(blocks: list[dict]) -> tuple[int, int] | None:
    """The union of the windows of oracles; None for promoters."""
    windows = [about["window"] for about in blocks if not _is_table(about)]
    if None in windows:
        return None
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


def open_block(about: dict, path: Path) -> MotifOracle | KmerOracle:
    """The oracle of a block of an equation.

    No other type is opened for an equation: its file is data, and other oracles may be programs.

    Parameters
    ----------
    about : dict
        name, hash, classes and strands, as in the equation's document.
    path : Path
        The equation; motif files are looked for beside it, and in the current folder.

    Raises
    ------
    GeneqError
        For other types, oracles of another hash, and features that were made outside geneq.
    """
    if SOURCE in about:
        raise _imported(about, path)
    name, wanted, strands = about["name"], about["hash"], about["strands"]
    kind, _, what = name.partition(":")
    found: MotifOracle | KmerOracle
    if "classes_file" in about:
        raise _not_opened("classes of outputs", name, path)
    if kind == "motifs":
        file = what if what == "core" else _motif_file(what, path)
        found = MotifOracle.open(file, max_classes_of(len(about["classes"]), strands), strands)
    elif kind == "kmers":
        found = KmerOracle.open(what, strands)
    else:
        raise _not_opened(f"the model {kind}", name, path)
    if found.hash != wanted:
        _refuse_hash(kind, name, f"hash {found.hash[:12]}, the equation's {wanted[:12]}", path)
    return found


def _imported(about: dict, path: Path) -> GeneqError:
    """The error for an equation that uses features which geneq did not make."""
    source = about[SOURCE]
    return GeneqError(
        "The equation cannot score DNA: it uses features that were made outside geneq, and no "
        "oracle can make them of other DNA",
        value=f"block {about['name']}, from {source['file']} ({source['sha256'][:12]})",
        file=path,
        fix="Evaluate it on imported features, with geneq.load_equation",
    )


def _not_opened(what: str, block: str, path: Path) -> GeneqError:
    """The error for an equation that uses a block which its file must not open."""
    return GeneqError(
        "Only equations of the oracles motifs and kmers can score DNA: no other model is opened "
        f"for an equation, and this one uses {what}",
        value=f"block {block}",
        file=path,
        fix="Evaluate it on features that `geneq featurize` made, with geneq.load_equation",
    )


def _refuse_hash(kind: str, name: str, value: str, path: Path) -> NoReturn:
    if kind == "motifs":
        raise GeneqError(
            f"{name} does not have the motifs that the equation was made with",
            value=value,
            file=path,
            fix="Use the motif file of that run; for motifs:core, the geneq version of that run",
        )
    raise GeneqError(
        f"{name} is not the oracle that the equation was made with",
        value=value,
        file=path,
        fix="Use the geneq version of that run",
    )


def _motif_file(name: str, path: Path) -> str:
    """The motif file `name` next to the equation, else in the current folder."""
    places = [path.parent / Path(name).name, Path(Path(name).name)]
    for place in places:
        if place.is_file():
            return str(place)
    raise GeneqError(
        f"The equation needs the motif file {name}",
        file=path,
        fix="Put it, or a link to it, beside the equation or in the current folder",
    )
