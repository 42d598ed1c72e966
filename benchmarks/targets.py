"""What distillation can keep: functions fitted to a teacher's predictions, by what these are of.

Reads what `nextflow run main.nf --cv` left in --results for one data set (of which only the
searches must have finished). In every fold and cell type three kinds of function are fitted to
training and validation genes: a weighted sum of all columns (ridge regression), a sum of at most 40
nodes (forward selection, in the variables that `geneq distill` offers), and boosted trees on all
columns, which tell what the predictions leave to any learner. They are fitted to

    measured      expression
    out of fold   the teacher's predictions by models that never saw the gene's fold
    teacher       the teacher's predictions of the genes that it was trained on
    network       the network's, of the same genes
    interpolated  the network's of features between those of two random genes, 4 for each gene
    exchanged     the network's of features in which 0.3 of the classes are those of another gene

Prints Pearson r with measured expression of test genes, mean over folds and cell types, and the
share of the teacher's.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from figures import Figure, machine, write_json
from geneq.distill.cell_type import Settings, Source
from geneq.distill.sums import sums
from geneq.distill.variables import closest, offered
from geneq.equations import Form

SEED = 1
SAMPLES = 4  # for each gene
EXCHANGED = 0.3  # share of the classes
TREES = {"max_iter": 150, "learning_rate": 0.05, "max_leaf_nodes": 16, "min_samples_leaf": 40,
         "early_stopping": False, "random_state": SEED}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True, help="outdir of a run with --cv")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--genome", default="genome", help="its name in the samplesheet")
    parser.add_argument("--cell_types", type=int, help="only the first so many")
    parser.add_argument("--quick", action="store_true", help="one fold and cell type")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    results = Path(args.results)
    features = results / "genomes" / args.genome / "featurize" / "features.zarr"
    searches = sorted((results / "datasets" / args.dataset / "cv").glob("*/search"))
    types = 1 if args.quick else args.cell_types
    rows, searches = [], searches[: 1 if args.quick else None]
    for search in searches:
        source = Source.read(search, features)
        rows += [agreement(source, name) for name in source.teacher.cell_types[:types]]
    table = pd.DataFrame(rows)
    print(machine(("torch", "scikit-learn")))
    print(f"seed {SEED}; {len(searches)} folds, {len(table) // len(searches)} cell types")
    r = table.mean()
    figures = {name: Figure(r[name], "r", r["teacher"], r[name] / r["teacher"]) for name in r.index}
    print(pd.DataFrame({"r": r, "share of the teacher's": r / r["teacher"]}).round(3).to_string())
    if args.json:
        write_json(figures, args.json)


def agreement(source: Source, cell_type: str) -> dict[str, float]:
    """r of the teacher, and of every function fitted to every target, over test genes."""
    rows, settings = source.rows(cell_type), Settings()
    columns = source.columns[source.places(rows["gene_id"])]
    test = (rows["split"] == "test").to_numpy()
    measured, teacher, out_of_fold = (
        rows[name].to_numpy() for name in ("measured", "teacher", "teacher_out_of_fold")
    )
    train = (rows["split"] == "train").to_numpy()
    head = source.teacher.head(cell_type)
    variables = offered(
        source.teacher, columns[train], source.features.columns, out_of_fold[train], head,
        settings.max_variables, settings.programmes, settings.programme_classes, SEED,
    )  # fmt: skip
    known = columns[~test]
    targets = {
        "measured": (known, measured[~test]),
        "out of fold": (known, out_of_fold[~test]),
        "teacher": (known, teacher[~test]),
        "network": (known, network(source, known, head)),
    }
    for name, sampled in samples(source, known).items():
        targets[name] = sampled, network(source, sampled, head)

    def r(predicted: np.ndarray) -> float:
        return float(np.corrcoef(predicted, measured[test])[0, 1])

    found = {"teacher": r(teacher[test])}
    for name, (x, y) in targets.items():
        found[f"weighted sum, {name}"] = r(columns[test] @ closest(x, y))
        values = [{v.name: v.values(some) for v in variables} for some in (x, columns[test])]
        found[f"short sum, {name}"] = r(short_sum(*values, y, settings.max_complexity))
    trees = HistGradientBoostingRegressor(**TREES).fit(*targets["out of fold"])
    found["boosted trees, out of fold"] = r(trees.predict(columns[test]))
    return found


def network(source: Source, columns: np.ndarray, head: int) -> np.ndarray:
    """float64[n]: what a head of the network predicts from float32[n, columns]."""
    teacher = source.teacher
    return teacher.predict_pooled(teacher.pool(columns))[:, head].astype(float)


def samples(source: Source, columns: np.ndarray) -> dict[str, np.ndarray]:
    """Features around those of genes, float32[SAMPLES × genes, columns] each."""
    rng = np.random.default_rng(SEED)
    n = SAMPLES * len(columns)
    one, other = columns[rng.integers(0, len(columns), (2, n))]
    share = rng.uniform(size=(n, 1)).astype(np.float32)
    classes, place = np.unique([f"{c.block} {c.name}" for c in source.features.columns],
                               return_inverse=True)  # fmt: skip
    exchanged = (rng.random((n, len(classes))) < EXCHANGED)[:, place]
    return {
        "interpolated": share * one + (1 - share) * other,
        "exchanged": np.where(exchanged, other, one),
    }


def short_sum(
    x: dict[str, np.ndarray], x_test: dict[str, np.ndarray], y: np.ndarray, most: int
) -> np.ndarray:
    """Predictions of test genes by the longest sum of at most `most` nodes."""
    some = np.random.default_rng(SEED).permutation(len(y))[:1000]
    form = Form.of(sums({name: v[some] for name, v in x.items()}, y[some], most)[-1])
    constants = form.fit(x, y, form.start)
    assert constants is not None, "a sum can be fitted"
    return form.values(constants, x_test, len(next(iter(x_test.values()))))


if __name__ == "__main__":
    main()
