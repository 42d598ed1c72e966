"""Measured and predicted effects of variants: correlations, and which are higher.

Every row of the table of measured effects is either matched with a variant or counted under the
reason why not. Correlations are given over the variants of each method, and over those that all
methods have. Two methods are compared over the variants that both have. Their correlations with the
same measured values are dependent; whether they differ is tested by Williams' t (Williams 1959),
with n − 3 degrees of freedom, as Steiger recommends (Psychological Bulletin 87:245, 1980). For
Spearman's it is computed from ranks, which is an approximation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from ...artifacts import AGREEMENT, COMPARISONS, Table
from ...errors import GeneqError
from ...evaluation import pearson
from ...genome import Genome
from ...mave import named_rows, user_table
from ...tally import Tally, print_counts
from ...vcf import IUPAC, KEY, MALFORMED, SAME, keyed, leave_out, misfits

__all__ = [
    "CELL_TYPE", "GENE", "Truth", "agreement", "comparisons", "in_vcf", "marked", "print_truth",
    "read_truth", "williams",
]  # fmt: skip

# Names that tables use for the columns that are needed, all in lower case.
NAMES = {
    "chrom": ("chrom", "chromosome", "chr"),
    "pos": ("pos", "position"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternate", "alternative"),
    "value": ("value",),
}
# Of columns that a table may have, too; of several the first is used.
GENE, CELL_TYPE = "gene", "cell_type"
OPTIONAL = {GENE: ("gene_id", "gene", "gene_name"), CELL_TYPE: ("cell_type", "celltype")}
VARIANT = ["chrom", "pos", "ref", "alt"]
# What rows of the table agree in that spell a variant alike.
SPELLING = ["chrom", "start", "ref", "alt"]
# No contig is longer.
LAST = 2**40
# How much of a determinant of correlations is rounding.
ROUNDING = 1e-12
# How many experiments an error lists.
LISTED = 6
# Why a row of the table is not matched, besides the reasons of `vcf.Variants`.
NO_POSITION, NO_VALUE, NOT_IN_VCF = "no_position", "no_value", "not_in_vcf"
SEVERAL, NO_EFFECT, FAILED = "several_values", "no_effect", "locus_failed"


# --- the table --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """A table of measured effects.

    Attributes
    ----------
    table : pd.DataFrame
        The rows that can still be matched: row (of the file, from 0), chrom (as the genome spells
        it), pos (1-based), start (0-based), ref, alt ("" for none), value, and `keys`; once matched
        also variant, the place in the table of the VCF's variants.
    others : pd.DataFrame
        The other columns of the file, all of its rows.
    skipped : Tally
        Counts the rows that were not matched, by reason.
    path : Path
        The file.
    keys : tuple of str
        Which of GENE and CELL_TYPE the file has: a value is that of a variant in them. "" is none.
    """

    table: pd.DataFrame
    others: pd.DataFrame
    skipped: Tally
    path: Path
    keys: tuple[str, ...] = ()

    def only(self, reasons: np.ndarray) -> "Truth":
        """The rows without a reason to skip them; the others are counted."""
        return replace(self, table=leave_out(self.table, reasons, self.skipped, "row"))

    def as_dict(self) -> dict:
        """How many rows the file has, how many are matched, and why the others are not.

        averaged: rows among the matched ones that share their variant with another row.
        """
        return {
            "measured": len(self.others),
            "matched": len(self.table),
            "averaged": int(self.table.duplicated(["variant", *self.keys], keep=False).sum()),
            "skipped": self.skipped.as_dict(),
        }


def read_truth(path: str | Path, genome: Genome, optional: Sequence[str] = ()) -> Truth:
    """Read a table of measured effects.

    Parameters
    ----------
    path : str or Path
        .tsv, .csv (either also .gz) or .parquet with the columns chrom (or chromosome, chr), pos
        (or position; 1-based), ref (reference), alt (alternate, alternative; forward strand, "-"
        or empty for none) and value, in any case; "#" may precede the first name.
    genome : Genome
        The genome that pos and ref are checked against.
    optional : sequence of str
        Which of GENE (gene_id, gene or gene_name) and CELL_TYPE (cell_type or celltype) are read if
        the table has them.

    Returns
    -------
    Truth
        Rows without a position or a value, rows with alleles that are not bases, and rows that do
        not fit the genome are skipped and counted.

    Raises
    ------
    GeneqError
        A column is missing or repeated, a pos is not a whole number, a value is not a finite
        number, most alleles are not bases, no row is on a contig of the genome, or most rows have
        another ref than the genome.
    """
    path = Path(path)
    table, others = _split(user_table(path, None), path, optional)
    keys = tuple(name for name in optional if name in table)
    found = pd.DataFrame({"row": np.arange(len(table)), "chrom": _text(table["chrom"])})
    found["pos"] = _positions(table["pos"], path)
    for name in ("ref", "alt"):
        found[name] = _text(table[name]).fillna("").str.upper().replace("-", "").astype(object)
    for name in keys:
        found[name] = _text(table[name]).fillna("").astype(object)
    found["value"] = _values(table["value"], path)
    truth = Truth(found, others, Tally(), path, keys).only(_incomplete(found))
    truth = truth.only(_not_bases(truth.table, path))
    starts = truth.table["pos"].astype(np.int64) - 1
    return _fitting(replace(truth, table=truth.table.assign(start=starts)), genome)


def _split(
    table: pd.DataFrame, path: Path, optional: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The columns that are needed and `optional`, under their names here, and the others."""
    known = {other: name for name, others in NAMES.items() for other in others}
    plain = [str(name).strip().lower().removeprefix("#") for name in table]
    for name in optional:
        found = [other for other in OPTIONAL[name] if other in plain]
        known |= dict.fromkeys(found[:1], name)
    names = np.array([known.get(name, "") for name in plain], dtype=object)
    others = table.loc[:, names == ""]
    if missing := [name for name in NAMES if name not in names]:
        raise GeneqError("The table of measured effects lacks columns", value=", ".join(missing),
                         file=path, fix=_candidates(missing, table, others))  # fmt: skip
    if twice := [name for name in (*NAMES, *optional) if (names == name).sum() > 1]:
        raise GeneqError("The table has duplicate columns", value=", ".join(twice), file=path)
    return table.loc[:, names != ""].set_axis(names[names != ""], axis=1), others


def _candidates(missing: list[str], table: pd.DataFrame, others: pd.DataFrame) -> str:
    """What to do about missing columns."""
    numeric = [str(name) for name in others if _is_numeric(others[name])]
    if missing == ["value"] and numeric:
        return f"Name the column with the measured effects 'value': {' or '.join(numeric)}"
    return f"It has {', '.join(map(str, table))}"


def _is_numeric(column: pd.Series) -> bool:
    """Is every entry that is not empty a number, and is there one?"""
    given = _text(column).notna()
    return bool(given.any() and np.isfinite(_numbers(column)[given]).all())


def _text(column: pd.Series) -> pd.Series:
    """Text without spaces around it, NA where it is empty."""
    # Integers with missing values are floats in pandas, and would become "1.0".
    return column.convert_dtypes().astype("string").str.strip().replace("", pd.NA)


def _numbers(column: pd.Series) -> np.ndarray:
    """float64[row], NaN for anything but a number."""
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _positions(column: pd.Series, path: Path) -> pd.Series:
    numbers = pd.Series(_numbers(column))
    good = (numbers % 1 == 0) & numbers.between(1, LAST)
    _refuse(_text(column).notna() & ~good, "pos must be a whole number of at least 1", path)
    return numbers.astype("Int64")


def _values(column: pd.Series, path: Path) -> np.ndarray:
    numbers = _numbers(column)
    _refuse(_text(column).notna() & ~np.isfinite(numbers), "value must be a finite number", path)
    return numbers


def _refuse(wrong: pd.Series, rule: str, path: Path) -> None:
    if wrong.any():
        raise GeneqError(rule, value=named_rows(np.flatnonzero(wrong)), file=path,
                         fix="Fix or remove these rows")  # fmt: skip


def _incomplete(table: pd.DataFrame) -> np.ndarray:
    nowhere = table["chrom"].isna() | table["pos"].isna()
    return np.select([nowhere, table["value"].isna()], [NO_POSITION, NO_VALUE], "").astype(object)


def _not_bases(table: pd.DataFrame, path: Path) -> np.ndarray:
    """Why alleles are skipped. Raises GeneqError when most are not bases."""
    both = table["ref"] + table["alt"]
    malformed = ~both.str.fullmatch("[ACGTNRYSWKMBDHV]*").to_numpy(bool)
    if malformed.sum() > len(table) / 2:
        raise GeneqError("ref and alt must be bases (ACGTN), or '-' for none",
                         value=named_rows(table["row"].to_numpy()[malformed]), file=path,
                         fix="Fix or remove these rows")  # fmt: skip
    codes = ~both.str.fullmatch("[ACGTN]*").to_numpy(bool)
    same = (table["ref"] == table["alt"]).to_numpy()
    return np.select([malformed, codes, same], [MALFORMED, IUPAC, SAME], "").astype(object)


def _fitting(truth: Truth, genome: Genome) -> Truth:
    """The rows that fit the genome. Raises GeneqError for tables of another genome or origin."""
    fix = "pos is 1-based, ref and alt are on the forward strand of this genome, as in a VCF"
    names = {name: genome.contig(name) for name in truth.table["chrom"].unique()}
    chroms = truth.table["chrom"].map(names).astype(object)
    if not any(names.values()):
        raise GeneqError("No measured variant is on a chromosome of the genome", file=truth.path,
                         fix=fix)  # fmt: skip
    truth = truth.only(np.where(chroms.isna(), "contig_absent", ""))
    truth = replace(truth, table=truth.table.assign(chrom=chroms.dropna()))
    reasons = misfits(truth.table, genome)
    if (reasons != "").sum() > len(truth.table) / 2:
        raise GeneqError(
            "The ref of most measured variants differs from the genome",
            value=f"{(reasons != '').sum():,} of {len(truth.table):,}",
            file=truth.path,
            fix=fix,
        )
    return truth.only(reasons)


# --- matching ---------------------------------------------------------------------------------


def in_vcf(truth: Truth, variants: pd.DataFrame, genome: Genome) -> Truth:
    """The rows that measure a variant of the VCF.

    Parameters
    ----------
    truth : Truth
        As `read_truth` returns it.
    variants : pd.DataFrame
        `vcf.Variants.table`. Variants are compared in their normal form.
    genome : Genome
        Of both.

    Returns
    -------
    Truth
        Of equal rows the first is kept; variants that the table has in one spelling with several
        values are skipped. Rows that spell the same edit in different ways, as tables of deletions
        do for every base of a homopolymer, measured the same molecule: each gets their mean.

    Raises
    ------
    GeneqError
        Another column distinguishes several experiments that measured the same variants.
    """
    known = keyed(variants, genome)[KEY].assign(variant=np.arange(len(variants)))
    place = keyed(truth.table, genome)[KEY].merge(known, on=KEY, how="left")["variant"]
    truth = replace(truth, table=truth.table.assign(variant=place.to_numpy()))
    truth = truth.only(np.where(place.isna(), NOT_IN_VCF, ""))
    truth = replace(truth, table=truth.table.astype({"variant": np.int64}))
    _check_experiments(truth)
    spelling = [*SPELLING, *truth.keys]
    truth = truth.only(marked(truth.table.duplicated([*spelling, "value"]), "duplicated"))
    truth = truth.only(marked(truth.table.duplicated(spelling, keep=False), SEVERAL))
    means = truth.table.groupby(["variant", *truth.keys])["value"].transform("mean")
    return replace(truth, table=truth.table.assign(value=means))


def marked(rows: pd.Series | np.ndarray, reason: str) -> np.ndarray:
    """object[n]: `reason` where `rows` is true, else ""."""
    return np.where(rows, reason, "").astype(object)


def _check_experiments(truth: Truth) -> None:
    """Raise GeneqError where a column distinguishes several values of the same variants."""
    variants = truth.table.groupby([*SPELLING, *truth.keys], sort=False)
    several = variants["value"].transform("nunique") > 1
    groups = variants.ngroup()[several]
    labels = _labels(truth.others.iloc[truth.table["row"][several]], groups)
    if labels is None:
        return
    names = sorted(labels.unique())
    raise GeneqError(
        "The table has several experiments: a variant has a value in each",
        value=f"column {labels.name}: {', '.join(names[:LISTED])}{', …' * (len(names) > LISTED)}",
        file=truth.path,
        fix=f"Keep the rows of one, for example those with {names[0]} in the column {labels.name}",
    )


def _labels(others: pd.DataFrame, groups: pd.Series) -> pd.Series | None:
    """The column that names experiments: it differs within each of `groups` and recurs in others.

    others: columns of the rows that are in groups of one variant with several values. Of several
    such columns, the one with the fewest values; None where there is none.
    """
    found, single = [], groups.nunique() == 1
    for name in others if len(groups) else ():
        labels = _text(others[name]).fillna("").rename(str(name))
        # Of a single variant, measurements differ as labels do.
        usable = not _is_numeric(others[name]) if single else labels.nunique() < len(labels)
        pairs = pd.DataFrame({"group": groups.to_numpy(), "label": labels.to_numpy()})
        if usable and not pairs.duplicated().any():
            found.append(labels)
    return min(found, key=lambda labels: labels.nunique(), default=None)


def with_effect(
    truth: Truth, variants: pd.DataFrame, effects: pd.DataFrame, outside: np.ndarray
) -> Truth:
    """The rows whose variant has an effect by some method.

    outside: object[variant], why a variant is in no locus, "" where it is in one.
    """
    counts = effects.groupby(VARIANT)["effect"].count()
    measured = variants.iloc[truth.table["variant"]]
    n = counts.reindex(pd.MultiIndex.from_frame(measured[VARIANT])).to_numpy(float)
    where = outside[truth.table["variant"]]
    reasons = np.where(where != "", where, FAILED)
    return truth.only(np.select([n > 0, n == 0], ["", NO_EFFECT], reasons).astype(object))


def with_truth(effects: pd.DataFrame, truth: Truth, variants: pd.DataFrame) -> pd.DataFrame:
    """The rows of VARIANTS that have an effect and were measured, with `value`."""
    table = truth.table.drop_duplicates("variant")
    measured = variants.iloc[table["variant"]][VARIANT].assign(value=table["value"].to_numpy())
    joined = effects.merge(measured, on=VARIANT, validate="many_to_one")
    return joined.loc[joined["effect"].notna(), [*effects, "value"]]


# --- agreement --------------------------------------------------------------------------------


def agreement(
    measured: pd.DataFrame, table: Table = AGREEMENT, unit: Sequence[str] = VARIANT
) -> pd.DataFrame:
    """How well each method agrees with measured effects.

    Parameters
    ----------
    measured : pd.DataFrame
        Rows with an effect and a value, as `with_truth` returns them: the columns of `unit`,
        method, effect, value, and those within which methods are compared.
    table : Table
        What is returned. Its key is the columns within which methods are compared, and method.
    unit : sequence of str
        Columns that identify what was measured.
    """
    rows, unit = [], list(unit)
    for key, group in measured.groupby(list(table.key[:-1]), sort=False):
        methods = group.groupby("method", sort=False)
        common = group.groupby(unit)["method"].transform("size") == methods.ngroups
        for method, own in methods:
            rows.append((*key, method, *_correlations(own), *_correlations(own[common[own.index]])))
    return pd.DataFrame(rows, columns=list(table.columns)).astype(table.columns)


def _correlations(rows: pd.DataFrame) -> tuple[int, float, float, float, float]:
    """n, Pearson's r with its 95 % interval, and Spearman's of effect and value."""
    x, y = rows["effect"].to_numpy(), rows["value"].to_numpy()
    spearman = pearson(rankdata(x), rankdata(y))[0] if len(x) else np.nan
    return len(rows), *pearson(x, y), spearman


def comparisons(
    measured: pd.DataFrame, table: Table = COMPARISONS, unit: Sequence[str] = VARIANT
) -> pd.DataFrame:
    """Every pair of methods over what both have; see `agreement`. The last columns of the key are
    method_1, method_2 and kind."""
    rows = []
    for key, group in measured.groupby(list(table.key[:-3]), sort=False):
        methods = list(group["method"].unique())
        wide = group.pivot(index=[*unit, "value"], columns="method", values="effect")
        for pair in combinations(methods, 2):
            both = wide[list(pair)].dropna()
            y = both.index.get_level_values("value").to_numpy()
            columns = [both[name].to_numpy() for name in pair]
            for kind, seen in (("pearson", np.asarray), ("spearman", rankdata)):
                found = compared(seen(y), *map(seen, columns))
                rows.append((*key, *pair, kind, len(both), *found))
    return pd.DataFrame(rows, columns=list(table.columns)).astype(table.columns)


def print_truth(about: dict) -> None:
    """Print what `Truth.as_dict` counts."""
    print(f"measured effects: {about['matched']:,} of {about['measured']:,} rows matched")
    if about["averaged"]:
        print(f"averaged: {about['averaged']:,} rows with another spelling of the same edit")
    print_counts("not matched", about["skipped"])


def compared(
    y: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[float, float, float, float, float]:
    """Correlations of a and of b with y, float64[n], their difference, Williams' t and its
    two-sided p-value; NaN where undefined."""
    of_a, of_b, between = (pearson(*pair)[0] for pair in ((a, y), (b, y), (a, b)))
    t, p = williams(of_a, of_b, between, len(y))
    return of_a, of_b, of_a - of_b, t, p


def williams(of_a: float, of_b: float, between: float, n: int) -> tuple[float, float]:
    """Test whether two dependent correlations differ.

    Parameters
    ----------
    of_a, of_b : float
        Correlations of a and of b with the same variable y.
    between : float
        Correlation of a with b.
    n : int
        Number of observations.

    Returns
    -------
    tuple of float
        Williams' t and its two-sided p-value; (0, 1) where a and b are perfectly correlated, NaN
        for n < 4 and where a correlation is undefined.

    References
    ----------
    Williams, Journal of the Royal Statistical Society B 21:396 (1959); Steiger, Psychological
    Bulletin 87:245 (1980).
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
