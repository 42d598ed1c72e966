"""Measured effects of variants beside predicted ones: correlations, and which are higher.

Two methods are compared over the variants that both judge. Their correlations with the same
measured values depend on one another; whether they differ is told by Williams' t (Williams 1959),
with n − 3 degrees of freedom, as Steiger recommends (Psychological Bulletin 87:245, 1980). For
Spearman's it is taken over ranks, which is an approximation.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from ...artifacts import AGREEMENT, COMPARISONS
from ...errors import GeneqError
from ...evaluation import pearson
from ...genome import Genome
from ...mave import named_rows, user_table
from ...vcf import misfits, trimmed

COLUMNS = ("chrom", "pos", "ref", "alt", "value")
# What tells variants from one another, however they are spelled.
PLACE = ["chrom", "start", "ref", "alt"]
# No contig ends behind it.
LAST = 2**40
# How much of a determinant of correlations is rounding.
ROUNDING = 1e-12


# --- the table --------------------------------------------------------------------------------


def read_truth(path: str | Path, genome: Genome) -> pd.DataFrame:
    """The columns of PLACE, start 0-based and symbols that both alleles share left out, and value.

    path: .tsv, .csv (either also .gz) or .parquet with the columns chrom, pos (1-based), ref, alt
    (forward strand; "-" for none) and value, in any case, the first maybe after "#"; others are
    left aside. Rows on contigs that the genome lacks are left out. Raises GeneqError for tables of
    another form, for values that are no finite numbers, for variants that have more than one, and
    where none is on a contig of the genome, or most have another ref than that.
    """
    path = Path(path)
    table = user_table(path, ()).rename(columns=lambda name: str(name).lower().removeprefix("#"))
    if missing := [name for name in COLUMNS if name not in table]:
        raise GeneqError("The table of measured effects lacks columns", value=", ".join(missing),
                         file=path, fix=f"It has {', '.join(table)}")  # fmt: skip
    if twice := [name for name in COLUMNS if list(table).count(name) > 1]:
        raise GeneqError("The table has a column twice", value=", ".join(twice), file=path)
    found = pd.DataFrame(
        {"chrom": table["chrom"].astype(str), "start": _whole(table["pos"], path) - 1}
    )
    for name in ("ref", "alt"):
        found[name] = _bases(table[name], name, path)
    found["value"] = _numbers(table["value"], path)
    found[["start", "ref", "alt"]] = trimmed(found)
    _refuse(found["ref"] == found["alt"], "ref and alt must differ", path)
    _refuse(found.duplicated(PLACE), "A variant has one measured value", path)
    names = {name: genome.contig(name) for name in found["chrom"].unique()}
    known = found.assign(chrom=found["chrom"].map(names)).dropna(subset=["chrom"])
    _check_build(known, genome, path)
    return known


def _check_build(found: pd.DataFrame, genome: Genome, path: Path) -> None:
    """Stop where the table is of another genome, or counts from another place."""
    fix = "pos is 1-based, ref and alt are on the forward strand of this genome, as in the VCF"
    if found.empty:
        raise GeneqError("No measured variant is on a chromosome of the genome", file=path, fix=fix)
    wrong = misfits(found, genome) != ""
    if wrong.sum() > len(found) / 2:
        raise GeneqError(
            "Most measured variants have another ref than the genome has there",
            value=f"{wrong.sum():,} of {len(found):,}",
            file=path,
            fix=fix,
        )


def _whole(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    _refuse(
        ~((numbers % 1 == 0) & numbers.between(1, LAST)), "pos is a whole number from 1 on", path
    )
    return numbers.astype(np.int64)


def _bases(column: pd.Series, name: str, path: Path) -> pd.Series:
    symbols = column.fillna("").astype(str).str.upper().replace("-", "")
    _refuse(~symbols.str.fullmatch("[ACGTN]*"), f"{name} has the symbols ACGTN, or is '-'", path)
    return symbols


def _numbers(column: pd.Series, path: Path) -> np.ndarray:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    _refuse(~np.isfinite(numbers), "value is a finite number", path)
    return numbers


def _refuse(wrong, rule: str, path: Path) -> None:
    if np.any(wrong):
        raise GeneqError(rule, value=named_rows(np.flatnonzero(wrong)), file=path,
                         fix="Mend these rows, or leave them out")  # fmt: skip


# --- agreement --------------------------------------------------------------------------------


def with_truth(effects: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The rows of VARIANTS that were measured and judged, with `value`."""
    places = trimmed(effects.assign(start=effects["pos"] - 1))
    keyed = effects.assign(**{f"_{name}": places[name] for name in places}, _chrom=effects["chrom"])
    renamed = truth.rename(columns={name: f"_{name}" for name in PLACE})
    joined = keyed.merge(renamed, on=[f"_{name}" for name in PLACE], validate="many_to_one")
    return joined.loc[joined["effect"].notna(), [*effects, "value"]]


def agreement(measured: pd.DataFrame) -> pd.DataFrame:
    """The table AGREEMENT of what `with_truth` gives."""
    rows = []
    for key, group in measured.groupby(["locus", "target", "method"], sort=False):
        x, y = group["effect"].to_numpy(), group["value"].to_numpy()
        spearman = pearson(rankdata(x), rankdata(y))[0] if len(x) else np.nan
        rows.append((*key, len(group), *pearson(x, y), spearman))
    return pd.DataFrame(rows, columns=list(AGREEMENT.columns)).astype(AGREEMENT.columns)


def comparisons(measured: pd.DataFrame) -> pd.DataFrame:
    """The table COMPARISONS: every pair of methods over the variants that both judge."""
    rows = []
    for key, group in measured.groupby(["locus", "target"], sort=False):
        methods = list(group["method"].unique())
        index = ["chrom", "pos", "ref", "alt", "value"]
        wide = group.pivot(index=index, columns="method", values="effect")
        for pair in combinations(methods, 2):
            both = wide[list(pair)].dropna()
            y = both.index.get_level_values("value").to_numpy()
            columns = [both[name].to_numpy() for name in pair]
            for kind, seen in (("pearson", np.asarray), ("spearman", rankdata)):
                found = compared(seen(y), *map(seen, columns))
                rows.append((*key, *pair, kind, len(both), *found))
    return pd.DataFrame(rows, columns=list(COMPARISONS.columns)).astype(COMPARISONS.columns)


def compared(
    y: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[float, float, float, float, float]:
    """Correlations of a and of b with y, float64[n], their difference, Williams' t and its
    two-sided p-value; NaN where they are undefined."""
    of_a, of_b, between = (pearson(*pair)[0] for pair in ((a, y), (b, y), (a, b)))
    t, p = williams(of_a, of_b, between, len(y))
    return of_a, of_b, of_a - of_b, t, p


def williams(of_a: float, of_b: float, between: float, n: int) -> tuple[float, float]:
    """Williams' t of two correlations with one variable, and its two-sided p-value.

    between: correlation of the two others. n: of all three. Of methods that say the same, t is 0;
    NaN for n < 4 and where a correlation is undefined.
    """
    if n < 4 or not np.isfinite([of_a, of_b, between]).all():
        return np.nan, np.nan
    if between > 1 - ROUNDING:
        return 0.0, 1.0
    squares = of_a**2 + of_b**2 + between**2
    determinant = max(0.0, 1 - squares + 2 * of_a * of_b * between)
    mean = (of_a + of_b) / 2
    spread = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - between) ** 3
    gap = (of_a - of_b) * np.sqrt((n - 1) * (1 + between))
    t = gap / np.sqrt(spread) if spread > 0 else np.copysign(np.inf, gap) if gap else 0.0
    return float(t), float(2 * student.sf(abs(t), n - 3))
