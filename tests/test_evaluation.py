"""The figures that geneq quotes: Pearson r by cell type, absolute and specific."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from geneq.artifacts import METRICS
from geneq.errors import GeneqError
from geneq.evaluation import bootstrap_interval, gene_blocks, metrics, pool_cv, weighted_r


def predictions(n=120, cell_types=("B", "T", "NK"), seed=7) -> pd.DataFrame:
    """A row a gene and cell type; gene 0 measured in one type only; equation constant in NK."""
    rng = np.random.default_rng(seed)
    base = rng.normal(5, 2, n)
    frames = []
    for cell_type in cell_types:
        truth = base + rng.normal(0, 1, n)
        frame = pd.DataFrame(
            {
                "gene_id": [f"g{i}" for i in range(n)],
                "cell_type": cell_type,
                "fold": (np.arange(n) % 5).astype("int8"),
                "split": np.where(np.arange(n) % 2 == 0, "test", "train"),
                "oracle": "untrained",
                "measured": truth + rng.normal(0, 0.5, n),
                "teacher": truth + rng.normal(0, 0.5, n),
                "equation": truth + rng.normal(0, 1, n) if cell_type != "NK" else 4.2,
                "elastic_net": truth + rng.normal(0, 2, n),
            }
        )
        frames.append(frame if cell_type == "B" else frame.iloc[1:])
    return pd.concat(frames, ignore_index=True)


def figure(table, cell_type, model, kind="absolute", against="expression"):
    at = table.set_index(["cell_type", "model", "kind", "against"])
    return at.loc[(cell_type, model, kind, against)]


def test_absolute_r_is_scipys_on_test_genes_with_its_interval(tmp_path):
    frame = predictions()
    table = metrics(frame, {"B": 0.9}, "test")
    METRICS.write(table, tmp_path / "metrics.parquet")
    rows = frame[(frame["cell_type"] == "B") & (frame["split"] == "test")]
    peer = pearsonr(rows["teacher"], rows["measured"])
    found = figure(table, "B", "teacher")
    assert found["n"] == len(rows) == 60
    assert found["r"] == pytest.approx(peer.statistic, abs=1e-12)
    assert tuple(found[["low", "high"]]) == pytest.approx(tuple(peer.confidence_interval(0.95)))
    assert found["ceiling"] == 0.9
    assert np.isnan(figure(table, "T", "teacher")["ceiling"])
    assert set(table["model"]) == {"equation", "teacher", "elastic_net"}


def test_specific_r_takes_the_genes_mean_over_its_cell_types_away():
    frame = predictions()
    wide = frame[frame["split"] == "test"].pivot(index="gene_id", columns="cell_type")
    assert wide["measured"].loc["g0"].isna().sum() == 2
    wide = wide.drop(index="g0")
    centred = {
        model: wide[model]["T"] - wide[model].mean(axis=1) for model in ("measured", "equation")
    }
    found = figure(metrics(frame, {}, "test"), "T", "equation", "specific")
    assert found["n"] == 59
    assert found["r"] == pytest.approx(np.corrcoef(centred["measured"], centred["equation"])[0, 1])


def test_the_ceiling_of_specific_r_is_what_the_truth_itself_would_reach():
    rng = np.random.default_rng(2)
    n, types = 20_000, ("B", "T", "NK", "DC")
    base, frames, ceilings = rng.normal(5, 2, n), [], {}
    for i, cell_type in enumerate(types):
        truth = base + rng.normal(0, 0.5 + 0.2 * i, n)
        measured = truth + rng.normal(0, 0.4, n)
        ceilings[cell_type] = np.corrcoef(truth, measured)[0, 1]
        frames.append(pd.DataFrame({"gene_id": np.arange(n), "cell_type": cell_type,
                                    "fold": 0, "split": "test", "oracle": "untrained",
                                    "measured": measured, "teacher": truth}))  # fmt: skip
    table = metrics(pd.concat(frames), ceilings, "test")
    for cell_type in types:
        found = figure(table, cell_type, "teacher", "specific")
        assert found["ceiling"] == pytest.approx(found["r"], abs=0.01)
        assert found["ceiling"] < ceilings[cell_type]


def test_without_every_reliability_specific_r_has_no_ceiling():
    found = figure(metrics(predictions(), {"B": 0.9}, "test"), "B", "teacher", "specific")
    assert np.isnan(found["ceiling"])


def test_the_equation_is_also_held_against_the_teacher_where_no_ceiling_applies():
    frame = predictions()
    found = figure(metrics(frame, {"B": 0.9}, "test"), "B", "equation", against="teacher")
    rows = frame[(frame["cell_type"] == "B") & (frame["split"] == "test")]
    assert found["r"] == pytest.approx(rows["equation"].corr(rows["teacher"]))
    assert np.isnan(found["ceiling"])
    without = metrics(frame.drop(columns="teacher"), {}, "test")
    assert set(without["against"]) == {"expression"}


def test_a_constant_prediction_has_no_r_but_keeps_its_n():
    found = figure(metrics(predictions(), {}, "test"), "NK", "equation")
    assert np.isnan(found["r"]) and np.isnan(found["low"]) and found["n"] == 59


def test_a_constant_prediction_is_not_specific_either():
    found = figure(metrics(predictions(), {}, "test"), "NK", "equation", "specific")
    assert np.isnan(found["r"]) and found["n"] == 59


def test_a_constant_of_every_fold_is_no_prediction_in_cross_validation():
    frame = predictions()
    silent = frame["cell_type"] == "NK"
    frame.loc[silent, "equation"] = 4 + 0.1 * frame.loc[silent, "fold"]
    table = metrics(frame, {}, "cv")
    assert np.isnan(figure(table, "NK", "equation")["r"])
    assert np.isfinite(figure(table, "NK", "teacher")["r"])
    assert np.isfinite(figure(table, "T", "equation", "specific")["r"])


def test_one_cell_type_has_no_specific_r():
    assert set(metrics(predictions(cell_types=("B",)), {}, "test")["kind"]) == {"absolute"}


def test_missing_values_are_left_out_and_few_genes_give_no_figure():
    frame = predictions(n=8)
    frame.loc[(frame["cell_type"] == "B") & (frame["gene_id"] == "g2"), "measured"] = np.nan
    frame.loc[(frame["cell_type"] == "B") & (frame["gene_id"] == "g4"), "teacher"] = np.inf
    table = metrics(frame, {}, "test")
    assert figure(table, "B", "elastic_net")["n"] == 3
    assert np.isfinite(figure(table, "B", "elastic_net")["r"])
    assert np.isnan(figure(table, "B", "elastic_net")["low"])
    assert figure(table, "B", "teacher")["n"] == 2
    assert np.isnan(figure(table, "B", "teacher")["r"])


def test_a_cell_type_without_test_genes_is_shown_with_none():
    frame = predictions()
    frame = frame[(frame["cell_type"] != "T") | (frame["split"] == "train")]
    assert figure(metrics(frame, {}, "test"), "T", "teacher")["n"] == 0


def test_cross_validation_pools_the_test_genes_of_every_run():
    frame = predictions()
    runs = [
        frame.assign(split=np.where(frame["fold"] == fold, "test", "train")) for fold in range(5)
    ]
    pooled = pool_cv(runs)
    assert len(pooled) == len(frame)
    assert figure(metrics(pooled, {}, "cv"), "B", "teacher")["n"] == 120


def test_a_gene_tested_in_two_runs_is_refused():
    frame = predictions()
    with pytest.raises(GeneqError, match=r"test gene in only one run of a cross-validation: 'g0'"):
        pool_cv([frame, frame])


def test_runs_with_other_columns_are_refused():
    frame = predictions()
    with pytest.raises(GeneqError, match=r"must have the same columns: .elastic_net.\."):
        pool_cv([frame, frame.drop(columns="elastic_net")])


def test_genes_that_the_oracle_was_not_trained_on_have_figures_of_their_own():
    """The prediction is right where the oracle was trained, and noise elsewhere."""
    frame = predictions()
    held_out = frame["gene_id"].str.slice(1).astype(int) % 3 == 0
    frame["oracle"] = np.where(held_out, "held_out", "trained")
    noise = np.random.default_rng(5).normal(size=len(frame))
    frame["teacher"] = np.where(held_out, noise, frame["measured"])
    table = metrics(frame, {"B": 0.9}, "cv")
    parts = dict(list(table.groupby("split")))
    assert {name: set(part["oracle"]) for name, part in parts.items()} == {
        "cv": {"trained"}, "cv_held_out": {"held_out"},
    }  # fmt: skip
    own = figure(parts["cv_held_out"], "B", "teacher")
    assert own["n"] == 40 and abs(own["r"]) < 0.4 and own["ceiling"] == 0.9
    assert figure(parts["cv"], "B", "teacher")["r"] > 0.5
    alone = metrics(frame[held_out], {"B": 0.9}, "cv")
    assert set(alone["split"]) == {"cv"} and set(alone["oracle"]) == {"held_out"}
    assert figure(alone, "B", "teacher")["r"] == pytest.approx(own["r"])
    unknown = metrics(frame.assign(oracle="unknown"), {}, "test")
    assert set(unknown["split"]) == {"test"} and set(unknown["oracle"]) == {"unknown"}


def genes_every(spacing, n=400, chroms=2):
    """The columns of GENES that blocks depend on: genes at equal distances on some chromosomes."""
    place = np.arange(n)
    return pd.DataFrame({"gene_id": place.astype(str), "chrom": (place % chroms).astype(str),
                         "tss": place // chroms * spacing})  # fmt: skip


@pytest.mark.parametrize(("spacing", "genes"), [(150_000, 7), (50_000, 20), (2_000, 20), (10, 20)])
def test_blocks_are_a_million_bases_or_twenty_genes(spacing, genes):
    sizes = gene_blocks(genes_every(spacing)).value_counts()
    assert abs(sizes.median() - genes) <= 1


def test_blocks_of_promoters_are_successive_genes_of_a_chromosome():
    genes = genes_every(-1, n=40).assign(tss=-1)
    blocks = gene_blocks(genes)
    assert blocks["0"] == blocks["8"] != blocks["10"] and blocks["0"] != blocks["1"]


def test_intervals_over_few_blocks_are_wide_enough():
    """Of a mean of twelve: 90 % of plain percentiles would hold it in 85 %."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(800, 12))
    means = (values @ rng.multinomial(12, np.full(12, 1 / 12), 500).T / 12).T
    low, high = bootstrap_interval(means, 12, 0.9)
    plain = np.quantile(means, [0.05, 0.95], axis=0)
    inside = ((low <= 0) & (high >= 0)).mean()
    assert 0.87 < inside < 0.93
    assert inside > ((plain[0] <= 0) & (plain[1] >= 0)).mean() + 0.02


@pytest.mark.filterwarnings("error")
def test_resamples_that_leave_a_constant_or_nothing_have_no_r():
    """Blocks: ten genes that vary; two with the same x, up to rounding; one gene."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(5, 1, (2, 13))
    x[10:12] = 0.1 + 0.2, 0.3
    code = np.repeat([0, 1, 2], [10, 2, 1])
    weights = np.array([[1, 1, 1], [0, 3, 0], [0, 0, 7], [0, 0, 0], [2, 0, 0]])
    found = weighted_r(x, y, code, weights)
    assert found[0] == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert np.isnan(found[1:4]).all()
    assert found[4] == pytest.approx(np.corrcoef(x[:10], y[:10])[0, 1])
