"""A distilled equation as an oracle: DNA in, log2(CPM + 1) of one cell type out.

The document says all that is needed: the motif oracle whose classes it is made of, the window, the
bins, the weights of its variables. DNA is read as `geneq featurize` read it: of a window around the
TSS all of it, on the gene's strand, of a promoter any length, cut by its fractions.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from ..artifacts import Features
from ..binning import of_promoter
from ..equations import Equation, used_variables
from ..errors import GeneqError
from . import check_sequences
from .motifs import MotifOracle

KIND = "motifs"
# What of a document determines scores, beside the variables that occur in the expression.
DECISIVE = ("oracle", "window", "bin_edges", "expression", "constants")
# Sequences whose features are in memory together.
BATCH = 4096


class EquationOracle:
    """Values of one equation, computed from sequence.

    equation: a selected one. motifs: the oracle that its document names. length: of its window,
    None for promoters, of which bins are shares. tss: index of the TSS in the window.
    """

    alphabet = "ACGT"
    strand = "given"
    unknown = MotifOracle.unknown

    def __init__(self, name: str, equation: Equation, motifs: MotifOracle):
        self.name, self.equation = name, equation
        document = equation.document
        self.targets = [document["cell_type"]]
        self.edges, self.tss = np.array(document["bin_edges"]), document["tss_index"]
        window = document["window"]
        self.length = None if window is None else window[1] - window[0]
        self.hash = _hash(document)
        self._meta = {"oracle_hash": motifs.hash, "bin_edges": document["bin_edges"]}
        self._motifs = motifs.of_classes(_classes(document))

    @classmethod
    def open(cls, file: str) -> "EquationOracle":
        """Open `equations/<n>.json` of `geneq distill`.

        Raises GeneqError where no equation was selected, and where the motif oracle that it was
        made with is not to be had here.
        """
        path, equation = Path(file), Equation.load(file)
        if not equation.selected:
            raise GeneqError(
                "No equation was selected for this cell type, and a constant says nothing of DNA",
                value=equation.document.get("cell_type"),
                file=path,
                fix="Take the equation of another cell type",
            )
        try:
            return cls(f"equation:{path.name}", equation, _motifs(equation.document, path))
        except (KeyError, TypeError) as error:
            raise GeneqError("The equation is not whole", value=str(error), file=path) from None

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """uint8[n, length] → float32[n, 1]: log2(CPM + 1).

        anchor: where the TSS lies in the sequences. Raises GeneqError for sequences of another
        length, or with the TSS elsewhere.
        """
        cut = f"Cut them so that the TSS is at index {self.tss}, on the gene's strand"
        check_sequences(self, tokens, anchor, cut)
        edges = self._edges(tokens.shape[1])
        values = np.empty((len(tokens), 1), np.float32)
        for start in range(0, len(tokens), BATCH):
            rows = slice(start, start + BATCH)
            scores = self._motifs.predict_bins(tokens[rows], edges)
            names = np.arange(start, start + len(scores))
            features = Features(scores, names, self._motifs.targets, self._meta)
            values[rows, 0] = self.equation.predict(features)
        return values

    def _edges(self, length: int) -> np.ndarray:
        """Bin edges as positions in sequences of this length."""
        if self.length is None:
            return of_promoter(self.edges, length)
        return self.edges - self.edges[0]


def _hash(document: dict) -> str:
    told = [document[key] for key in DECISIVE]
    told += [
        [variable["name"], variable["offset"], variable["weights"]]
        for variable in used_variables(document)
    ]
    return hashlib.sha256(json.dumps(["equation 1", *told], sort_keys=True).encode()).hexdigest()


def _classes(document: dict) -> list[str]:
    """Classes that the expression depends on."""
    variables = used_variables(document)
    return sorted({weight["class"] for variable in variables for weight in variable["weights"]})


def _motifs(document: dict, path: Path) -> MotifOracle:
    """The motif oracle that the document was made with.

    Nothing but motifs is opened for a document: it is data, and other oracles may be programs.
    """
    name, wanted = document["oracle"]["name"], document["oracle"]["hash"]
    kind, _, file = name.partition(":")
    if kind != KIND:
        raise GeneqError("Equations of motif oracles alone can score DNA", value=name, file=path)
    file = file if file == "core" else _motif_file(file, path)
    found = MotifOracle.open(file, len(document["classes"]))
    if found.hash != wanted:
        raise GeneqError(
            f"{name} holds other motifs than those that the equation was made with",
            value=f"hash {found.hash[:12]}, the equation's {wanted[:12]}",
            file=path,
            fix="Give the motif file of that run, or the geneq whose motifs:core it was",
        )
    return found


def _motif_file(name: str, path: Path) -> str:
    """The motif file `name` beside the equation, else in the current folder."""
    places = [path.parent / Path(name).name, Path(Path(name).name)]
    for place in places:
        if place.is_file():
            return str(place)
    raise GeneqError(
        f"The equation needs the motif file {name}",
        file=path,
        fix="Put it, or a link to it, beside the equation or into the current folder",
    )
