"""Fit surrogates to libraries with scores, and write the effects of symbols, pairs and motifs.

--mave is mave.parquet of `geneq score`, or a user-supplied table (.tsv, .csv, .parquet) with the
columns sequence, y (or y:NAME for several targets) and, where known, sigma. OUT gets surrogate.npz
and surrogate.json, which geneq.surrogates.Surrogate.load reads; effects.parquet, pairs.parquet (if
the map has pairs), elements.parquet (with --elements: interactions summed over parts of the
sequence), surrogate_metrics.parquet and latent.parquet (of rows that were not fitted); and figures.
Positions are 0-based, ends excluded.

For a factorial design, levels.parquet, level_pairs.parquet and spacings.parquet (effects of motifs,
of pairs of them, and of two by their spacing) take the place of effects and pairs.

--scores fits a surrogate to the scores of every locus: FOLDER/<locus>/mave.parquet, as `geneq score
--loci` or --experiments writes them, gives OUT/<locus>/, with a copy of locus.json (or of
experiment.json) and without figures: `geneq loci_report` shows all loci on one page. Loci that fail
are listed in OUT/failed.tsv and do not stop the others.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..artifacts import atomic_path
from ..checks import parse_two_windows, parse_window
from ..errors import GeneqError, in_file
from ..libraries import FactorialLibrary
from ..locus import (
    ROW_FILES,
    Experiment,
    Locus,
    find_folders,
    keep_apart,
    read_row,
    report,
    run_each,
)
from ..mave import Mave, user_table
from ..plots.files import write_svg
from ..plots.surrogates import figures
from ..surrogates import Settings, Surrogate, gauges, levels, maps, noise, nonlinearity, tables
from ..surrogates.epistasis import Element, check_elements, read_elements
from ..surrogates.settings import MOTIFS, SYMBOLS
from ..surrogates.tables import TABLES, default_gauge

# Options that are fields of Settings.
FIELDS = ("map", "window", "between", "distance", "order", "nonlinearity", "noise", "noise_order",
          "noise_shape_order", "strength", "replicates", "seed")  # fmt: skip
# Those that a row of a sheet may have.
ROW_FIELDS = ("map", "noise_shape_order", "replicates")
FIGURES = "figures"
# All that may be written for a locus.
FILES = ("surrogate.npz", "surrogate.json", FIGURES, *(f"{name}.parquet" for name in TABLES),
         *ROW_FILES)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """How surrogates are fitted, and which of their effects are written.

    targets: None for all. gauge: None for the default of the library. probabilities: table of a
    custom gauge. elements: text of --elements.
    """

    settings: Settings
    targets: tuple[str, ...] | None = None
    gauge: str | None = None
    probabilities: Path | None = None
    elements: str | None = None
    threads: int = 1


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq surrogate`."""
    scores = parser.add_mutually_exclusive_group(required=True)
    scores.add_argument("--mave", type=Path, help="library with scores")
    scores.add_argument("--scores", type=Path, help="folder of <locus>/mave.parquet")
    parser.add_argument(
        "--alphabet", default="dna", help="alphabet of a user-supplied table (default: dna)"
    )
    parser.add_argument("--wild_type", help="wild type of that table (default: the consensus)")
    parser.add_argument("--target", nargs="+", help="targets to fit (default: all)")
    parser.add_argument(
        "--map",
        choices=sorted(maps.KINDS),
        help="terms of the latent phenotype (default: additive; factorial designs: pairwise; with "
        "--scores: as in the sheet)",
    )
    parser.add_argument(
        "--window", type=parse_window, help="START-END: window of the positions in interactions"
    )
    parser.add_argument(
        "--between",
        type=parse_two_windows,
        help="START-END,START-END: pairs with one position in each window",
    )
    parser.add_argument("--distance", type=int, help="largest distance of two positions of a pair")
    parser.add_argument(
        "--elements",
        help="NAME:START-END,… or a table of name, start, end: sum interactions over these parts",
    )
    parser.add_argument("--order", type=int, help="largest number of positions, of --map order")
    _choice(parser, "--nonlinearity", nonlinearity.KINDS, "from latent phenotype to scores")
    _choice(parser, "--noise", noise.KINDS, "noise model of the scores")
    parser.add_argument(
        "--noise_order",
        type=int,
        help="order of the polynomial of the log scale of the noise "
        "(default: 2; factorial designs: 0)",
    )
    parser.add_argument(
        "--noise_shape_order",
        type=int,
        help="order of the polynomials of the log shape parameters of skewed_t and student_t "
        "(default: 0)",
    )
    gauge = parser.add_mutually_exclusive_group()
    gauge.add_argument(
        "--gauge",
        choices=sorted(gauges.NAMES),
        help="gauge of the effects (default: empirical; factorial designs: wild_type)",
    )
    gauge.add_argument(
        "--probabilities",
        type=Path,
        help="custom gauge: a table (.tsv, .csv, .parquet) with a column for each symbol, a row "
        "for each position",
    )
    parser.add_argument(
        "--strength",
        type=float,
        help="precision of the prior (default: chosen on validation rows; factorial designs: 0)",
    )
    parser.add_argument(
        "--replicates",
        type=int,
        help="resampled fits for standard errors, 0 for none (default: 100)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the split of rows (default: 1)"
    )
    parser.add_argument("--out", type=Path, required=True, help="output folder")


def _choice(parser: ArgumentParser, name: str, choices, what: str) -> None:
    symbols, motifs = (defaults[name.strip("-")] for defaults in (SYMBOLS, MOTIFS))
    parser.add_argument(
        name,
        choices=sorted(choices),
        help=f"{what} (default: {symbols}; factorial designs: {motifs})",
    )


def run(args: Namespace) -> None:
    """Fit, and write the surrogates, their tables and figures."""
    options = Options(
        Settings(**{name: getattr(args, name) for name in FIELDS}),
        None if args.target is None else tuple(dict.fromkeys(args.target)),
        args.gauge,
        args.probabilities,
        args.elements,
        args.threads,
    )
    if args.mave:
        fit_one(Mave.open(args.mave, args.alphabet, args.wild_type), options, args.out, True)
    else:
        fit_all(args.scores, options, args.out)


def fit_all(scores: Path, options: Options, out: Path) -> None:
    """Fit a surrogate to the scores of every locus in `scores`."""
    keep_apart(out, scores)
    found = {folder.name: folder for folder in find_folders(scores, "mave.parquet")}
    if not found:
        raise GeneqError("No folder in it has a mave.parquet", file=scores,
                         fix="Give the folder that `geneq score --loci` wrote")  # fmt: skip

    def make(name: str) -> None:
        row = read_row(found[name])
        mave = Mave.load(found[name] / "mave.parquet")
        settings = options.settings if row is None else with_row(options.settings, row)
        fit_one(mave, replace(options, settings=settings), out / name)
        if row:
            row.save(out / name)

    report(run_each(found, "surrogate", make, out, FILES), len(found), out)


def with_row(settings: Settings, row: Locus | Experiment) -> Settings:
    """The settings with those of a row of a sheet that are not given."""
    given = {name: getattr(row, name) for name in ROW_FIELDS if getattr(settings, name) is None}
    if given.get("map") and isinstance(row, Locus) and settings.window is None:
        takes = {field.name for field in fields(maps.KINDS[row.map])}
        given["window"] = row.window if "window" in takes else None
    return replace(settings, **given)


def fit_one(mave: Mave, options: Options, out: Path, with_figures: bool = False) -> None:
    """Fit a surrogate to a MAVE; write it, its tables and, if asked for, figures to `out`."""
    mave = mave.of_targets(options.targets)
    elements = chosen_elements(options, mave)
    gauge = chosen_gauge(options, mave)
    surrogate = options.settings.fit(mave, options.threads)
    found = tables(surrogate, mave, gauge, elements, options.threads)
    surrogate.save(out)
    write_tables(found, out)
    if with_figures:
        write_figures(surrogate, found, gauge, elements, out / FIGURES)
    metrics = found["surrogate_metrics"]
    rows = (found["latent"]["target"] == surrogate.targets[0]).sum()
    for row in metrics[metrics["metric"] == "r2"].itertuples():
        print(f"{row.target}: r² {row.value:.3f} on {rows:,} rows that were not fitted")


def chosen_elements(options: Options, mave: Mave) -> list[Element]:
    """Those of --elements, checked."""
    if options.elements is None:
        return []
    is_design = isinstance(mave.library, FactorialLibrary)
    if is_design or options.settings.map in (None, "additive"):
        raise GeneqError("--elements needs a map with pairs, and a mutated sequence",
                         fix="Add --map pairwise")  # fmt: skip
    return check_elements(read_elements(options.elements), mave.length)


def chosen_gauge(options: Options, mave: Mave) -> str | np.ndarray:
    """That of --gauge or --probabilities, or the default."""
    if options.probabilities is not None:
        return custom_gauge(options.probabilities, mave)
    return options.gauge or default_gauge(mave)


def custom_gauge(path: Path, mave: Mave) -> np.ndarray:
    """The probabilities float64[length, symbols] in a user-supplied table."""
    if isinstance(mave.library, FactorialLibrary):
        raise GeneqError("--probabilities needs a mutated sequence", fix="Use --gauge")
    table, symbols = user_table(path, ()), levels.names(mave.alphabet)[0]
    if missing := [symbol for symbol in symbols if symbol not in table]:
        raise GeneqError("The table of probabilities lacks columns", value=", ".join(missing),
                         file=path, fix=f"It has {', '.join(map(str, table))}")  # fmt: skip
    with in_file(path):
        values = table[list(symbols)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        nowhere = np.zeros((mave.length, len(symbols)))
        return gauges.probabilities(values, mave.wild_type, len(symbols), nowhere)


def write_tables(found: dict[str, pd.DataFrame], out: Path) -> None:
    """Write the tables; those of an earlier fit that this one does not have are removed."""
    for name, table in TABLES.items():
        path = out / f"{name}.parquet"
        if name in found:
            table.write(found[name], path)
        else:
            path.unlink(missing_ok=True)


def write_figures(
    surrogate: Surrogate,
    found: dict[str, pd.DataFrame],
    gauge: str | np.ndarray,
    elements: Sequence[Element],
    folder: Path,
) -> None:
    """<number of the target>_<what>.svg: names of targets need not be valid file names."""
    symbols = () if "levels" in found else levels.names(surrogate.alphabet)[0]
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        for number, target in enumerate(surrogate.targets):
            for what, drawing in figures(surrogate, number, found, gauge, elements).items():
                path = temporary / f"{number}_{what}.svg"
                write_svg(drawing, path, target, symbols if what == "logo" else ())
