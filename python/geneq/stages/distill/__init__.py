"""Distil the teacher into one short equation per cell type.

The variables are the teacher's pooled classes that matter for the cell type, by permutation
importance on training genes, and programmes: weighted sums over few classes, along which the
network's prediction changes most, or that are closest to the teacher's. Symbolic regression, and
sums of few terms chosen greedily, approximate what the teacher predicts of training genes out of
fold: what it predicts of genes that it was trained on has their noise in it. The equation is
selected by its error against measured expression, out of fold over training and validation genes;
if none predicts better than the mean, no equation is selected. A more faithful equation is reported
beside it. Test genes are used only for reporting.
"""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import sympy

from ...artifacts import (
    ABSOLUTE,
    EQUATIONS,
    METRICS,
    PREDICTIONS,
    SHAP,
    SPECIFIC,
    atomic_path,
    of_target,
    remove,
)  # fmt: skip
from ...distill.cell_type import CellType, Settings, Source
from ...distill.engines import Engine, choose_engine
from ...distill.selection import Choice, rounded
from ...distill.shared import share
from ...distill.structure import terms
from ...distill.variables import Variable
from ...equations import FORMAT, VERSION, Equation, Form, about_features, infix, with_numbers
from ...evaluation import metrics
from ...features import Features
from ...model_sizes import with_sizes
from . import peers
from .shared import write_shared

# What is said of a target beyond log2(CPM + 1).
NAMES = {ABSOLUTE: "", SPECIFIC: " minus the gene's mean over cell types"}
SETTINGS = "settings.json"


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
        default=3,
        help="maximum number of programmes: weighted sums over several classes (default: 3)",
    )
    parser.add_argument(
        "--programme_classes",
        type=int,
        default=64,
        help="maximum number of classes of a programme (default: 64)",
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
    parser.add_argument(
        "--shared",
        action="store_true",
        help="also one expression for all cell types, with coefficients of its own for each",
    )
    parser.add_argument(
        "--baselines",
        default=",".join(peers.DEFAULT),
        metavar="NAMES",
        help=f"other models to compare with, of {', '.join(peers.OFFERED)} (SHAP values of the "
        "trees), with commas between them (default: %(default)s)",
    )
    parser.add_argument(
        "--fit_seconds",
        action="store_true",
        help="record how long fitting each model takes, which differs from run to run",
    )
    parser.add_argument("--seed", type=int, default=1, help="seed (default: 1)")
    parser.add_argument("--out", required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write equations.parquet, equations/<n>.json, faithful/<n>.json, predictions.parquet and
    metrics.parquet of every target, and settings.json; if they were asked for, shared/<n>.json,
    shared.parquet and shap.parquet."""
    names = [field.name for field in fields(Settings)]
    given = Settings(**{name: getattr(args, name) for name in names}).check()
    baselines = peers.chosen(args.baselines)
    source = Source.read(args.search, args.features)
    engine = choose_engine(given.sr_engine)
    settings = replace(given, sr_engine=engine.name)
    beside = Beside(baselines, args.fit_seconds, args.shared)
    for target in source.teacher.targets:
        one = source if target == ABSOLUTE else source.of(args.search, target)
        distil(one, engine, settings, beside, args.threads, of_target(args.out, target))
    settings.write(Path(args.out) / SETTINGS)


@dataclass(frozen=True)
class Beside:
    """What is fitted beside the equations. baselines: see `peers.chosen`; seconds: whether to
    record how long fits take; shared: whether one expression for all cell types is searched."""

    baselines: tuple[str, ...]
    seconds: bool
    shared: bool


def distil(
    source: Source, engine: Engine, settings: Settings, beside: Beside, threads: int, out: Path
) -> None:
    """Write the equations of one target, and what belongs to them."""
    tables, predictions, sizes, shap = [], [], [], []
    with atomic_path(out / "equations") as folder, atomic_path(out / "faithful") as other:
        folder.mkdir()
        other.mkdir()
        for n, cell_type in enumerate(source.teacher.cell_types):
            start = perf_counter()
            cell = CellType.of(source, source.rows(cell_type), settings)
            found = Distilled(cell, cell.distil(engine, settings, threads), engine.name)
            seconds = perf_counter() - start
            equation, faithful = (Equation(found.document(place)) for place in found.places)
            equation.save(folder / f"{n}.json")
            faithful.save(other / f"{n}.json")
            tables.append(found.table())
            fitted = peers.fit(cell, beside.baselines, settings.seed)
            predictions.append(found.predictions(equation, faithful, fitted.values))
            sizes += [found.sizes(seconds), fitted.sizes.assign(cell_type=cell_type)]
            shap.append(fitted.shap)
            said = equation if equation.selected else "no equation was selected"
            print(f"{cell_type}{NAMES[source.target]}: {said}")
        if beside.shared and source.target == ABSOLUTE:
            choices = share(source, engine, settings, threads)
            both = [Distilled(cell, choice, engine.name) for cell, choice in choices]
            documents = [found.document(found.choice.chosen) for found in both]
            predictions = write_shared(documents, [cell for cell, _ in choices], predictions, out)
    table = pd.concat(predictions, ignore_index=True)
    for name in stale(beside, source.target):
        remove(out / name)
    EQUATIONS.write(pd.concat(tables, ignore_index=True), out / "equations.parquet")
    PREDICTIONS.write(table, out / "predictions.parquet")
    size = pd.concat(sizes) if beside.seconds else pd.concat(sizes).drop(columns="seconds")
    agreement = metrics(table, source.ceilings, "test", source.target)
    METRICS.write(with_sizes(agreement, size), out / "metrics.parquet")
    if "shap" in beside.baselines:
        SHAP.write(pd.concat(shap), out / "shap.parquet")


def stale(beside: Beside, target: str) -> list[str]:
    """What the folder of a target may have from an earlier run that does not go with this one.

    Specific equations and settings are written later than absolute equations.
    """
    names = [SPECIFIC, SETTINGS]
    if not beside.shared or target != ABSOLUTE:
        names += ["shared", "shared.parquet"]
    return names if "shap" in beside.baselines else [*names, "shap.parquet"]


@dataclass(frozen=True)
class Distilled:
    """What is written of a cell type. choice: among the candidates of the engine of that name."""

    cell: CellType
    choice: Choice
    engine: str

    @property
    def places(self) -> tuple[int, int]:
        """Of the chosen and the faithful member on the front."""
        return self.choice.chosen, self.choice.faithful

    @cached_property
    def training(self) -> Features:
        """The features of its training genes."""
        genes = self.cell.rows.loc[self.cell.split("train"), "gene_id"]
        return self.cell.source.features.of_genes(genes)

    def table(self) -> pd.DataFrame:
        """The front as the table EQUATIONS."""
        return pd.DataFrame(
            {
                "cell_type": self.cell.name,
                "member": i,
                "engine": self.engine,
                "complexity": member.form.complexity,
                "classes": self._n_classes(member.form.variables),
                "infix": infix(with_numbers(member.form, member.constants, 6), 6),
                "fidelity": member.fidelity,
                "oof_mse": member.mse,
                "oof_delta": member.delta,
                "oof_delta_se": member.delta_se,
                "conditioning": member.cancelling,
                "chosen": i == self.choice.chosen,
                "faithful": i == self.choice.faithful,
            }
            for i, member in enumerate(self.choice.members)
        )

    def document(self, place: int) -> dict:
        """A member of the front as an equation, with all that is needed to evaluate it."""
        choice = self.choice
        member, constant = choice.members[place], choice.members[0].mse
        constants = rounded(member, choice.sample) if place else member.constants
        numbers = with_numbers(member.form, constants, 15)
        variables = [
            self._variable(v, member.form, constants)
            for v in self.cell.variables
            if v.name in member.form.variables
        ]
        names = [f"c{i}" for i in range(len(constants))]
        target = choice.sample.target(member.form)
        errors = member.form.standard_errors(constants, choice.sample.x, target)
        return {
            "format": FORMAT,
            "version": VERSION,
            "dataset": self.cell.source.teacher.about["dataset"],
            "cell_type": self.cell.name,
            "selected": choice.selected,
            **about_features(self.training, self.cell.source.teacher.scale, variables),
            "variables": variables,
            "expression": member.form.text,
            "constants": dict(zip(names, constants.tolist(), strict=True)),
            "y": {"transform": "log2(CPM + 1)" + NAMES[self.cell.source.target]},
            "infix": infix(numbers, 12),
            "latex": sympy.latex(numbers),
            "complexity": member.form.complexity,
            "fit": {
                "engine": self.engine,
                "reason": choice.reason,
                "accuracy": choice.accuracy,
                "gain_z": choice.gain_z,
                "teacher_z": choice.teacher_z,
                "gain_kept": choice.kept(place),
                "measured_share": choice.sample.measured_share(member.form),
                "fidelity": member.fidelity,
                "oof_mse": member.mse,
                "oof_r2": 1 - member.mse / constant if constant > 0 else None,
                "conditioning": member.cancelling,
                "standard_errors": dict(zip(names, errors.tolist(), strict=True)),
            },
        }

    def _n_classes(self, names: tuple[str, ...]) -> int:
        """Number of classes that these variables read, each once."""
        columns = self.cell.source.features.columns
        used = [v.weights != 0 for v in self.cell.variables if v.name in names]
        return len(
            {(c.block, c.name) for u in used for c, yes in zip(columns, u, strict=True) if yes}
        )

    def _variable(self, variable: Variable, form: Form, constants: np.ndarray) -> dict:
        """Offset and weights, in units of the scaled columns; range over training genes, and
        direction: 1 where the expression rises with the variable on all of them, -1 where it
        falls, 0 for both."""
        train = self.cell.split("train")
        training = self.cell.x[variable.name][train]
        x = {name: column[train] for name, column in self.cell.x.items()}
        slope = form.slope(variable.name, constants, x)
        columns = self.cell.source.features.columns
        direction = int((slope >= 0).all()) - int((slope <= 0).all())
        return {
            "name": variable.name,
            "class": variable.label,
            "offset": variable.offset,
            "weights": [
                {"block": c.block, "bin": c.bin, "class": c.name, "weight": float(weight)}
                for c, weight in zip(columns, variable.weights, strict=True)
                if weight
            ],
            "range": [training.min(), training.max()],
            "direction": direction,
        }

    def predictions(
        self, equation: Equation, faithful: Equation, baselines: dict[str, np.ndarray]
    ) -> pd.DataFrame:
        """The cell type's rows with equations and baselines."""
        features = self.cell.source.features.of_genes(self.cell.rows["gene_id"])
        found = {"equation": equation.predict(features), "faithful": faithful.predict(features)}
        return self.cell.rows.assign(**found, **baselines)

    def sizes(self, seconds: float) -> pd.DataFrame:
        """Terms of the equations, and how long it took to find both."""
        members = [self.choice.members[place] for place in self.places]
        return pd.DataFrame(
            {
                "cell_type": self.cell.name,
                "model": ["equation", "faithful"],
                "terms": [len(terms(with_numbers(m.form, m.constants, 15))) for m in members],
                "seconds": seconds,
            }
        )
