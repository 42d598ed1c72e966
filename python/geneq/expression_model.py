"""From DNA around genes to expression: the equations of all cell types, and the teacher.

Features are computed from sequence as `geneq featurize` does it, by the oracles of the features
that the equations were made from. Gene features keep the values that the gene has.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from .artifacts import GENES
from .equations import SOURCE, Equation, used_blocks, used_columns
from .errors import GeneqError
from .features import Features
from .genome import Genome
from .mave import check_finite
from .oracles.base import BinnedOracle, check_build
from .oracles.blocks import NamedOracles, is_deep, open_block
from .oracles.equation import equation_hash
from .oracles.network import module_hash
from .teacher import TrainedTeacher

__all__ = ["EQUATION", "TEACHER", "ExpressionModel"]

EQUATION, TEACHER = "equation", "teacher"
# What the teacher's predictions are in; see `y` of equations.
LOG_CPM = "log2(CPM + 1)"


class ExpressionModel:
    """Equations, and a teacher, that read windows of DNA around the TSS.

    Attributes
    ----------
    window : tuple of int
        [first, end) around the TSS on the gene's strand: all that any oracle reads.
    columns : list of (str, str)
        Method and cell type of each prediction: selected equations, then the teacher's cell types.
    genes : DataFrame
        Rows of the gene table that have features.
    digest : str
        Of everything that determines predictions.
    """

    def __init__(
        self,
        equations: dict[str, Equation],
        features: Features,
        genes: pd.DataFrame,
        oracles: dict[int, BinnedOracle],
        teacher: TrainedTeacher | None = None,
    ):
        self.equations, self.teacher = equations, teacher
        self._features, self._oracles = features, oracles
        self.genes = genes[genes["gene_id"].isin(features.gene_id)].reset_index(drop=True)
        windows = [(*features.blocks[i].meta["window"], o.flank) for i, o in oracles.items()]
        self.window = (
            min(first - flank for first, _, flank in windows),
            max(end + flank for _, end, flank in windows),
        )
        self.columns = [(EQUATION, cell_type) for cell_type in equations]
        self.columns += [(TEACHER, name) for name in (teacher.cell_types if teacher else [])]
        self.digest = self._digest()

    @classmethod
    def open(
        cls,
        equations: str | Path,
        features: str | Path,
        search: str | Path | None,
        genome: Genome,
        named: NamedOracles | None = None,
    ) -> "ExpressionModel":
        """Open equations, and the teacher if `search` is given.

        Parameters
        ----------
        equations : path
            A folder written by `geneq distill`.
        features : path
            The features.zarr that the equations were made from.
        search : path or None
            The folder of their search.
        genome : Genome
            The genome of the features, in the folder of its gene table.
        named : NamedOracles, optional
            The models of the features, besides motifs and k-mers.

        Raises
        ------
        GeneqError
            No equation was selected and there is no teacher; the features are of promoters, of
            another genome, or others than the equations' or the teacher's; the equations are of
            specific expression, which the teacher's effects are not; an oracle cannot be opened, or
            is not named.
        """
        paths = _paths(equations)
        documents = [Equation.load(path) for path in paths]
        selected = {e.document["cell_type"]: e for e in documents if e.selected}
        found = Features.open(features)
        _check_genome(found, documents, genome, features)
        teacher = None
        if search is not None:
            _check_target(documents, equations)
            teacher = TrainedTeacher.load(search)
            if teacher.about["features"] != found.about:
                raise GeneqError("The features are not those that the teacher was trained on",
                                 file=features)  # fmt: skip
        if not selected and teacher is None:
            raise GeneqError("No equation was selected for any cell type, so none can predict the "
                             "effect of a variant", file=equations)  # fmt: skip
        oracles = {}
        for i, block in enumerate(found.blocks):
            wanted = None if teacher else _classes(selected.values(), block.name)
            if (SOURCE in block.meta or not block.is_table) and wanted != []:
                about = {"name": block.name, "classes": block.classes, **block.meta}
                oracle = open_block(about, paths[0], named or NamedOracles())
                check_build(oracle, genome)
                oracles[i] = oracle if wanted is None else oracle.of_classes(wanted)
        if not oracles:
            raise GeneqError("The equations depend on gene features only, not on DNA",
                             file=equations)  # fmt: skip
        genes = GENES.read(genome.folder / "genes.parquet")
        return cls(selected, _in_memory(found, oracles), genes, oracles, teacher)

    @property
    def length(self) -> int:
        """Of the sequences that are read, in nt."""
        return self.window[1] - self.window[0]

    def predict(self, gene_id: np.ndarray) -> np.ndarray:
        """Predicted expression of genes, log2(CPM + 1), float64[n, columns]."""
        return self._predicted(self._stored(gene_id))

    def _predicted(self, features: Features) -> np.ndarray:
        found = [equation.predict(features)[:, None] for equation in self.equations.values()]
        if self.teacher:
            found.append(self.teacher.predict(features).astype(float))
        return np.concatenate(found, axis=1)

    def differences(
        self, before: np.ndarray, which: np.ndarray, after: np.ndarray, gene_id: np.ndarray
    ) -> np.ndarray:
        """How changes of sequence change predictions.

        Only bins, or tiles, that a change reaches are scored; the others are as in the features.

        Parameters
        ----------
        before : ndarray of uint8[k, length]
            `window` around the TSS of genes, on their strands, as in the genome.
        which : ndarray of int64[n]
            The window that was changed.
        after : ndarray of uint8[n, length]
            That window with the change.
        gene_id : ndarray of object[k]

        Returns
        -------
        ndarray of float64[n, columns]
        """
        old, blocks = self._stored(gene_id), []
        places = iter(self._oracles)
        for block in old.blocks:
            values = np.asarray(block.values)[which]
            if not block.is_table:
                place = next(places)
                oracle = self._oracles[place]
                changes = oracle.changes(before, which, after, self._edges(place))
                check_finite(changes.reshape(len(changes), -1), f"Scores of {oracle.name}")
                values = values + changes
            blocks.append(replace(block, values=values))
        new = Features(gene_id[which], blocks, old.meta)
        return self._predicted(new) - self._predicted(old)[which]

    @property
    def is_deep(self) -> bool:
        """Whether it depends on deep models, whose windows are counted."""
        return any(map(is_deep, self._oracles.values()))

    def windows(self, before: np.ndarray, which: np.ndarray, after: np.ndarray) -> int:
        """How many windows deep models read for `differences` of these sequences."""
        return sum(
            oracle.changed_inputs(before, which, after, self._edges(place))
            for place, oracle in self._oracles.items()
            if is_deep(oracle)
        )

    def _edges(self, place: int) -> np.ndarray:
        """Bin edges of a block as positions in windows."""
        return np.subtract(self._features.blocks[place].meta["bin_edges"], self.window[0])

    def _stored(self, gene_id: np.ndarray) -> Features:
        """The blocks that are needed, of genes."""
        known = self._features.gene_id
        place = pd.Series(np.arange(len(known)), known)[gene_id].to_numpy()
        blocks = [
            replace(block, values=block.values[place], classes=self._classes(i))
            for i, block in enumerate(self._features.blocks)
            if block.is_table or i in self._oracles
        ]
        return Features(np.asarray(gene_id), blocks, self._features.meta)

    def _classes(self, place: int) -> list[str]:
        """Of a block, those that are in memory."""
        oracle = self._oracles.get(place)
        return oracle.targets if oracle else self._features.blocks[place].classes

    def _digest(self) -> str:
        equations = {name: equation_hash(e.document) for name, e in self.equations.items()}
        teacher = self.teacher and module_hash(TEACHER, self.teacher.network)
        decisive = [self._features.about, equations, teacher]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _paths(folder: str | Path) -> list[Path]:
    """The files of equations."""
    paths = sorted((Path(folder) / "equations").glob("*.json"), key=lambda path: path.name)
    if not paths:
        raise GeneqError("No equations found", file=folder,
                         fix="Give a folder written by `geneq distill`")  # fmt: skip
    return paths


def _check_genome(
    features: Features, equations: list[Equation], genome: Genome, path: str | Path
) -> None:
    if any(block.meta["window"] is None for block in features.blocks if not block.is_table):
        raise GeneqError("Variants need the positions of genes, and promoters have none",
                         file=path)  # fmt: skip
    if features.meta.get("genome") != genome.digest:
        raise GeneqError("The features are of another genome", file=path)
    for document in (equation.document for equation in equations):
        if document.get("genome") not in (None, genome.digest):
            raise GeneqError("An equation is of another genome", value=document["cell_type"],
                             fix="Use the genome and features of its run")  # fmt: skip


def _check_target(equations: list[Equation], path: str | Path) -> None:
    for document in (equation.document for equation in equations):
        transform = document.get("y", {}).get("transform", LOG_CPM)
        if transform != LOG_CPM:
            raise GeneqError(
                f"The equations and the teacher must both predict {LOG_CPM}",
                value=transform,
                file=path,
                fix="Give the folder written by `geneq distill`, not the folder specific in it, or "
                "drop --search",
            )


def _classes(equations, block: str) -> list[str]:
    """Classes of a block that equations depend on."""
    names = set()
    for equation in equations:
        document = equation.document
        places = [i for i in used_blocks(document) if document["blocks"][i]["name"] == block]
        names |= {column.name for column in used_columns(document) if column.block in places}
    return sorted(names)


def _in_memory(features: Features, oracles: dict) -> Features:
    """The features with tables, and those classes that oracles score, in memory."""
    blocks = []
    for i, block in enumerate(features.blocks):
        if i in oracles:
            places = [block.classes.index(name) for name in oracles[i].targets]
            blocks.append(replace(block, values=block.values[:][:, :, places]))
        else:
            blocks.append(replace(block, values=block.values[:]) if block.is_table else block)
    return replace(features, blocks=blocks)
