"""Effects of the variants of a VCF: on the scores of loci, or on the expression of genes.

With --surrogates, on scores of loci, by surrogate and by other methods.
--surrogates is a folder written by `geneq surrogate --scores`. OUT/variants.parquet has a row
for every variant × target × method; all methods have effects of substitutions, only the oracle has
those of insertions and deletions.

With --equations, on expression: OUT/expression_effects.parquet has a row for every variant × gene
in whose window it is × cell type × method (equation and, with --search, teacher), and
OUT/annotated.vcf.gz the largest of them for each gene, OUT/largest_effects.parquet the largest for
each cell type.

--truth TABLE (chrom, pos, ref, alt, value) adds how well each method agrees with measured effects,
and tests which method agrees better.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
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
from ...oracles.base import check_build
from ...oracles.blocks import NamedOracles
from ...oracles.network import PRECISIONS
from ...oracles.reductions import COMPONENT
from ...oracles.windows import MAX_WINDOWS, add_equation_options, check_library, named_by
from ...surrogates import Surrogate
from ...tally import Tally, print_counts
from ...vcf import leave_out, lengths, normalised, read_vcf
from . import expression
from .effects import METHODS, NO_COMPONENT, Answer, Case, alternatives, wild_type
from .pairs import completely_in
from .placed import PlacedScores
from .truth import (
    agreement,
    comparisons,
    in_vcf,
    print_truth,
    read_truth,
    with_effect,
    with_truth,
)

__all__ = ["add_arguments", "effects_of", "run"]

OUTSIDE, ACROSS = "outside_every_locus", "across_an_end_of_a_locus"
SURROGATE = "surrogate"


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq variants`."""
    parser.add_argument("--vcf", type=Path, required=True, help="variants (plain, gzip or bgzip)")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument(
        "--genome", type=Path, required=True, help="folder written by `geneq genes`"
    )
    parser.add_argument(
        "--truth",
        type=Path,
        help="measured effects: chrom, pos, ref, alt, value (.tsv, .csv, .parquet); with "
        "--equations also gene and cell_type, if it has them",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--surrogates", type=Path, help="folder of <locus>/locus.json")
    what.add_argument("--equations", type=Path, help="folder written by `geneq distill`")
    genes = parser.add_argument_group("options of --equations")
    genes.add_argument("--features", type=Path, help="features.zarr of the genome (needed)")
    genes.add_argument(
        "--search", type=Path, help="folder written by `geneq search`: effects by the teacher too"
    )
    genes.add_argument(
        "--background",
        type=Path,
        help="folder written by `geneq background`: adds percentiles of effects",
    )
    add_equation_options(parser)
    loci = parser.add_argument_group("options of --surrogates")
    loci.add_argument(
        "--oracle", help="TYPE:WHAT (default: this and the following options as in locus.json)"
    )
    loci.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        help="methods that predict effects (default: all)",
    )
    loci.add_argument(
        "--reduce", help="how profiles are reduced to scores, as in geneq score (not pc1)"
    )
    loci.add_argument("--precision", choices=PRECISIONS, help="precision of a network")
    loci.add_argument(
        "--reverse_complement",
        action="store_true",
        default=None,
        help="average the scores of both strands",
    )


# Options that apply to one kind of models only.
OF_EQUATIONS = ("features", "search", "background")
OF_SURROGATES = ("oracle", "methods", "reduce", "precision", "reverse_complement")


def _check_options(args: Namespace) -> None:
    idle, models = (OF_SURROGATES, "surrogates") if args.equations else (OF_EQUATIONS, "equations")
    given = [f"--{name}" for name in idle if getattr(args, name) is not None]
    if given:
        raise GeneqError(f"{', '.join(given)} can only be used with --{models}")
    if args.equations and args.features is None:
        raise GeneqError("--equations needs --features, which the equations were made from")


def run(args: Namespace) -> None:
    """Write the tables; print what was written, what was skipped, and which loci failed."""
    _check_options(args)
    if args.equations:
        expression.run(args)
        return
    if args.reduce == COMPONENT:
        raise GeneqError(
            "--reduce pc1 is relative to a library and cannot be applied to single variants",
            fix="Re-score the loci with another --reduce",
        )
    keep_apart(args.out, args.surrogates)
    genome = Genome(args.genome)
    names = [path.name for path in find_folders(args.surrogates, NAME)]
    if not names:
        raise GeneqError(
            "No loci found", file=args.surrogates, fix=f"Give a folder of <locus>/{NAME}"
        )
    truth = read_truth(args.truth, genome) if args.truth else None
    variants = read_vcf(args.vcf, genome, args.threads)
    if truth is not None:
        truth = in_vcf(truth, variants.table, genome)
    inside, found = Inside(variants.table, genome, args.threads), {}
    methods = args.methods or list(METHODS)
    scoring = Scoring(args.oracle, args.reduce, args.precision, args.reverse_complement)
    opener = Opener(named_by(args), args.max_windows)

    def make(name: str) -> None:
        folder = args.surrogates / name
        # The folder may have been copied or renamed: its name identifies the locus.
        locus = replace(Locus.load(folder).scored_as(scoring).on(genome), locus=name)
        here = variants.table[inside.of(locus)]
        if len(here):
            found[name] = effects_of(here, locus, folder, genome, methods, args.threads, opener)

    failed = run_each(names, "variants", make, args.out)
    effects = pd.concat([_empty(), *found.values()], ignore_index=True)
    VARIANTS.write(effects, args.out / "variants.parquet")
    about = {
        "variants": len(variants.table),
        "inside": int((inside.reasons == "").sum()),
        "loci": len(names),
        "failed": failed,
        "skipped": {**variants.skipped, **inside.skipped(variants.table)},
    }
    if truth is not None:
        truth = with_effect(truth, variants.table, effects, inside.reasons)
        _write_agreement(with_truth(effects, truth, variants.table), args.out)
        about["truth"] = truth.as_dict()
    write_json(about, args.out / "variants.json")
    _print_summary(about, args.out)


# --- which variants ---------------------------------------------------------------------------


class Inside:
    """Which variants are completely in which locus, in their normal form.

    reasons: object[n], why a variant is in none of the loci that were asked for, "" where it is.
    """

    def __init__(self, table: pd.DataFrame, genome: Genome, threads: int = 1):
        normal = normalised(table, genome, threads)
        self.chrom, self.names = pd.factorize(table["chrom"])
        self.start = normal["start"].to_numpy(np.int64)
        self.end = self.start + lengths(normal["ref"])
        self.reasons = np.full(len(table), OUTSIDE, dtype=object)

    def of(self, locus: Locus) -> np.ndarray:
        """bool[n]: completely in the locus."""
        here = self.chrom == self.names.get_indexer([locus.chrom])[0]
        inside = here & completely_in(self.start, self.end, locus.start, locus.end)
        touches = here & (self.start < locus.end) & (self.end > locus.start)
        self.reasons[touches & (self.reasons != "")] = ACROSS
        self.reasons[inside] = ""
        return inside

    def skipped(self, table: pd.DataFrame) -> dict[str, dict]:
        """Variants in no locus that was asked for: {reason: {"n", "examples"}}."""
        tally = Tally()
        leave_out(table, self.reasons, tally)
        return tally.as_dict()


# --- one locus --------------------------------------------------------------------------------


def effects_of(
    table: pd.DataFrame,
    locus: Locus,
    folder: Path,
    genome: Genome,
    methods: Sequence[str] = tuple(METHODS),
    threads: int = 1,
    opener: "Opener | None" = None,
) -> pd.DataFrame:
    """Predict the effects of variants in one locus.

    Parameters
    ----------
    table : pd.DataFrame
        Rows of `geneq.vcf.Variants.table`, all of them completely in the locus.
    locus : Locus
        The locus, with its oracle and how it is scored.
    folder : Path
        Where its surrogate is.
    genome : Genome
        The genome of the locus and of the variants.
    methods : sequence of str
        Keys of `METHODS`.
    threads : int
        Threads of the extension.
    opener : Opener, optional
        Opens the oracle; without it, equations may not depend on deep models.

    Returns
    -------
    pd.DataFrame
        The table `artifacts.VARIANTS`: variants × targets × methods.

    Raises
    ------
    GeneqError
        The surrogate was fitted to a sequence that differs from the genome, the target is unknown,
        or an equation needs more windows of deep models than allowed.
    """
    opener = opener or Opener(NamedOracles())
    surrogate = Surrogate.load(folder) if SURROGATE in methods else None
    oracle = None
    if set(methods) - {SURROGATE}:
        oracle = opener.oracle(locus.oracle, locus.precision)
        check_build(oracle, genome)
    tss = oracle.tss if oracle else None
    targets, normal = _targets(locus, oracle, surrogate), normalised(table, genome, threads)
    case = Case(
        locus,
        wild_type(locus, genome, surrogate),
        *alternatives(locus, genome, normal, tss, threads),
        targets,
        normal,
        oracle,
        _placed(locus, oracle, targets, genome, threads),
        surrogate,
        locus.reduce,
        locus.reverse_complement,
    )
    if oracle is not None:
        check_library(oracle, case.sequences(), opener.max_windows, 1 + locus.reverse_complement)
    return _rows(table, case, {name: _answer(name, case) for name in methods})


def _placed(
    locus: Locus, oracle: Oracle | None, targets: list[str], genome: Genome, threads: int
) -> PlacedScores | None:
    """For oracles that score a variant in a window of its own."""
    if oracle is None or oracle.variant is None or oracle.variant_index is None or locus.reduce:
        return None
    return PlacedScores(oracle, targets, genome, locus.chrom, threads)


def _answer(method: str, case: Case) -> Answer:
    if case.reduce == COMPONENT and method != SURROGATE:
        return Answer.of(case, np.nan, np.zeros(len(case.tokens), bool), NO_COMPONENT)
    return METHODS[method](case)


class Opener:
    """Opens the oracles of loci, each once.

    Parameters
    ----------
    named : NamedOracles
        Models that the features of equations were made with.
    max_windows : int
        How many windows these may read for a locus.
    """

    def __init__(self, named: NamedOracles, max_windows: int = MAX_WINDOWS):
        self.max_windows = max_windows

        @cache
        def oracle(spec: str, precision: str) -> Oracle:
            found = load_oracle(spec, precision=precision, named=named)
            print(found.summary())
            return found

        self.oracle = oracle


def _targets(locus: Locus, oracle: Oracle | None, surrogate: Surrogate | None) -> list[str]:
    model = surrogate if surrogate is not None else oracle
    assert model is not None  # each method needs one of them
    known = list(model.targets)
    if locus.target not in (None, *known):
        raise GeneqError(
            "The surrogate or the oracle has no such target",
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


def _write_agreement(measured: pd.DataFrame, out: Path) -> None:
    """Write how well the methods agree with measured effects."""
    AGREEMENT.write(agreement(measured), out / "agreement.parquet")
    COMPARISONS.write(comparisons(measured), out / "comparisons.parquet")


def _print_summary(about: dict, out: Path) -> None:
    print(f"{out}: {about['inside']:,} of {about['variants']:,} variants in {about['loci']:,} loci")
    print_counts("skipped", about["skipped"])
    if "truth" in about:
        print_truth(about["truth"])
    report(about["failed"], about["loci"], out)
