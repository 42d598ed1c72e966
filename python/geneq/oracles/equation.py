"""A distilled equation as an oracle: from DNA to log2(CPM + 1) of one cell type.

The equation's file has all that is needed: the oracle (motifs or k-mers) whose classes it uses, the
window, the bins, the weights of its variables. DNA is read as in `geneq featurize`: the complete
window around the TSS on the gene's strand, or a promoter of any length, whose bins are fractions
of it.
"""

import hashlib
import json
from pathlib import Path
from typing import NoReturn

import numpy as np

from ..artifacts import Features
from ..binning import of_promoter
from ..equations import Equation, used_variables
from ..errors import GeneqError
from .base import Oracle, check_sequences
from .kmers import KmerOracle
from .motifs import MotifOracle, max_classes_of

__all__ = ["EquationOracle"]

# Entries of the file that determine scores, besides the variables that occur in the expression.
DECISIVE = ("oracle", "window", "bin_edges", "expression", "constants")
# Sequences whose features are in memory together.
BATCH = 4096


class EquationOracle(Oracle):
    """The values of an equation, computed from sequence.

    Its length is that of the equation's window; promoters may have any.

    Parameters
    ----------
    name : str
    equation : Equation
        Not one that is an intercept only.
    oracle : MotifOracle or KmerOracle
        The oracle that the equation was made with.
    """

    def __init__(self, name: str, equation: Equation, oracle: MotifOracle | KmerOracle):
        self.unknown = oracle.unknown
        self.name, self.equation = name, equation
        document = equation.document
        self.targets = [document["cell_type"]]
        self.edges, self.tss = np.array(document["bin_edges"]), document["tss_index"]
        window = document["window"]
        self.length = None if window is None else window[1] - window[0]
        self.hash = _hash(document)
        self._meta = {"oracle_hash": oracle.hash, "bin_edges": document["bin_edges"]}
        self._oracle = oracle.of_classes(_classes(document))

    @classmethod
    def open(cls, file: str) -> "EquationOracle":
        """Open `equations/<n>.json` of `geneq distill`.

        Raises
        ------
        GeneqError
            If no equation was selected, or the oracle that it was made with is missing.
        """
        path, equation = Path(file), Equation.load(file)
        if not equation.selected:
            raise GeneqError(
                "No equation was selected for this cell type (intercept only), so it cannot score "
                "sequences",
                value=equation.document.get("cell_type"),
                file=path,
                fix="Use the equation of another cell type",
            )
        try:
            return cls(f"equation:{path.name}", equation, _oracle(equation.document, path))
        except (KeyError, TypeError) as error:
            raise GeneqError(
                "The equation file is incomplete", value=str(error), file=path
            ) from None

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """log2(CPM + 1), float32[n, 1]; see `Oracle.predict`."""
        cut = f"Cut them so that the TSS is at index {self.tss}, on the gene's strand"
        check_sequences(self, tokens, anchor, cut)
        edges = self._edges(tokens.shape[1])
        values = np.empty((len(tokens), 1), np.float32)
        for start in range(0, len(tokens), BATCH):
            rows = slice(start, start + BATCH)
            scores = self._oracle.predict_bins(tokens[rows], edges)
            names = np.arange(start, start + len(scores))
            features = Features(scores, names, self._oracle.targets, self._meta)
            values[rows, 0] = self.equation.predict(features)
        return values

    def _edges(self, length: int) -> np.ndarray:
        """Bin edges as positions in sequences of this length."""
        if self.length is None:
            return of_promoter(self.edges, length)
        return self.edges - self.edges[0]


def _hash(document: dict) -> str:
    decisive = [document[key] for key in DECISIVE]
    decisive += [
        [variable["name"], variable["offset"], variable["weights"]]
        for variable in used_variables(document)
    ]
    return hashlib.sha256(
        json.dumps(["equation 1", *decisive], sort_keys=True).encode()
    ).hexdigest()


def _classes(document: dict) -> list[str]:
    """Classes that the expression depends on."""
    variables = used_variables(document)
    return sorted({weight["class"] for variable in variables for weight in variable["weights"]})


def _oracle(document: dict, path: Path) -> MotifOracle | KmerOracle:
    """The oracle that the equation was made with.

    No other type is opened for an equation: its file is data, and other oracles may be programs.
    """
    about, classes = document["oracle"], len(document["classes"])
    name, wanted = about["name"], about["hash"]
    # Files without this entry are from before there was a choice.
    strands = about.get("strands", "both")
    kind, _, what = name.partition(":")
    found: MotifOracle | KmerOracle
    if kind == "motifs":
        file = what if what == "core" else _motif_file(what, path)
        found = MotifOracle.open(file, max_classes_of(classes, strands), strands)
    elif kind == "kmers":
        found = KmerOracle.open(what, strands)
    else:
        raise GeneqError("Only equations made with the oracles motifs and kmers can score DNA",
                         value=name, file=path)  # fmt: skip
    if found.hash != wanted:
        _refuse_hash(kind, name, f"hash {found.hash[:12]}, the equation's {wanted[:12]}", path)
    return found


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
