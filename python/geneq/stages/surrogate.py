"""Fit a surrogate to a library with scores, and say what drives them.

--mave is mave.parquet of `geneq score`, or a table of one's own (.tsv, .csv, .parquet) with the
columns sequence, y (or y:NAME for several) and, where known, sigma. OUT gets surrogate.npz and
surrogate.json, which geneq.surrogates.Surrogate.load reads, effects.parquet, pairs.parquet (where
the map has pairs), metrics.parquet and latent.parquet (of rows that were not fitted) and figures.
Positions are 0-based, ends excluded. --elements sums interactions over parts of the sequence
(elements.parquet).

A factorial design gives levels.parquet, level_pairs.parquet and spacings.parquet instead of effects
and pairs: what motifs do, alone and by what lies between them.

--scores fits a surrogate to the scores of every locus: FOLDER/<locus>/mave.parquet, as `geneq score
--loci` or --experiments leaves them, gives OUT/<locus>/, with a copy of locus.json (or of
experiment.json), without figures: `geneq loci_report` shows all of them on one page. Loci that fail
stand in OUT/failed.tsv and do not stop the others.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .. import encoding
from ..artifacts import written_whole
from ..checks import check_int, parse_two_windows, parse_window
from ..errors import GeneqError, in_file
from ..libraries import FactorialLibrary
from ..locus import Experiment, Locus, find_folders, keep_apart, read_row, report, run_each
from ..mave import Mave, user_table
from ..plots import epistasis as epistasis_plots
from ..plots import factors as motif_plots
from ..plots import figures
from ..surrogates import Surrogate, fit, gauges, levels, maps, noise, nonlinearity
from ..surrogates.epistasis import (
    Element,
    check_elements,
    element_pairs,
    interactions,
    matrices,
    read_elements,
)
from ..surrogates.factorial import Factors, spacings
from ..surrogates.fit import TEST
from ..surrogates.quality import quality
from ..surrogates.surrogate import UNITS

# Share of the noise in the band of figures, and points of its curve.
SHARE, GRID = 0.95, 200
# What is taken where nothing is said, of libraries of sequences and of factorial designs. These
# have few levels, each in many rows: there is nothing to shrink, and a curve that bends could feign
# interactions, or be feigned by them.
SYMBOLS = {"map": "additive", "nonlinearity": "tanh", "noise": "skewed_t", "noise_order": 2,
           "gauge": "empirical", "strength": None,
           "shrinkage": "adaptive", "pair_strength": None, "replicates": 100}  # fmt: skip
MOTIFS = {"map": "pairwise", "nonlinearity": "linear", "noise": "gaussian", "noise_order": 0,
          "gauge": "wild_type", "strength": 0,
          "shrinkage": "ridge", "pair_strength": 0, "replicates": 100}  # fmt: skip
# Fields of maps that are options.
FIELDS = ("window", "between", "distance", "order")
# Options that a row of a sheet may have.
OF_ROWS = ("map", "noise_shape_order", "replicates")


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq surrogate`."""
    scores = parser.add_mutually_exclusive_group(required=True)
    scores.add_argument("--mave", type=Path, help="library with scores")
    scores.add_argument("--scores", type=Path, help="folder of <locus>/mave.parquet")
    parser.add_argument("--alphabet", default="dna", help="alphabet of a table of one's own (dna)")
    parser.add_argument("--wild_type", help="its wild type (default: the consensus)")
    parser.add_argument("--target", nargs="+", help="targets to fit (default: all)")
    parser.add_argument(
        "--map",
        choices=sorted(maps.KINDS),
        help="what the latent phenotype is made of (additive, motifs: pairwise; with --scores: as "
        "the sheet says)",
    )
    parser.add_argument("--window", type=parse_window, help="START-END, where pairs and sets lie")
    parser.add_argument(
        "--between", type=parse_two_windows, help="START-END,START-END, a position in each"
    )
    parser.add_argument("--distance", type=int, help="how far apart pairs are at most")
    parser.add_argument(
        "--elements",
        help="NAME:START-END,… or a table of name, start, end: interactions are summed over them",
    )
    parser.add_argument("--order", type=int, help="positions of a set at most, of --map order")
    _choice(parser, "--nonlinearity", nonlinearity.KINDS, "from phenotype to scores")
    _choice(parser, "--noise", noise.KINDS, "how scores scatter")
    parser.add_argument(
        "--noise_order", type=int, help="order of the polynomial of its log scale (2, motifs: 0)"
    )
    parser.add_argument(
        "--noise_shape_order",
        type=int,
        help="order of those of its log shape parameters, of skewed_t and student_t (0)",
    )
    _choice(parser, "--gauge", gauges.NAMES, "in which effects are shown")
    parser.add_argument(
        "--probabilities",
        type=Path,
        help="in place of --gauge: a table (.tsv, .csv, .parquet) with a column for each symbol, a "
        "row for each position",
    )
    parser.add_argument(
        "--strength", type=float, help="of the prior (default: by validation rows, motifs: 0)"
    )
    parser.add_argument(
        "--replicates", type=int, help="fits that errors come from, 0 for none (100)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the split of rows (1)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")


def _choice(parser: ArgumentParser, name: str, choices, what: str) -> None:
    symbols, motifs = (defaults[name.strip("-")] for defaults in (SYMBOLS, MOTIFS))
    parser.add_argument(name, choices=sorted(choices), help=f"{what} ({symbols}, motifs: {motifs})")


def run(args: Namespace) -> None:
    """Fit, and write the surrogates, their tables and figures."""
    if args.mave:
        mave = Mave.open(args.mave, args.alphabet, args.wild_type).of_targets(args.target)
        fitted(mave, args, args.out, drawn=True)
        return
    keep_apart(args.out, args.scores)
    scores = {folder.name: folder for folder in find_folders(args.scores, "mave.parquet")}
    if not scores:
        raise GeneqError("No folder in it has a mave.parquet", file=args.scores,
                         fix="Give what `geneq score --loci` wrote")  # fmt: skip

    def one(name: str) -> None:
        mave = Mave.load(scores[name] / "mave.parquet").of_targets(args.target)
        row = read_row(scores[name])
        fitted(mave, of_row(args, row), args.out / name)
        if row:
            row.save(args.out / name)

    report(run_each(scores, "surrogate", one, args.out), len(scores), args.out)


def of_row(args: Namespace, row: Locus | Experiment | None) -> Namespace:
    """The options, with what the sheet of loci or of experiments says where they say nothing."""
    if row is None:
        return args
    said = {name: getattr(row, name) for name in OF_ROWS if getattr(args, name) is None}
    if said.get("map") and isinstance(row, Locus) and args.window is None:
        takes = maps.KINDS[row.map].__dataclass_fields__
        said["window"] = row.window if "window" in takes else None
    return Namespace(**vars(args) | said)


def fitted(mave: Mave, args: Namespace, out: Path, drawn: bool = False) -> None:
    """Write the surrogate of a MAVE, its tables and, if drawn, figures, to `out`."""
    factors = None
    if isinstance(mave.library, FactorialLibrary):
        factors = Factors.of(mave.library)
    elements = chosen_elements(args, mave, factors)
    args = completed(args, SYMBOLS if factors is None else MOTIFS)
    gauge = args.gauge if args.probabilities is None else own_gauge(args.probabilities, mave)
    data = mave if factors is None else factors.arrays(mave)
    surrogate = fit(
        data,
        chosen_map(args),
        nonlinearity.KINDS[args.nonlinearity](),
        chosen_noise(args),
        strength=args.strength,
        shrinkage=args.shrinkage,
        pair_strength=args.pair_strength,
        replicates=args.replicates,
        split_seed=check_int(args.seed, "seed", 0),
        threads=args.threads,
    )
    surrogate.save(out)
    if factors is None:
        tables, special = of_symbols(surrogate, gauge, elements)
    else:
        tables, special = of_motifs(surrogate, factors, mave, args.gauge)
    phi = surrogate.phi_of(data.mutations(), mave.n_rows, args.threads)
    held_out = surrogate.split == TEST
    tables["metrics"] = told = metrics(surrogate, phi, data, held_out)
    tables["latent"] = latent(phi, data, held_out)
    for name, table in tables.items():
        write(table, out / f"{name}.parquet")
    if drawn:
        write_figures(surrogate, phi, data, held_out, special, out / "figures")
    for target, r2 in told[told["metric"] == "r2"][["target", "value"]].itertuples(index=False):
        print(f"{target}: r² {r2:.3f} on {held_out.sum():,} rows that were not fitted")


def completed(args: Namespace, defaults: dict) -> Namespace:
    """The options, with defaults for those that were not given."""
    missing = {name: value for name, value in defaults.items()
               if getattr(args, name, None) is None}  # fmt: skip
    if args.noise == noise.Empirical.kind:
        missing.pop("noise_order", None)
    return Namespace(**vars(args) | missing)


def own_gauge(path: Path, mave: Mave) -> np.ndarray:
    """The probabilities float64[length, symbols] in a table of the user's."""
    table, symbols = user_table(path, ()), levels.names(mave.alphabet)[0]
    if missing := [symbol for symbol in symbols if symbol not in table]:
        raise GeneqError("The table of probabilities lacks columns", value=", ".join(missing),
                         file=path, fix=f"It has {', '.join(map(str, table))}")  # fmt: skip
    with in_file(path):
        values = table[list(symbols)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        nowhere = np.zeros((mave.length, len(symbols)))
        return gauges.probabilities(values, mave.wild_type, len(symbols), nowhere)


def chosen_elements(args: Namespace, mave: Mave, factors: Factors | None) -> list[Element]:
    """Those of --elements, where they can be looked at."""
    if args.elements is None:
        return []
    if factors is not None or args.map in (None, "additive"):
        raise GeneqError("--elements need a map with pairs, of a mutated sequence",
                         fix="Add --map pairwise")  # fmt: skip
    return check_elements(read_elements(args.elements), mave.length)


def chosen_map(args: Namespace) -> maps.Map:
    """The map of --map with the fields that were given."""
    made = maps.KINDS[args.map]
    given = {name: value for name in FIELDS if (value := getattr(args, name)) is not None}
    if foreign := sorted(given.keys() - made.__dataclass_fields__.keys()):
        raise GeneqError(f"--map {args.map} has no such options",
                         value=", ".join(f"--{name}" for name in foreign))  # fmt: skip
    return made(**given)


def chosen_noise(args: Namespace) -> noise.Noise:
    """The noise model of --noise; measured errors are as they are unless an order is given."""
    made, given = noise.KINDS[args.noise], {}
    if args.noise_order is not None:
        given["order"] = args.noise_order
    if args.noise_shape_order is not None:
        if not made.shapes:
            raise GeneqError(f"--noise {args.noise} has no shape", value="--noise_shape_order",
                             fix="skewed_t and student_t do")  # fmt: skip
        given["shape_order"] = args.noise_shape_order
    return made(**given)


# --- tables ---------------------------------------------------------------------------------------


def write(table: pd.DataFrame, path: Path) -> None:
    with written_whole(path) as temporary:
        table.to_parquet(temporary, index=False)


Figures = Callable[[int], dict[str, Figure]]


def of_symbols(
    surrogate: Surrogate, gauge: str | np.ndarray, elements: list[Element]
) -> tuple[dict[str, pd.DataFrame], Figures]:
    """Tables by name, and what gives the figures of a target by its number."""
    tables = {"effects": surrogate.table(gauge)}
    if surrogate.map.kind != "additive":
        tables["pairs"] = pairs(surrogate, gauge)
    if elements:
        tables["elements"] = element_pairs(surrogate, elements)
    shown = matrices(tables["elements"], elements) if elements else {}
    return tables, partial(symbol_figures, surrogate, gauge, shown)


def of_motifs(
    surrogate: Surrogate, factors: Factors, mave: Mave, gauge: str
) -> tuple[dict[str, pd.DataFrame], Figures]:
    """The same for a factorial design."""
    gauge = factors.gauge(gauge)
    tables = {
        "levels": factors.named(surrogate.table(gauge)),
        "spacings": spacings(factors, surrogate, mave),
    }
    if surrogate.map.kind != "additive":
        both = factors.named(pairs(surrogate, gauge), "_1")
        tables["level_pairs"] = factors.named(both, "_2")
    return tables, partial(motif_figures, surrogate, tables)


def pairs(surrogate: Surrogate, gauge: str | np.ndarray) -> pd.DataFrame:
    """Effects of pairs that are not 0, strongest first.

    Columns: target, position and symbol of one and of the other (0-based), phi, and y: in units of
    scores, by the slope at the wild type; their standard errors se_phi and se_y where the fit has
    replicates.
    """
    symbols = np.array(levels.names(surrogate.alphabet)[0])
    tables = []
    for target, output in zip(surrogate.targets, surrogate.outputs, strict=True):
        effects = surrogate.effects(gauge, target)
        for term in effects.terms[1:2]:
            at, one, other = np.nonzero(term.values)
            value = term.values[at, one, other]
            errors = {}
            for units in UNITS if output.replicates is not None else ():
                spread = surrogate.errors(gauge, target, units).terms[1].values
                errors[f"se_{units}"] = spread[at, one, other]
            table = pd.DataFrame({
                "target": target,
                "position_1": term.sites[at, 0], "symbol_1": symbols[one],
                "position_2": term.sites[at, 1], "symbol_2": symbols[other],
                "phi": value, "y": value * surrogate.slope(output), **errors,
            })  # fmt: skip
            tables.append(table.sort_values("phi", key=np.abs, ascending=False, kind="stable"))
    return pd.concat(tables)


def metrics(
    surrogate: Surrogate, phi: np.ndarray, mave: Mave, held_out: np.ndarray
) -> pd.DataFrame:
    """Columns target, metric, value, error (NaN where none is known); see surrogates.quality."""
    sigma = None if mave.sigma is None else mave.sigma[held_out].astype(np.float64)
    found = quality(surrogate, phi[held_out], mave.y[held_out].astype(np.float64), sigma)
    rows = []
    for target, one in zip(surrogate.targets, found, strict=True):
        estimates = {"r2": one.r2, "explained": one.explained, "i_pred": one.i_pred,
                     "i_var": one.i_var}  # fmt: skip
        estimates |= {f"coverage_{share}": value for share, value in one.coverage.items()}
        rows += [(target, name, each.value, each.error) for name, each in estimates.items()]
        rows += [(target, "ks", one.ks, np.nan), (target, "ks_p", one.ks_p, np.nan)]
    return pd.DataFrame(rows, columns=["target", "metric", "value", "error"])


def latent(phi: np.ndarray, mave: Mave, held_out: np.ndarray) -> pd.DataFrame:
    """Rows that were not fitted: row, and `phi:<target>` and `y:<target>` of every target."""
    columns = {"row": np.flatnonzero(held_out)}
    for number, target in enumerate(mave.targets):
        columns[f"phi:{target}"] = phi[held_out, number].astype(np.float32)
        columns[f"y:{target}"] = mave.y[held_out, number]
    return pd.DataFrame(columns)


# --- figures --------------------------------------------------------------------------------------


def write_figures(
    surrogate: Surrogate,
    phi: np.ndarray,
    mave: Mave,
    held_out: np.ndarray,
    special: Figures,
    folder: Path,
) -> None:
    """<number of the target>_<what>.svg: names of targets may be no names of files."""
    with written_whole(folder) as temporary:
        temporary.mkdir()
        for number, target in enumerate(surrogate.targets):
            common = common_figures(surrogate, number, phi, mave, held_out)
            for what, figure in (special(number) | common).items():
                figure.suptitle(target)
                figure.savefig(temporary / f"{number}_{what}.svg")


def common_figures(
    surrogate: Surrogate,
    number: int,
    phi: np.ndarray,
    mave: Mave,
    held_out: np.ndarray,
) -> dict[str, Figure]:
    """What there is to see of a target of any library, by name."""
    x, y = phi[held_out, number], mave.y[held_out, number].astype(np.float64)
    grid = np.tile(np.linspace(x.min(), x.max(), GRID)[:, None], phi.shape[1])
    curve, band = surrogate.curve(grid)[:, number], None
    # Measured errors differ from row to row: there is no band along φ.
    if mave.sigma is None:
        band = tuple(edge[:, number] for edge in surrogate.band(grid, SHARE))
    return {
        "latent": figures.latent_curve(x, y, grid[:, number], curve, band),
        "agreement": figures.agreement(y, surrogate.curve(phi[held_out])[:, number]),
    }


def symbol_figures(
    surrogate: Surrogate, gauge: str | np.ndarray, elements: dict[str, tuple], number: int
) -> dict[str, Figure]:
    """Of a target of a mutated sequence: effects of symbols, of pairs of positions, of elements."""
    effects, length = surrogate.effects(gauge, number), len(surrogate.wild_type)
    symbols, errors = effects.additive(length), None
    start, end = np.flatnonzero(surrogate.inside)[[0, -1]] + (0, 1)
    if surrogate.outputs[number].replicates is not None:
        symbols, errors = surrogate.symbols_at(gauge, number)
        errors = errors[start:end]
    symbols = np.where(surrogate.inside[:, None], symbols, np.nan)[start:end]
    made = {"logo": figures.logo(symbols, surrogate.alphabet, start, errors=errors,
                              label="effect on φ")}  # fmt: skip
    if len(effects.terms) > 1:
        made["pairs"] = figures.pair_triangle(strengths(effects.terms[1], length))
    if between := getattr(surrogate.map, "between", None):
        wild = encoding.strings(surrogate.wild_type[None], surrogate.alphabet)[0]
        made["between"] = epistasis_plots.window_map(
            interactions(surrogate, number), *sorted(between), wild
        )
    if elements:
        made["elements"] = epistasis_plots.element_map(*elements[surrogate.targets[number]])
    return made


def motif_figures(
    surrogate: Surrogate, tables: dict[str, pd.DataFrame], number: int
) -> dict[str, Figure]:
    """Of a target of a factorial design: effects of motifs, and of two by the symbols between."""
    target = surrogate.targets[number]
    names = {f"{name}:{target}": name for name in ("alone", "measured", "se_measured")}
    names |= {f"y:{target}": "effect", f"se_y:{target}": "error"}
    levels, curves = (tables[name].rename(columns=names) for name in ("levels", "spacings"))
    made = {"levels": motif_plots.level_effects(levels)}
    return made | ({"spacings": motif_plots.spacing_curves(curves)} if len(curves) else {})


def strengths(term: gauges.Term, length: int) -> np.ndarray:
    """float64[length, length]: the norm of the effects of a pair of positions, NaN without one."""
    table = np.full((length, length), np.nan)
    table[tuple(term.sites.T)] = np.sqrt((term.values**2).sum(axis=(1, 2)))
    return table
