"""How well predictions agree with measured expression: Pearson r with its interval, by cell type.

*Absolute* r is on log2(CPM + 1); *specific* r on log2(CPM + 1) minus the gene's mean over the cell
types in which it is measured (predictions likewise, over the same cell types). Models that were
fitted to specific expression predict that only; their r is of the kind SPECIFIC_MODELS.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri, stdtrit

from . import leakage
from .artifacts import ABSOLUTE, METRICS, SPECIFIC, TARGETS
from .errors import GeneqError

__all__ = [
    "BASELINES", "KINDS", "MODELS", "SPECIFIC_MODELS", "Comparison", "block_weights",
    "bootstrap_interval", "compare", "gene_blocks", "mean_r", "metrics", "not_constant", "pearson",
    "pool_cv", "specific", "specific_ceilings", "weighted_r",
]  # fmt: skip

BASELINES = ("elastic_net", "lasso2", "ridge", "trees", "ebm", "gam")
SPECIFIC_MODELS = "specific_models"
KINDS = (*TARGETS, SPECIFIC_MODELS)
MODELS = ("equation", "faithful", "shared", "teacher", *BASELINES)
Z95 = float(ndtri(0.975))
BOOTSTRAPS = 1000
BLOCK = 1_000_000
# A gene's share of the human genome is 0.2 Mb.
PROMOTERS_A_BLOCK = 5
# In compact genomes, blocks are the share of so many genes.
MOST_GENES_A_BLOCK = 20


def metrics(
    predictions: pd.DataFrame, ceilings: dict[str, float], split: str, target: str = ABSOLUTE
) -> pd.DataFrame:
    """Pearson r of every model by cell type.

    Parameters
    ----------
    predictions : DataFrame
        The table PREDICTIONS with any of the columns MODELS.
    ceilings : dict
        Cell type → square root of the reliability of what was measured; NaN or absent if unknown.
    split : {"test", "cv"}
        "test" uses the rows of that split, "cv" all rows (see `pool_cv`).
    target : {"absolute", "specific"}
        What was measured and predicted.

    Returns
    -------
    DataFrame
        The table METRICS. Rows without a finite measurement are ignored, and for a model those
        without a finite prediction. If a model predicts a constant for a cell type (in
        cross-validation: a constant in every fold), both types of r are NaN. *Specific* rows need
        at least two cell types; they ignore genes measured in one type only, and their ceiling is
        that of `specific_ceilings`. Where an oracle was trained on the chromosomes of some genes
        and not on others, the latter have rows of their own: split "test_held_out" or
        "cv_held_out".
    """
    if split not in ("test", "cv"):
        raise ValueError(f"split is 'test' or 'cv', not {split!r}")
    rows = predictions if split == "cv" else predictions[predictions["split"] == "test"]
    rows = rows[np.isfinite(rows["measured"])]
    models = [model for model in MODELS if model in predictions]
    cell_types = predictions["cell_type"].drop_duplicates()
    kinds: tuple[str, ...] = TARGETS if len(cell_types) > 1 else TARGETS[:1]
    if target == SPECIFIC:
        kinds = (SPECIFIC_MODELS,)
    mute = _constant_predictions(rows, models, ["fold"] if split == "cv" else [])
    bounds = dict.fromkeys(KINDS, ceilings)
    if target == ABSOLUTE:
        bounds[SPECIFIC] = specific_ceilings(predictions, ceilings)
    table = []
    for part, genes in _parts(rows, split).items():
        for kind in kinds:
            values = specific(genes, ["measured", *models]) if kind == SPECIFIC else genes
            groups = dict(list(values.groupby("cell_type", sort=False)))
            for cell_type in cell_types:
                group = groups.get(cell_type, values.iloc[:0])
                ceiling = bounds[kind].get(cell_type, np.nan)
                at = (cell_type, kind, part, leakage.worst(genes["oracle"]))
                table += _agreements(group, models, mute.get(cell_type, []), at, ceiling)
    return pd.DataFrame(table, columns=list(METRICS.columns)).astype(METRICS.columns)


def _parts(rows: pd.DataFrame, split: str) -> dict[str, pd.DataFrame]:
    """Split → rows; those that no oracle was trained on by themselves if they are not all."""
    held_out = rows["oracle"] == leakage.HELD_OUT
    if held_out.all() or not held_out.any():
        return {split: rows}
    return {split: rows, f"{split}_held_out": rows[held_out]}


def specific(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """`rows` (gene_id, cell_type, …) with `columns` minus the gene's mean over the rows' cell
    types; genes with one cell type are ignored."""
    genes = rows.groupby("gene_id", sort=False)
    shared = genes["cell_type"].transform("size") > 1
    centred = rows[columns] - genes[columns].transform("mean")
    return rows.assign(**centred)[shared]


def specific_ceilings(rows: pd.DataFrame, ceilings: dict[str, float]) -> dict[str, float]:
    """Ceilings of specific values from those of absolute ones, over the genes of all cell types.

    rows: gene_id, cell_type, measured. A cell type's noise variance is (1 - reliability) times the
    variance of its values; with noise independent between types, that of a value minus the mean
    over k types is (1 - 1/k)² of its own and 1/k² of each other's. Empty where a type's ceiling
    is unknown; 0 where the noise outweighs the differences between types.
    """
    wide = rows.pivot(index="gene_id", columns="cell_type", values="measured").dropna()
    bounds = np.array([ceilings.get(name, np.nan) for name in wide.columns], float)
    k = wide.shape[1]
    if k < 2 or len(wide) < 3 or not np.isfinite(bounds).all():
        return {}
    noise = (1 - bounds**2) * wide.var().to_numpy()
    noise = (1 - 1 / k) ** 2 * noise + (noise.sum() - noise) / k**2
    spread = wide.sub(wide.mean(axis=1), axis=0).var().to_numpy()
    reliability = 1 - np.divide(noise, spread, out=np.ones(k), where=spread > 0)
    return dict(zip(wide.columns, np.sqrt(np.clip(reliability, 0, 1)).tolist(), strict=True))


def pool_cv(folds: list[pd.DataFrame]) -> pd.DataFrame:
    """The test rows of each fold's run (tables PREDICTIONS, the same columns) as one table.

    Raises GeneqError when a gene is tested in more than one run or the columns differ.
    """
    different = set().union(*folds) - set(folds[0]).intersection(*folds[1:])
    if different:
        raise GeneqError(
            "The runs of a cross-validation must have the same columns",
            value=", ".join(sorted(different)),
            fix="Give folders of `geneq distill` with the same --baselines and --shared",
        )
    tests = [frame[frame["split"] == "test"] for frame in folds]
    pooled = pd.concat(tests, ignore_index=True)
    runs = np.repeat(np.arange(len(tests)), [len(frame) for frame in tests])
    tested_in = pd.Series(runs).groupby(pooled["gene_id"]).nunique()
    if (tested_in > 1).any():
        raise GeneqError(
            "A gene can be a test gene in only one run of a cross-validation",
            value=str(tested_in.index[tested_in > 1][0]),
            fix="Give the runs of the different folds of one data set, each once",
        )
    return pooled


def pearson(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Pearson r of two float[n] with its 95 % interval by Fisher's z: (r, low, high).

    NaN where undefined: a constant (to rounding) x or y, or n < 3; the interval for n < 4.
    """
    if len(x) < 3 or _constant(x) or _constant(y):
        return np.nan, np.nan, np.nan
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    if len(x) < 4:
        return r, np.nan, np.nan
    with np.errstate(divide="ignore"):
        z, half = np.arctanh(r), Z95 / np.sqrt(len(x) - 3)
    return r, float(np.tanh(z - half)), float(np.tanh(z + half))


@dataclass(frozen=True)
class Comparison:
    """Mean r of one model minus that of the best of its peers, with its 95 % interval.

    cell_types: those that the means are over, where the model does not predict a constant.
    """

    model: str
    peer: str
    cell_types: int
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> int:
        """1 better, -1 worse, 0 neither, by the interval."""
        return int(self.low > 0) - int(self.high < 0)


def compare(
    rows: pd.DataFrame, blocks: pd.Series, model: str, peers: tuple[str, ...], seed: int = 1
) -> Comparison | None:
    """A model and the best of its peers on the same genes, by paired bootstrap over blocks.

    Parameters
    ----------
    rows : DataFrame
        Of PREDICTIONS, genes that were not trained on (`pool_cv`, or those of the split "test").
    blocks : Series
        gene_id → block, see `gene_blocks`.
    model : str
        A column of `rows`.
    peers : tuple of str
        Those that are no columns are ignored.
    seed : int

    Returns
    -------
    Comparison or None
        None where the model predicts a constant for all cell types, or there is no peer.
    """
    peers = tuple(peer for peer in peers if peer in rows)
    rows = rows[np.isfinite(rows[["measured", model, *peers]]).all(axis=1)]
    cell_types = not_constant(rows, model)
    if not cell_types or not peers:
        return None
    mean = mean_r(rows, blocks, (model, *peers), cell_types, seed)
    best = max(peers, key=lambda peer: mean[peer][0])
    difference = mean[model] - mean[best]
    low, high = np.nanquantile(difference[1:], [0.025, 0.975])
    return Comparison(model, best, len(cell_types), float(difference[0]), float(low), float(high))


def not_constant(rows: pd.DataFrame, model: str) -> list[str]:
    """The cell types of three or more finite rows where the model does not predict a constant."""
    rows = rows[np.isfinite(rows[["measured", model]]).all(axis=1)]
    groups = rows.groupby("cell_type")
    return [name for name, group in groups if len(group) > 2 and not _constant(group[model])]


def mean_r(
    rows: pd.DataFrame, blocks: pd.Series, models: tuple[str, ...], cell_types: list[str],
    seed: int = 1,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Model → mean r over cell types, then the same of BOOTSTRAPS resamples of blocks, float64.

    Arguments as for `compare`; rows count where all models' predictions are finite.
    """
    rows = rows[np.isfinite(rows[["measured", *models]]).all(axis=1)]
    rows = rows[rows["cell_type"].isin(cell_types)]
    code = pd.Series(pd.factorize(blocks[rows["gene_id"]])[0], rows.index)
    weights = block_weights(code.to_numpy(), BOOTSTRAPS, seed)
    groups = [group for _, group in rows.groupby("cell_type")]
    return {
        name: np.mean([_r(group, name, code, weights) for group in groups], axis=0)
        for name in models
    }


def _r(group: pd.DataFrame, model: str, code: pd.Series, weights: np.ndarray) -> np.ndarray:
    """Pearson r under every row of block weights; 0 for a constant prediction."""
    x, y = group[model].to_numpy(float), group["measured"].to_numpy(float)
    if _constant(x):
        return np.zeros(len(weights))
    return weighted_r(x, y, code[group.index].to_numpy(), weights)


def gene_blocks(genes: pd.DataFrame) -> pd.Series:
    """gene_id → block of neighbouring genes, from the table GENES.

    1 Mb of a chromosome, or in compact genomes the share of MOST_GENES_A_BLOCK genes; for
    promoters, whose file has no positions, successive genes of one.
    """
    if (genes["tss"] < 0).all():
        number = genes.groupby("chrom").cumcount() // PROMOTERS_A_BLOCK
    else:
        tss = genes.groupby("chrom")["tss"]
        share = (tss.max() - tss.min()).sum() / len(genes)
        number = genes["tss"] // max(1, min(BLOCK, int(MOST_GENES_A_BLOCK * share)))
    return pd.Series(genes["chrom"] + ":" + number.astype(str)).set_axis(genes["gene_id"])


def block_weights(code: np.ndarray, bootstraps: int, seed: int) -> np.ndarray:
    """How often each block counts, [1 + bootstraps, blocks]: once, then as resampled.

    code: the block of every gene, int[genes] from 0.
    """
    n = code.max() + 1
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), bootstraps)
    return np.vstack([np.ones(n), drawn])


def bootstrap_interval(values: np.ndarray, blocks: int, level: float) -> np.ndarray:
    """Interval from bootstrap replicates over that many blocks: low and high, float64[2, …].

    values: float64[bootstraps, …]. Expanded percentiles (Hesterberg, Am. Stat. 69:371, 2015):
    those of Student's t in place of the normal distribution, widened by √(n / (n - 1)), since
    plain percentiles of few blocks are too narrow.
    """
    tail = (1 - level) / 2
    tail = ndtr(np.sqrt(blocks / (blocks - 1)) * stdtrit(blocks - 1, tail))
    return np.quantile(values, [tail, 1 - tail], axis=0)


def weighted_r(x, y, code, weights) -> np.ndarray:
    """Pearson r under every row of block weights, from the blocks' moments; NaN where a row leaves
    a constant, or nothing."""
    moments = [np.ones_like(x), x, y, x * x, y * y, x * y]
    n, sx, sy, sxx, syy, sxy = (
        weights @ np.bincount(code, m, minlength=weights.shape[1]) for m in moments
    )
    covariance, x2, y2 = n * sxy - sx * sy, n * sxx - sx**2, n * syy - sy**2
    varies = (x2 > 1e-12 * n * sxx) & (y2 > 1e-12 * n * syy)
    spread = np.sqrt(np.where(varies, x2 * y2, np.nan))
    return covariance / spread


def _constant(x: np.ndarray) -> bool:
    x = x[np.isfinite(x)]
    return not len(x) or bool(np.ptp(x) <= 1e-9 * max(1.0, np.abs(x).max()))


def _constant_predictions(rows: pd.DataFrame, models: list[str], within: list[str]) -> dict:
    """Cell type → models that predict one value for all its rows (of each group of `within`)."""
    groups = rows.groupby(["cell_type", *within])[models]
    flat = groups.agg(lambda x: _constant(x.to_numpy(float))).groupby("cell_type").all()
    return {cell_type: [m for m in models if row[m]] for cell_type, row in flat.iterrows()}


def _agreements(
    group: pd.DataFrame, models: list[str], silent: list[str], at: tuple, ceiling: float
) -> list[tuple]:
    """Rows of METRICS for one cell type and kind (`at`: cell type, kind, split, oracle)."""
    cell_type, kind, split, oracle = at
    pairs = [(model, "expression") for model in models]
    if {"equation", "teacher"} <= set(models):
        pairs.append(("equation", "teacher"))
    rows = []
    for model, against in pairs:
        target = "measured" if against == "expression" else against
        x, y = group[model].to_numpy(float), group[target].to_numpy(float)
        known = np.isfinite(x) & np.isfinite(y)
        mute = {model, target} & set(silent)
        r = (np.nan,) * 3 if mute else pearson(x[known], y[known])
        bound = ceiling if against == "expression" else np.nan
        rows.append((cell_type, model, against, kind, split, oracle, int(known.sum()), *r, bound))
    return rows
