"""Twelve planted equations through pseudobulk, search and distillation, at three levels of noise.

40 classes of correlated scores (`geneq features import`), of which an equation has 3 to 10: sums,
products, saturation, ratios, gates. Each is the expression of one cell type: its variance is the
level (1, 0.7 or 0.5) of that of log2 expression, the rest is noise of the gene; 1,000 cells are
drawn. Three more cell types have noise only. Of the genes on test chromosomes: r of the equation
with measured expression over that of the truth (1: all that can be predicted), and which classes
are in it. Peers on the same genes: symbolic regression of measured expression without a teacher,
from all classes, selected by the same rule; the member of the same front that PySR's rule `best`
takes; the degree-2 lasso. Half an hour on one core.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from figures import Figure, Figures, print_table, write_json
from geneq import cli
from geneq.distill.cell_type import CellType, Settings, Source
from geneq.distill.engines import Operon
from geneq.distill.selection import Choice, Member, Sample, choose
from geneq.stages.distill.baselines import degree_two_lasso

CLASSES, GROUPS, CORRELATED = 40, 8, 0.5  # the last: of the classes of a group
GENES, CELLS, DEPTH, DISPERSION = 4000, 1000, 2500, 0.3
SIGNAL_SD = 1.6  # log2 units
SILENT = ("silent 1", "silent 2", "silent 3")
LEVELS = (1.0, 0.7, 0.5)
# PySR 1.5, `choose_from_front` with model_selection="best": losses up to this times the smallest.
BEST_WITHIN = 1.5

Values = np.ndarray
# name → number of classes, and the equation of their standardised scores, each float64[n].
EQUATIONS: dict[str, tuple[int, Callable[..., Values]]] = {
    "sum of 3": (3, lambda a, b, c: a + 0.8 * b - 0.7 * c),
    "sum of 6": (6, lambda *u: np.dot((1, -0.9, 0.8, 0.7, -0.7, 0.6), u)),
    "sum of 10": (10, lambda *u: sum((-1) ** i * (1 - 0.04 * i) * v for i, v in enumerate(u))),
    "product": (3, lambda a, b, c: a * b + 0.8 * c),
    "products": (5, lambda a, b, c, d, e: a * b + 0.9 * c * d + 0.8 * e),
    "product and sum": (6, lambda a, b, c, d, e, f: a + b - 0.8 * c + 0.7 * d + 0.8 * e * f),
    "saturation": (3, lambda a, b, c: 1.5 * np.tanh(1.5 * a) + 0.8 * b - 0.8 * c),
    "saturations": (
        4, lambda a, b, c, d: np.tanh(1.5 * a) - np.tanh(1.2 * b + 0.5) + 0.6 * c + 0.6 * d
    ),
    "ratio": (3, lambda a, b, c: 3 * (1 + 0.3 * a) / (2 + np.tanh(b)) + 0.7 * c),
    "ratio and sum": (5, lambda a, b, c, d, e: 2 * a / (2.5 + np.tanh(b)) + 0.7 * (c - d + e)),
    "gate": (4, lambda a, b, c, d: a * (1 + np.tanh(2 * b)) / 2 + 0.7 * c + 0.6 * d),
    "gates": (
        6,
        lambda a, b, c, d, e, f: (
            a * (1 + np.tanh(2 * b)) / 2 + c * (1 - np.tanh(2 * d)) / 2 + 0.6 * e - 0.6 * f
        ),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=float, nargs="+", default=LEVELS)
    parser.add_argument("--trials", default="8", help="of the search")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="1,200 genes, four types, one level")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    names, genes, levels, trials = [*EQUATIONS, *SILENT], GENES, args.levels, args.trials
    if args.quick:
        names, genes, levels, trials = names[::4], 1200, [0.7], "1"
    tables = []
    for level in levels:
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder), names, genes, level, args.seed)
            tables.append(world.searched(trials).assign(level=level))
            print(f"seed {args.seed}, level {level}\n{tables[-1].round(3).to_string()}", flush=True)
    figures = summarised(pd.concat(tables))
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


class World:
    """Genes with scores, planted expression and cells, in files.

    scores: float64[genes, classes]; used: name of the equation → its classes; truth: float64[genes,
    equations], log2 units.
    """

    def __init__(self, folder: Path, names: list[str], genes: int, level: float, seed: int):
        rng = np.random.default_rng(seed)
        self.folder, self.names, self.seed = folder, names, seed
        self.ids = np.array([f"g{i}" for i in range(genes)])
        shared = rng.normal(size=(genes, GROUPS))[:, np.arange(CLASSES) % GROUPS]
        alone = rng.normal(size=(genes, CLASSES))
        self.scores = np.sqrt(CORRELATED) * shared + np.sqrt(1 - CORRELATED) * alone
        self.used: dict[str, np.ndarray] = {}
        self.truth = np.zeros((genes, len(names)))
        noise = SIGNAL_SD * rng.normal(size=self.truth.shape)
        for i, name in enumerate(names):
            if name in EQUATIONS:
                n, equation = EQUATIONS[name]
                self.used[name] = rng.choice(CLASSES, n, replace=False)
                values = equation(*self.scores[:, self.used[name]].T)
                self.truth[:, i] = SIGNAL_SD * (values - values.mean()) / values.std()
                noise[:, i] *= np.sqrt(1 / level - 1)
        self._write_promoters(rng)
        self._write_scores()
        self._write_cells(self.truth + noise, rng)

    def _write_promoters(self, rng: np.random.Generator) -> None:
        dna = rng.choice(list("ACGT"), size=(len(self.ids), 60))
        lines = [
            f">P{i}_1 gene_id={gene} gene_name={gene} chrom=chr{i % 22 + 1}\n{''.join(bases)}\n"
            for i, (gene, bases) in enumerate(zip(self.ids, dna, strict=True))
        ]
        (self.folder / "promoters.fa").write_text("".join(lines))

    def _write_scores(self) -> None:
        columns = [f"K{c}" for c in range(CLASSES)]
        table = pd.DataFrame(self.scores, self.ids, columns).rename_axis("gene_id")
        table.to_csv(self.folder / "scores.tsv", sep="\t")

    def _write_cells(self, level: np.ndarray, rng: np.random.Generator) -> None:
        counts = []
        for rate in 2.0**level.T:
            depth = DEPTH * np.exp(rng.normal(0, 0.4, CELLS))
            mean = depth[:, None] * rate / rate.sum()
            scatter = rng.gamma(1 / DISPERSION, DISPERSION, mean.shape)
            counts.append(sparse.csr_matrix(rng.poisson(mean * scatter).astype(np.float32)))
        labels = pd.Categorical(np.repeat(self.names, CELLS))
        obs = pd.DataFrame({"cell_type": labels}, [f"cell{i}" for i in range(len(labels))])
        data = anndata.AnnData(sparse.vstack(counts, "csr"), obs, pd.DataFrame(index=self.ids))
        data.write_h5ad(self.folder / "cells.h5ad")

    def searched(self, trials: str) -> pd.DataFrame:
        """One row a cell type: whether an equation was selected; where one was planted, shares of
        the r that can be had, precision, recall, complexity."""
        at = self.folder
        genome, table = at / "genome", at / "genome" / "genes.parquet"
        features, search = at / "features.zarr", at / "search"
        geneq("genes", "--genome", "planted", "--promoters", at / "promoters.fa", "--out", genome)
        geneq("features", "import", at / "scores.tsv", "--untrained", "--genome_dir", genome,
              "--out", features)  # fmt: skip
        geneq("pseudobulk", "--h5ad", at / "cells.h5ad", "--dataset", "planted",
              "--cell_type_key", "cell_type", "--genes", table, "--out", at / "expression",
              "--threads", 1)  # fmt: skip
        geneq("search", "--features", features, "--expression", at / "expression", "--genes",
              table, "--trials", trials, "--seed", self.seed, "--out", search,
              "--threads", 1)  # fmt: skip
        source = Source.read(search, features)
        rows = {name: self._judged(name, source) for name in self.names}
        return pd.DataFrame(rows).T

    def _judged(self, name: str, source: Source) -> dict[str, float]:
        settings = Settings(seed=self.seed)
        cell = CellType.of(source, source.rows(name), settings)
        choice = cell.distil(Operon(), settings, 1)
        if name not in self.used:
            return {"selected": choice.selected}
        test, measured = cell.split("test"), cell.rows["measured"].to_numpy()
        place = pd.Series(np.arange(len(self.ids)), self.ids)[cell.rows["gene_id"]].to_numpy()
        reachable = agreement(self.truth[place, self.names.index(name)], measured, test)
        member = choice.members[choice.chosen]
        found = {
            "geneq": evaluated(member, cell.x, len(test)),
            "teacher": cell.rows["teacher"].to_numpy(),
            "best rule": evaluated(best_rule(choice), cell.x, len(test)),
            "straight": self._straight(place, measured, cell, settings),
            "lasso2": self._lasso(place, measured, cell),
        }
        shares = {key: agreement(values, measured, test) / reachable
                  for key, values in found.items()}  # fmt: skip
        planted = {f"K{c}" for c in self.used[name]}
        written = {
            column.name
            for variable in cell.variables
            if variable.name in member.form.variables
            for column, weight in zip(source.features.columns, variable.weights, strict=True)
            if weight
        }
        right = len(planted & written)
        return shares | {
            "selected": choice.selected,
            "precision": right / len(written) if written else 1.0,
            "recall": right / len(planted),
            "complexity": member.form.complexity,
        }

    def _straight(
        self, place: np.ndarray, measured: np.ndarray, cell: CellType, settings: Settings
    ) -> np.ndarray:
        """Predictions of symbolic regression of measured expression from all classes."""
        known, x = cell.split("train", "valid"), as_columns(self.scores[place])
        train, y = cell.split("train"), measured
        front = Operon().front(
            np.column_stack([column[train] for column in x.values()]), y[train], list(x),
            settings.sr_generations, settings.seed, 1,
        )  # fmt: skip
        sample = Sample(
            {key: column[known] for key, column in x.items()}, y[known], y[known],
            cell.rows["fold"].to_numpy()[known], train[known], most=settings.max_complexity,
        )  # fmt: skip
        choice = choose(front, sample)
        return evaluated(choice.members[choice.chosen], x, len(y))

    def _lasso(self, place: np.ndarray, measured: np.ndarray, cell: CellType) -> np.ndarray:
        known, x = cell.split("train", "valid"), self.scores[place]
        fold = cell.rows["fold"].to_numpy()[known]
        return degree_two_lasso(x[known], measured[known], fold, self.seed).predict(x)


def as_columns(scores: np.ndarray) -> dict[str, np.ndarray]:
    return {f"K{c}": scores[:, c] for c in range(CLASSES)}


def geneq(*words) -> None:
    if cli.main([str(word) for word in words]):
        raise SystemExit(f"geneq {words[0]} failed")


def evaluated(member: Member, x: dict[str, np.ndarray], n: int) -> np.ndarray:
    return member.form.values(member.constants, x, n)


def agreement(predicted: np.ndarray, measured: np.ndarray, rows: np.ndarray) -> float:
    """Pearson r over some rows; 0 for a constant."""
    if predicted[rows].std() < 1e-9:
        return 0.0
    return float(np.corrcoef(predicted[rows], measured[rows])[0, 1])


def best_rule(choice: Choice) -> Member:
    """The member that PySR's rule `best` takes of the front, its losses against the teacher.

    Of the members with a loss of at most BEST_WITHIN times the smallest, the one before which the
    logarithm of the loss falls most steeply with complexity.
    """
    members = sorted(choice.members[1:], key=lambda member: member.form.complexity)
    if not members:
        return choice.members[0]
    loss = np.array([1.0, *(max(1 - member.fidelity, 1e-12) for member in members)])
    size = np.array([1, *(member.form.complexity for member in members)])
    score = -np.diff(np.log(loss)) / np.maximum(np.diff(size), 1)
    allowed = loss[1:] <= BEST_WITHIN * loss[1:].min()
    return members[int(np.argmax(np.where(allowed, score, -np.inf)))]


def summarised(table: pd.DataFrame) -> Figures:
    """Shares of the r that can be had, beside those without a teacher; classes at level 0.7; types
    without signal that have no equation."""
    mean = table[["geneq", "teacher", "best rule", "straight", "lasso2"]].astype(float).mean()
    ours, found = float(mean["geneq"]), {}
    unit = "of the r that can be had, mean"
    found["planted_ratio"] = Figure(ours, unit, None, ours, 0.97)
    for peer in ("straight", "best rule", "lasso2", "teacher"):
        value = float(mean[peer])
        floor = 1.0 if peer == "straight" else None
        found[f"beside {peer}"] = Figure(ours, unit, value, ours / value, floor)
    silent = table["geneq"].isna()
    without = 1 - float(table.loc[silent, "selected"].astype(float).mean())
    found["silent"] = Figure(without, "of types without signal, no equation", None, without, 1.0)
    table = table[~silent]
    middle = table[table["level"] == 0.7] if (table["level"] == 0.7).any() else table
    for name, floor in (("precision", 0.95), ("recall", 0.9)):
        value = float(middle[name].astype(float).mean())
        found[f"planted_{name}"] = Figure(value, "of classes, level 0.7", None, value, floor)
    return found


if __name__ == "__main__":
    main()
