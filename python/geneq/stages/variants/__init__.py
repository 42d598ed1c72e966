"""Effects of the variants of a VCF on the scores of loci, by surrogate and by other methods.

--surrogates is the folder that `geneq surrogate --scores` wrote. OUT/variants.parquet has a row for
every variant × target × method; substitutions are judged by every method, others by the oracle
alone. --truth TABLE (chrom, pos, ref, alt, value) adds how well each method agrees with measured
effects, and tests of which agrees better.
"""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from ...artifacts import AGREEMENT, COMPARISONS, VARIANTS, write_json
from ...errors import GeneqError
from ...genome import Genome
from ...locus import NAME, Locus, Scoring, find_folders, keep_apart, report, run_each
from ...oracles import Oracle, load_oracle
from ...oracles.network import PRECISIONS
from ...oracles.reductions import COMPONENT
from ...surrogates import Surrogate
from ...tally import Tally
from ...vcf import leave_out, lengths, read_vcf, trimmed
from .effects import METHODS, NO_COMPONENT, Answer, Case, alternatives, wild_type
from .truth import agreement, comparisons, read_truth, with_truth

OUTSIDE, ACROSS = "outside_every_locus", "across_an_end_of_a_locus"
SURROGATE = "surrogate"


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq variants`."""
    parser.add_argument("--vcf", type=Path, required=True, help="variants (plain, gzip or bgzip)")
    parser.add_argument("--genome", type=Path, required=True, help="folder that geneq genes wrote")
    parser.add_argument("--surrogates", type=Path, required=True, help="of <locus>/locus.json")
    parser.add_argument("--oracle", help="KIND:WHAT (default: this and the next as in locus.json)")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=list(METHODS),
        help="by which effects are told (all)",
    )
    parser.add_argument("--reduce", help="profiles to scores, as of geneq score (not pc1)")
    parser.add_argument("--precision", choices=PRECISIONS, help="what a network computes in")
    parser.add_argument(
        "--reverse_complement",
        action="store_true",
        default=None,
        help="mean of the scores of both strands",
    )
    parser.add_argument(
        "--truth", type=Path, help="measured effects: chrom, pos, ref, alt, value (.tsv, .csv, …)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")


def run(args: Namespace) -> None:
    """Write the tables; say what was written, what was left out, and which loci failed."""
    if args.reduce == COMPONENT:
        raise GeneqError(
            "A principal component is that of a library, and tells nothing of variants",
            value=args.reduce,
            fix="Score loci with another reduction of profiles",
        )
    keep_apart(args.out, args.surrogates)
    genome = Genome(args.genome)
    names = [path.name for path in find_folders(args.surrogates, NAME)]
    if not names:
        raise GeneqError(
            "There are no loci", file=args.surrogates, fix=f"Give a folder of <locus>/{NAME}"
        )
    truth = read_truth(args.truth, genome) if args.truth else None
    variants = read_vcf(args.vcf, genome, args.threads)
    inside, found = Inside(variants.table), {}
    scoring = Scoring(args.oracle, args.reduce, args.precision, args.reverse_complement)

    def make(name: str) -> None:
        folder = args.surrogates / name
        # The folder may have been copied or given another name: that is what tells loci apart.
        locus = replace(Locus.load(folder).scored_as(scoring).on(genome), locus=name)
        here = variants.table[inside.of(locus)]
        if len(here):
            found[name] = judged(here, locus, folder, genome, args)

    failed = run_each(names, "variants", make, args.out)
    effects = pd.concat([_empty(), *found.values()], ignore_index=True)
    VARIANTS.write(effects, args.out / "variants.parquet")
    about = {
        "variants": len(variants.table),
        "inside": int(inside.anywhere.sum()),
        "loci": len(names),
        "failed": failed,
        "skipped": {**variants.skipped, **inside.left_out(variants.table)},
    }
    if truth is not None:
        about["truth"] = _write_agreement(effects, truth, args.out)
    write_json(about, args.out / "variants.json")
    _say(about, args.out)


# --- which variants ---------------------------------------------------------------------------


class Inside:
    """Which variants lie wholly in which locus; symbols that both alleles share do not count.

    anywhere, across: bool[n], wholly in some locus; across an end of one.
    """

    def __init__(self, table: pd.DataFrame):
        short = trimmed(table)
        self.chrom, self.names = pd.factorize(table["chrom"])
        self.start = short["start"].to_numpy(np.int64)
        self.end = self.start + lengths(short["ref"])
        self.anywhere, self.across = np.zeros((2, len(table)), bool)

    def of(self, locus: Locus) -> np.ndarray:
        """bool[n]: wholly in the locus. An insertion has symbols of the locus on both sides."""
        here = self.chrom == self.names.get_indexer([locus.chrom])[0]
        inserted = self.start == self.end
        inside = here & (self.start >= locus.start + inserted) & (self.end <= locus.end - inserted)
        touches = here & (self.start < locus.end) & (self.end > locus.start)
        self.anywhere |= inside
        self.across |= touches & ~inside
        return inside

    def left_out(self, table: pd.DataFrame) -> dict[str, dict]:
        """Variants of no locus that was asked for: {reason: {"n", "examples"}}."""
        tally, reason = Tally(), np.where(self.across, ACROSS, OUTSIDE)
        leave_out(table, np.where(self.anywhere, "", reason), tally)
        return tally.as_dict()


# --- one locus --------------------------------------------------------------------------------


def judged(
    table: pd.DataFrame, locus: Locus, folder: Path, genome: Genome, args: Namespace
) -> pd.DataFrame:
    """The table VARIANTS of the variants in `table`, all of them wholly in the locus."""
    surrogate = Surrogate.load(folder) if SURROGATE in args.methods else None
    oracle = None
    if set(args.methods) - {SURROGATE}:
        oracle = _oracle(locus.oracle, locus.precision)
    tss = getattr(oracle, "tss", None)
    case = Case(
        locus,
        wild_type(locus, genome, surrogate),
        *alternatives(locus, genome, table, tss, args.threads),
        _targets(locus, oracle, surrogate),
        oracle,
        surrogate,
        locus.reduce,
        locus.reverse_complement,
    )
    return _rows(table, case, {name: _answer(name, case) for name in args.methods})


def _answer(method: str, case: Case) -> Answer:
    if case.reduce == COMPONENT and method != SURROGATE:
        return Answer.of(case, np.nan, np.zeros(len(case.tokens), bool), NO_COMPONENT)
    return METHODS[method](case)


@cache
def _oracle(spec: str, precision: str) -> Oracle:
    return load_oracle(spec, precision=precision)


def _targets(locus: Locus, oracle: Oracle | None, surrogate: Surrogate | None) -> list[str]:
    known = list(surrogate.targets if surrogate is not None else oracle.targets)
    if locus.target not in (None, *known):
        raise GeneqError(
            "The surrogate, or the oracle, has no such target",
            value=locus.target,
            fix=f"It has {', '.join(known)}",
        )
    return known if locus.target is None else [locus.target]


def _rows(table: pd.DataFrame, case: Case, answers: dict[str, Answer]) -> pd.DataFrame:
    """Variants × targets × methods."""
    shape = (len(table), len(case.targets), len(answers))
    each_one = table.loc[table.index.repeat(shape[1] * shape[2])]
    columns = each_one[["chrom", "pos", "id", "ref", "alt"]].reset_index(drop=True)
    note = np.stack([answer.note for answer in answers.values()], axis=1)[:, None]
    return columns.assign(
        locus=case.locus.locus,
        target=np.tile(np.repeat(case.targets, shape[2]), shape[0]),
        method=np.tile(list(answers), shape[0] * shape[1]),
        effect=np.stack([answer.effect for answer in answers.values()], axis=2).ravel(),
        error=np.stack([answer.error for answer in answers.values()], axis=2).ravel(),
        note=np.broadcast_to(note, shape).ravel(),
    )


def _empty() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in VARIANTS.columns.items()})


# --- all of them ------------------------------------------------------------------------------


def _write_agreement(effects: pd.DataFrame, truth: pd.DataFrame, out: Path) -> dict:
    """Write what is known of agreement with measured effects; what was measured, and used."""
    measured = with_truth(effects, truth)
    AGREEMENT.write(agreement(measured), out / "truth.parquet")
    COMPARISONS.write(comparisons(measured), out / "comparisons.parquet")
    used = measured[["chrom", "pos", "ref", "alt"]].drop_duplicates()
    return {"measured": len(truth), "judged": len(used)}


def _say(about: dict, out: Path) -> None:
    print(f"{out}: {about['inside']:,} of {about['variants']:,} variants in {about['loci']:,} loci")
    for reason, found in about["skipped"].items():
        print(f"left out: {found['n']:,} {reason} (as {found['examples'][0]})")
    if "truth" in about:
        counts = about["truth"]
        print(f"{counts['judged']:,} of {counts['measured']:,} measured variants were judged")
    report(about["failed"], about["loci"], out)
