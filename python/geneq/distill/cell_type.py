"""From a teacher to the choice of one cell type's equation."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import sympy

from ..artifacts import ABSOLUTE, PREDICTIONS, of_target, read_json, write_json
from ..checks import check_format, check_int
from ..errors import GeneqError
from ..features import Features
from ..teacher import TrainedTeacher
from .engines import Engine
from .selection import Choice, Sample, choose
from .sums import sums
from .variables import Variable, offered

__all__ = ["LEAST_GENES", "CellType", "Settings", "Source", "are_enough", "sample_of"]

FORMAT, VERSION = "geneq-distill", 1
# Training genes that forms are searched on: the teacher is noise-free, so more add nothing.
SEARCH_ROWS = 1000
LEAST_GENES = 20


@dataclass(frozen=True)
class Settings:
    """How equations are searched; the options of `geneq distill` (`geneq distill --help`)."""

    sr_engine: str = "operon"
    sr_generations: int = 60
    max_variables: int = 12
    programmes: int = 3
    programme_classes: int = 64
    max_complexity: int = 40
    accuracy: float | None = None
    seed: int = 1

    def check(self) -> "Settings":
        """These settings. Raises GeneqError if one is out of range."""
        if self.sr_generations < 1 or self.max_variables < 1:
            raise GeneqError(
                "--sr_generations and --max_variables must be at least 1",
                value=f"{self.sr_generations}, {self.max_variables}",
            )
        check_int(self.programmes, "--programmes", 0, 20)
        check_int(self.programme_classes, "--programme_classes", 1, 10_000)
        check_int(self.max_complexity, "--max_complexity", 5, 200)
        check_int(self.seed, "--seed", 0, 2**32 - 1)
        if self.accuracy is not None and not 0 < self.accuracy <= 1:
            raise GeneqError("--accuracy must be above 0 and at most 1", value=self.accuracy)
        return self

    def write(self, path: str | Path) -> None:
        write_json({"format": FORMAT, "version": VERSION, **asdict(self)}, path)

    @classmethod
    def read(cls, path: str | Path) -> "Settings":
        """Read what `write` wrote. Raises GeneqError when the file is missing or is none."""
        document = check_format(read_json(path), "settings", FORMAT, VERSION, path)
        try:
            return cls(**{k: v for k, v in document.items() if k not in ("format", "version")})
        except TypeError as error:
            raise GeneqError("Not settings of distill", value=str(error), file=path) from None


@dataclass(frozen=True)
class Source:
    """The teacher, the features of its genes, and its predictions.

    predictions: of absolute expression, or of another `target`; columns: float32[genes, columns],
    the features on the teacher's scale.
    """

    teacher: TrainedTeacher
    features: Features
    predictions: pd.DataFrame
    columns: np.ndarray
    target: str = ABSOLUTE

    @classmethod
    def read(cls, search: str | Path, features_path: str | Path) -> "Source":
        """Read the output of `geneq search`, and the features that it was made from."""
        teacher = TrainedTeacher.load(search)
        features = Features.read(features_path)
        if features.about != teacher.about["features"]:
            raise GeneqError(
                "The features are not those that the teacher was trained on",
                value=", ".join(block.name for block in features.blocks),
                file=features_path,
            )
        predictions = PREDICTIONS.read(Path(search) / "predictions.parquet")
        absent = sorted(set(predictions["gene_id"]) - set(features.gene_id))
        if absent:
            raise GeneqError(
                "The features lack genes that the teacher was trained on",
                value=f"{len(absent)}, the first of them {absent[0]}",
                file=features_path,
                fix="Join the shards of the features",
            )
        return cls(teacher, features, predictions, features.matrix(teacher.scale))

    def of(self, search: str | Path, target: str) -> "Source":
        """The same with the predictions of a target of the teacher."""
        predictions = PREDICTIONS.read(of_target(search, target) / "predictions.parquet")
        return replace(self, predictions=predictions, target=target)

    @property
    def ceilings(self) -> dict[str, float]:
        """Cell type → square root of the reliability of what was measured."""
        about = self.teacher.about
        return about["ceilings" if self.target == ABSOLUTE else "specific_ceilings"]

    def places(self, gene_id: pd.Series | np.ndarray) -> np.ndarray:
        """Rows of `columns` of these genes, int[n]."""
        place = pd.Series(np.arange(len(self.features.gene_id)), self.features.gene_id)
        return place[gene_id].to_numpy()

    def rows(self, cell_type: str) -> pd.DataFrame:
        """The predictions of one cell type. Raises GeneqError if there are none."""
        rows = self.predictions[self.predictions["cell_type"] == cell_type]
        if rows.empty:
            raise GeneqError(
                f"No gene has {self.target} expression in a cell type",
                value=cell_type,
                fix="Drop the cell type and search again",
            )
        return rows.reset_index(drop=True)


def are_enough(known: pd.DataFrame) -> bool:
    """Whether an equation can be searched on these rows: LEAST_GENES or more, in two folds."""
    return len(known) >= LEAST_GENES and known["fold"].nunique() > 1


def sample_of(
    rows: pd.DataFrame, x: dict[str, np.ndarray], variables: list[Variable], most: int
) -> Sample:
    """The genes of training and validation among the predictions of a cell type.

    x: values of the variables for all rows, name → float64[n]; most: the largest complexity of a
    member.
    """
    known = rows["split"].isin(["train", "valid"]).to_numpy()
    y, teacher, fold = (
        rows[name].to_numpy()[known] for name in ("measured", "teacher_out_of_fold", "fold")
    )
    x = {name: column[known] for name, column in x.items()}
    classes = {variable.name: variable.classes for variable in variables}
    return Sample(x, y, teacher, fold, (rows["split"] == "train").to_numpy()[known], classes, most)


@dataclass(frozen=True)
class CellType:
    """What distilling one cell type needs, rows in the order of `rows`.

    name: the cell type; rows: its predictions; places: of their genes among those of the features;
    variables: what equations can be written in; x: their values, name → float64[n].
    """

    source: Source
    name: str
    rows: pd.DataFrame
    places: np.ndarray
    variables: list[Variable]
    x: dict[str, np.ndarray]

    @classmethod
    def of(cls, source: Source, rows: pd.DataFrame, settings: Settings) -> "CellType":
        """rows: predictions of one cell type; where genes are resampled, some more than once."""
        name, known = rows["cell_type"].iloc[0], rows[rows["split"] != "test"]
        if not are_enough(known):
            raise GeneqError(
                f"A cell type needs at least {LEAST_GENES} training and validation genes, in two "
                "folds or more",
                value=f"{name}: {len(known)} in {known['fold'].nunique()}",
                fix="Use more chromosomes or a longer annotation, or drop the cell type",
            )
        places = source.places(rows["gene_id"])
        columns = source.columns[places]
        train = (rows["split"] == "train").to_numpy()
        variables = offered(
            source.teacher,
            columns[train],
            source.features.columns,
            rows["teacher_out_of_fold"].to_numpy()[train],
            source.teacher.head(name, source.target),
            settings.max_variables,
            settings.programmes,
            settings.programme_classes,
            settings.seed,
        )
        x = {variable.name: variable.values(columns) for variable in variables}
        return cls(source, name, rows, places, variables, x)

    def split(self, *names: str) -> np.ndarray:
        """bool[n]: the rows of these splits."""
        return self.rows["split"].isin(names).to_numpy()

    def distil(self, engine: Engine, settings: Settings, threads: int) -> Choice:
        """Search against the teacher on training genes, choose against measured expression."""
        sample = sample_of(self.rows, self.x, self.variables, settings.max_complexity)
        front = self._candidates(engine, settings, threads) if self.x else []
        return choose(front, sample, settings.accuracy)

    def _candidates(self, engine: Engine, settings: Settings, threads: int) -> list[sympy.Expr]:
        """Of symbolic regression and of greedy sums, over pooled classes alone and over all."""
        rows = np.flatnonzero(self.split("train"))
        rows = np.random.default_rng(settings.seed).permutation(rows)[:SEARCH_ROWS]
        x = {name: column[rows] for name, column in self.x.items()}
        y = self.rows["teacher_out_of_fold"].to_numpy()[rows]
        pooled = {v.name: x[v.name] for v in self.variables if v.label is not None}
        found = []
        for some in [pooled, x] if 0 < len(pooled) < len(x) else [x]:
            found += sums(some, y, settings.max_complexity)
            found += engine.front(np.column_stack(list(some.values())), y, list(some),
                                  settings.sr_generations, settings.seed, threads)  # fmt: skip
        return found
