"""Distil the teacher into one short equation per cell type.

The variables are those of the teacher that matter for the cell type (pooled features, programmes),
by permutation importance on training genes. Symbolic regression searches forms and constants
against the teacher's predictions on training genes. The equation is selected by its error against
measured expression, out of fold over training and validation genes; if none predicts better than
the mean, no equation is selected. Test genes are used only for reporting.
"""

import re
from argparse import ArgumentParser, Namespace
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import sympy

from ...artifacts import EQUATIONS, METRICS, PREDICTIONS, atomic_path
from ...checks import check_int
from ...equations import FORMAT, VERSION, Equation, about_features, infix, with_numbers
from ...errors import GeneqError
from ...evaluation import metrics
from ...features import Features
from ...teacher import TrainedTeacher
from .baselines import degree_two_lasso, elastic_net
from .engines import Engine, choose_engine
from .selection import Choice, Sample, choose

# A variable matters when shuffling it moves the teacher by this share of its variance.
IMPORTANT = 0.002
# Training genes that forms are searched on: the teacher is noise-free, so more add nothing.
SEARCH_ROWS = 1000
# Names of variables that mix classes.
PROGRAMME = "programme"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--search", required=True, help="folder written by `geneq search`")
    parser.add_argument("--features", required=True, help="features.zarr of the genome")
    parser.add_argument("--sr_engine", default="auto", choices=["auto", "operon", "pysr"])
    parser.add_argument(
        "--sr_generations",
        type=int,
        default=60,
        help="generations of symbolic regression (default: 60)",
    )
    parser.add_argument(
        "--max_variables", type=int, default=12, help="maximum number of variables (default: 12)"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed (default: 1)")
    parser.add_argument("--out", required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write equations.parquet, equations/<n>.json, predictions.parquet and metrics.parquet."""
    if args.sr_generations < 1 or args.max_variables < 1:
        raise GeneqError(
            "--sr_generations and --max_variables must be at least 1",
            value=f"{args.sr_generations}, {args.max_variables}",
        )
    check_int(args.seed, "--seed", 0, 2**32 - 1)
    source = Source.read(args.search, args.features)
    engine = choose_engine(args.sr_engine)
    out = Path(args.out)
    tables, predictions = [], []
    with atomic_path(out / "equations") as folder:
        folder.mkdir()
        for n, cell_type in enumerate(source.teacher.cell_types):
            work = CellType.of(source, cell_type, args.max_variables, args.seed)
            choice = work.distil(engine, args.sr_generations, args.seed, args.threads)
            equation = Equation(work.document(choice, engine.name))
            equation.save(folder / f"{n}.json")
            tables.append(work.table(choice, engine.name))
            predictions.append(work.predictions(equation, args.seed))
            print(f"{cell_type}: {equation if equation.selected else 'no equation was selected'}")
    table = pd.concat(predictions, ignore_index=True)
    EQUATIONS.write(pd.concat(tables, ignore_index=True), out / "equations.parquet")
    PREDICTIONS.write(table, out / "predictions.parquet")
    ceilings = source.teacher.about["ceilings"]
    METRICS.write(metrics(table, ceilings, "test"), out / "metrics.parquet")


@dataclass(frozen=True)
class Source:
    """The teacher, the features of its genes, and its predictions."""

    teacher: TrainedTeacher
    features: Features
    predictions: pd.DataFrame

    @classmethod
    def read(cls, search: str | Path, features_path: str | Path) -> "Source":
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
        return cls(teacher, features, predictions)


@dataclass(frozen=True)
class CellType:
    """What distilling one cell type needs, rows in the order of `rows`.

    rows: the cell type's predictions; features: theirs; variables: name → float64[n],
    standardised over training genes; places: of each variable among the teacher's; standard: mean
    and standard deviation of each of the teacher's variables.
    """

    source: Source
    name: str
    rows: pd.DataFrame
    features: Features
    variables: dict[str, np.ndarray]
    places: list[int]
    standard: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, source: Source, cell_type: str, most: int, seed: int) -> "CellType":
        rows = source.predictions[source.predictions["cell_type"] == cell_type]
        rows = rows.reset_index(drop=True)
        features = source.features.of_genes(rows["gene_id"])
        pooled = source.teacher.pooled(features)
        train = (rows["split"] == "train").to_numpy()
        j = source.teacher.cell_types.index(cell_type)
        places = important(source.teacher, pooled[train], j, most, seed)
        mean, sd = pooled[train].mean(0, dtype=float), pooled[train].std(0, dtype=float)
        sd = np.where(sd > 0, sd, 1)
        names = variable_names([v.name or PROGRAMME for v in source.teacher.variables])
        variables = {names[v]: (pooled[:, v] - mean[v]) / sd[v] for v in places}
        return cls(source, cell_type, rows, features, variables, places, (mean, sd))

    def split(self, *names: str) -> np.ndarray:
        return self.rows["split"].isin(names).to_numpy()

    def distil(self, engine: Engine, generations: int, seed: int, threads: int) -> Choice:
        """Search against the teacher on training genes, choose against measured expression."""
        train, known = self.split("train"), self.split("train", "valid")
        teacher = self.rows["teacher"].to_numpy()
        front: list[sympy.Expr] = []
        if self.variables:
            rows = np.flatnonzero(train)
            rows = np.random.default_rng(seed).permutation(rows)[:SEARCH_ROWS]
            x = np.column_stack([column[rows] for column in self.variables.values()])
            names = list(self.variables)
            front = engine.front(x, teacher[rows], names, generations, seed, threads)
        sample = Sample(
            {name: column[known] for name, column in self.variables.items()},
            self.rows["measured"].to_numpy()[known],
            teacher[known],
            self.rows["teacher_out_of_fold"].to_numpy()[known],
            self.rows["fold"].to_numpy()[known],
            train[known],
        )
        return choose(front, sample)

    def table(self, choice: Choice, engine: str) -> pd.DataFrame:
        """The front as the table EQUATIONS."""
        return pd.DataFrame(
            {
                "cell_type": self.name,
                "member": i,
                "engine": engine,
                "complexity": member.form.complexity,
                "infix": infix(with_numbers(member.form, member.constants, 6), 6),
                "fidelity": member.fidelity,
                "oof_mse": member.mse,
                "oof_delta": member.delta,
                "oof_delta_se": member.delta_se,
                "chosen": i == choice.chosen,
            }
            for i, member in enumerate(choice.members)
        )

    def document(self, choice: Choice, engine: str) -> dict:
        """The chosen equation, with all that is needed to evaluate it."""
        member = choice.members[choice.chosen]
        numbers, constant = with_numbers(member.form, member.constants), choice.members[0]
        variables = [self._variable(name) for name in member.form.variables]
        training = self.features.of_genes(self.rows.loc[self.split("train"), "gene_id"])
        return {
            "format": FORMAT,
            "version": VERSION,
            "dataset": self.source.teacher.about["dataset"],
            "cell_type": self.name,
            "selected": choice.selected,
            **about_features(training, self.source.teacher.scale, variables),
            "variables": variables,
            "expression": member.form.text,
            "constants": {f"c{i}": float(c) for i, c in enumerate(member.constants)},
            "y": {"transform": "log2(CPM + 1)"},
            "infix": infix(numbers),
            "latex": sympy.latex(numbers),
            "complexity": member.form.complexity,
            "fit": {
                "engine": engine,
                "reason": choice.reason,
                "gain_z": choice.gain_z,
                "teacher_z": choice.teacher_z,
                "fidelity": member.fidelity,
                "oof_mse": member.mse,
                "oof_r2": 1 - member.mse / constant.mse,
            },
        }

    def _variable(self, name: str) -> dict:
        """Offset and weights, in units of the scaled columns; range over training genes."""
        place = self.places[list(self.variables).index(name)]
        weights, offset = self.source.teacher.weights(place)
        mean, sd = self.standard[0][place], self.standard[1][place]
        training = self.variables[name][self.split("train")]
        return {
            "name": name,
            "class": self.source.teacher.variables[place].name,
            "offset": (offset - mean) / sd,
            "weights": [
                {"block": c.block, "bin": c.bin, "class": c.name, "weight": weight / sd}
                for c, weight in zip(self.features.columns, weights, strict=True)
                if weight
            ],
            "range": [training.min(), training.max()],
        }

    def predictions(self, equation: Equation, seed: int) -> pd.DataFrame:
        """The cell type's rows with equation and baselines."""
        known = self.split("train", "valid")
        y, fold = self.rows["measured"].to_numpy()[known], self.rows["fold"].to_numpy()[known]
        flat = self.features.matrix(self.source.teacher.scale).astype(float)
        found = {
            "equation": equation.predict(self.features),
            "elastic_net": elastic_net(flat[known], y, fold, seed).predict(flat),
        }
        if self.variables:
            x = np.column_stack(list(self.variables.values()))
            found["lasso2"] = degree_two_lasso(x[known], y, fold, seed).predict(x)
        else:
            found["lasso2"] = np.full(len(self.rows), y.mean())
        return self.rows.assign(**found)


def important(
    teacher: TrainedTeacher, pooled: np.ndarray, cell_type: int, most: int, seed: int
) -> list[int]:
    """Places of the variables that the cell type's prediction depends on, most important first.

    pooled: float32[n, variables] of training genes. The importance of a variable is the mean
    squared change of the prediction when its column is shuffled, over the prediction's variance.
    """
    base = teacher.predict_pooled(pooled)[:, cell_type]
    variance = base.var()
    if variance < 1e-10:
        return []
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pooled))
    importance = np.zeros(pooled.shape[1])
    for c in range(pooled.shape[1]):
        shuffled = pooled.copy()
        shuffled[:, c] = pooled[order, c]
        change = teacher.predict_pooled(shuffled)[:, cell_type] - base
        importance[c] = (change**2).mean() / variance
    ranked = np.argsort(-importance, kind="stable")[:most]
    return [int(c) for c in ranked if importance[c] >= IMPORTANT]


def variable_names(classes: list[str]) -> list[str]:
    """`z_` and the class's name in letters, digits and single underscores; distinct by a number.

    Of two underscores side by side, LaTeX would make a superscript.
    """
    names: list[str] = []
    taken: Counter[str] = Counter()
    for label in classes:
        stem = "z_" + re.sub(r"[\W_]+", "_", label, flags=re.ASCII).strip("_")
        name = stem
        while name in taken:
            taken[stem] += 1
            name = f"{stem}_{taken[stem]}"
        taken[name] += 1
        names.append(name)
    return names
