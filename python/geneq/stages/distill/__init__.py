"""Distil the teacher into one short equation per cell type.

The variables are the teacher's pooled classes that matter for the cell type, by permutation
importance on training genes, and programmes: weighted sums over few classes, along which the
teacher's prediction changes most. Symbolic regression, and sums of few terms chosen greedily,
approximate the teacher's predictions on training genes. The equation is selected by its error
against measured expression, out of fold over training and validation genes; if none predicts better
than the mean, no equation is selected. A more faithful equation is reported beside it. Test genes
are used only for reporting.
"""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import sympy

from ...artifacts import EQUATIONS, METRICS, PREDICTIONS, atomic_path
from ...checks import check_int
from ...equations import FORMAT, VERSION, Equation, Form, about_features, infix, with_numbers
from ...errors import GeneqError
from ...evaluation import metrics
from ...features import Features
from ...teacher import TrainedTeacher
from .baselines import boosted_trees, decays, degree_two_lasso, elastic_net, ridge
from .engines import Engine, choose_engine
from .selection import Choice, Sample, choose, rounded
from .sums import sums
from .variables import Variable, offered

# Training genes that forms are searched on: the teacher is noise-free, so more add nothing.
SEARCH_ROWS = 1000
LEAST_GENES = 20


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
        "--max_variables",
        type=int,
        default=12,
        help="maximum number of pooled classes that an equation can use (default: 12)",
    )
    parser.add_argument(
        "--programmes",
        type=int,
        default=2,
        help="maximum number of programmes: weighted sums over several classes (default: 2)",
    )
    parser.add_argument(
        "--programme_classes",
        type=int,
        default=24,
        help="maximum number of classes of a programme (default: 24)",
    )
    parser.add_argument(
        "--max_complexity",
        type=int,
        default=40,
        help="maximum number of nodes of an equation (default: 40)",
    )
    parser.add_argument(
        "--accuracy",
        type=float,
        help="share of the teacher's gain over the mean, out of fold, that the equation must keep "
        "(default: the simplest equation within one standard error of the best)",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed (default: 1)")
    parser.add_argument("--out", required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write equations.parquet, equations/<n>.json, faithful/<n>.json, predictions.parquet and
    metrics.parquet."""
    _check(args)
    source = Source.read(args.search, args.features)
    engine = choose_engine(args.sr_engine)
    out = Path(args.out)
    tables, predictions = [], []
    with atomic_path(out / "equations") as folder, atomic_path(out / "faithful") as other:
        folder.mkdir()
        other.mkdir()
        for n, cell_type in enumerate(source.teacher.cell_types):
            work = CellType.of(source, cell_type, args)
            choice = work.distil(engine, args)
            equation = Equation(work.document(choice, choice.chosen, engine.name))
            faithful = Equation(work.document(choice, choice.faithful, engine.name))
            equation.save(folder / f"{n}.json")
            faithful.save(other / f"{n}.json")
            tables.append(work.table(choice, engine.name))
            predictions.append(work.predictions(equation, faithful, args.seed))
            print(f"{cell_type}: {equation if equation.selected else 'no equation was selected'}")
    table = pd.concat(predictions, ignore_index=True)
    EQUATIONS.write(pd.concat(tables, ignore_index=True), out / "equations.parquet")
    PREDICTIONS.write(table, out / "predictions.parquet")
    ceilings = source.teacher.about["ceilings"]
    METRICS.write(metrics(table, ceilings, "test"), out / "metrics.parquet")


def _check(args: Namespace) -> None:
    if args.sr_generations < 1 or args.max_variables < 1:
        raise GeneqError(
            "--sr_generations and --max_variables must be at least 1",
            value=f"{args.sr_generations}, {args.max_variables}",
        )
    check_int(args.programmes, "--programmes", 0, 20)
    check_int(args.programme_classes, "--programme_classes", 1, 10_000)
    check_int(args.max_complexity, "--max_complexity", 5, 200)
    check_int(args.seed, "--seed", 0, 2**32 - 1)
    if args.accuracy is not None and not 0 < args.accuracy <= 1:
        raise GeneqError("--accuracy must be above 0 and at most 1", value=args.accuracy)


@dataclass(frozen=True)
class Source:
    """The teacher, the features of its genes, and its predictions.

    columns: float32[genes, columns], the features on the teacher's scale.
    """

    teacher: TrainedTeacher
    features: Features
    predictions: pd.DataFrame
    columns: np.ndarray

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
        return cls(teacher, features, predictions, features.matrix(teacher.scale))


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
    def of(cls, source: Source, cell_type: str, args: Namespace) -> "CellType":
        rows = source.predictions[source.predictions["cell_type"] == cell_type]
        rows = rows.reset_index(drop=True)
        known = rows[rows["split"] != "test"]
        if len(known) < LEAST_GENES or known["fold"].nunique() < 2:
            raise GeneqError(
                f"A cell type needs at least {LEAST_GENES} training and validation genes, in two "
                "folds or more",
                value=f"{cell_type}: {len(known)} in {known['fold'].nunique()}",
                fix="Use more chromosomes or a longer annotation, or drop the cell type",
            )
        place = pd.Series(np.arange(len(source.features.gene_id)), source.features.gene_id)
        places = place[rows["gene_id"]].to_numpy()
        columns = source.columns[places]
        variables = offered(
            source.teacher,
            columns[(rows["split"] == "train").to_numpy()],
            source.features.columns,
            source.teacher.cell_types.index(cell_type),
            args.max_variables,
            args.programmes,
            args.programme_classes,
            args.seed,
        )
        x = {variable.name: variable.values(columns) for variable in variables}
        return cls(source, cell_type, rows, places, variables, x)

    @cached_property
    def training(self) -> Features:
        """The features of its training genes."""
        return self.source.features.of_genes(self.rows.loc[self.split("train"), "gene_id"])

    def split(self, *names: str) -> np.ndarray:
        return self.rows["split"].isin(names).to_numpy()

    def distil(self, engine: Engine, args: Namespace) -> Choice:
        """Search against the teacher on training genes, choose against measured expression."""
        known = self.split("train", "valid")
        sample = Sample(
            {name: column[known] for name, column in self.x.items()},
            self.rows["measured"].to_numpy()[known],
            self.rows["teacher"].to_numpy()[known],
            self.rows["teacher_out_of_fold"].to_numpy()[known],
            self.rows["fold"].to_numpy()[known],
            self.split("train")[known],
            {variable.name: variable.classes for variable in self.variables},
            args.max_complexity,
        )
        return choose(self._candidates(engine, args) if self.x else [], sample, args.accuracy)

    def _candidates(self, engine: Engine, args: Namespace) -> list[sympy.Expr]:
        """Of symbolic regression and of greedy sums, over pooled classes alone and over all."""
        rows = np.flatnonzero(self.split("train"))
        rows = np.random.default_rng(args.seed).permutation(rows)[:SEARCH_ROWS]
        x = {name: column[rows] for name, column in self.x.items()}
        y = self.rows["teacher"].to_numpy()[rows]
        pooled = {v.name: x[v.name] for v in self.variables if v.label is not None}
        found = []
        for some in [pooled, x] if 0 < len(pooled) < len(x) else [x]:
            found += sums(some, y, args.max_complexity)
            found += engine.front(np.column_stack(list(some.values())), y, list(some),
                                  args.sr_generations, args.seed, args.threads)  # fmt: skip
        return found

    def table(self, choice: Choice, engine: str) -> pd.DataFrame:
        """The front as the table EQUATIONS."""
        return pd.DataFrame(
            {
                "cell_type": self.name,
                "member": i,
                "engine": engine,
                "complexity": member.form.complexity,
                "classes": self._n_classes(member.form.variables),
                "infix": infix(with_numbers(member.form, member.constants, 6), 6),
                "fidelity": member.fidelity,
                "oof_mse": member.mse,
                "oof_delta": member.delta,
                "oof_delta_se": member.delta_se,
                "conditioning": member.cancelling,
                "chosen": i == choice.chosen,
                "faithful": i == choice.faithful,
            }
            for i, member in enumerate(choice.members)
        )

    def document(self, choice: Choice, place: int, engine: str) -> dict:
        """A member as an equation, with all that is needed to evaluate it."""
        member = choice.members[place]
        constants = rounded(member, choice.sample) if place else member.constants
        numbers = with_numbers(member.form, constants, 15)
        variables = [
            self._variable(v, member.form, constants)
            for v in self.variables
            if v.name in member.form.variables
        ]
        names = [f"c{i}" for i in range(len(constants))]
        errors = member.form.standard_errors(constants, choice.sample.x, choice.sample.y)
        return {
            "format": FORMAT,
            "version": VERSION,
            "dataset": self.source.teacher.about["dataset"],
            "cell_type": self.name,
            "selected": choice.selected,
            **about_features(self.training, self.source.teacher.scale, variables),
            "variables": variables,
            "expression": member.form.text,
            "constants": dict(zip(names, constants.tolist(), strict=True)),
            "y": {"transform": "log2(CPM + 1)"},
            "infix": infix(numbers, 12),
            "latex": sympy.latex(numbers),
            "complexity": member.form.complexity,
            "fit": {
                "engine": engine,
                "reason": choice.reason,
                "accuracy": choice.accuracy,
                "gain_z": choice.gain_z,
                "teacher_z": choice.teacher_z,
                "gain_kept": choice.kept(place),
                "fidelity": member.fidelity,
                "oof_mse": member.mse,
                "oof_r2": 1 - member.mse / choice.members[0].mse,
                "conditioning": member.cancelling,
                "standard_errors": dict(zip(names, errors.tolist(), strict=True)),
            },
        }

    def _n_classes(self, names: tuple[str, ...]) -> int:
        """Number of classes that these variables read, each once."""
        columns = self.source.features.columns
        used = [v.weights != 0 for v in self.variables if v.name in names]
        return len(
            {(c.block, c.name) for u in used for c, yes in zip(columns, u, strict=True) if yes}
        )

    def _variable(self, variable: Variable, form: Form, constants: np.ndarray) -> dict:
        """Offset and weights, in units of the scaled columns; range over training genes, and
        direction: 1 where the expression rises with the variable on all of them, -1 where it
        falls, 0 for both."""
        train = self.split("train")
        training = self.x[variable.name][train]
        x = {name: column[train] for name, column in self.x.items()}
        slope = form.slope(variable.name, constants, x)
        direction = int((slope >= 0).all()) - int((slope <= 0).all())
        return {
            "name": variable.name,
            "class": variable.label,
            "offset": variable.offset,
            "weights": [
                {"block": c.block, "bin": c.bin, "class": c.name, "weight": float(weight)}
                for c, weight in zip(self.source.features.columns, variable.weights, strict=True)
                if weight
            ],
            "range": [training.min(), training.max()],
            "direction": direction,
        }

    def predictions(self, equation: Equation, faithful: Equation, seed: int) -> pd.DataFrame:
        """The cell type's rows with equations and baselines."""
        known = self.split("train", "valid")
        measured = self.rows["measured"].to_numpy()
        y, fold = measured[known], self.rows["fold"].to_numpy()[known]
        columns = self.source.columns[self.places]
        features = self.source.features.of_genes(self.rows["gene_id"])
        flat = columns.astype(float)
        found = {
            "equation": equation.predict(features),
            "faithful": faithful.predict(features),
            "elastic_net": elastic_net(flat[known], y, fold, seed).predict(flat),
            "ridge": ridge(decays(features, columns), y, fold, known),
            "trees": boosted_trees(columns, measured, self.split("train"), known, seed),
        }
        if self.x:
            x = np.column_stack(list(self.x.values()))
            found["lasso2"] = degree_two_lasso(x[known], y, fold, seed).predict(x)
        else:
            found["lasso2"] = np.full(len(self.rows), y.mean())
        return self.rows.assign(**found)
