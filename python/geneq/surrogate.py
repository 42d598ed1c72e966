"""Fit a surrogate to a library with scores, and say what drives them.

--mave is mave.parquet of `geneq score`, or a table of one's own (.tsv, .csv, .parquet) with the
columns sequence, y (or y:NAME for several) and, where known, sigma. OUT gets surrogate.npz and
surrogate.json, which geneq.phi.Surrogate.load reads, effects.parquet, pairs.parquet (where the map
has pairs), metrics.parquet and latent.parquet (of rows that were not fitted) and figures. Positions
are 0-based, ends excluded.

--scores fits a surrogate to the scores of every locus: FOLDER/<locus>/mave.parquet, as `geneq score
--loci` leaves them, gives OUT/<locus>/, with a copy of locus.json, without figures: `geneq loci`
shows all of them on one page. Loci that fail stand in OUT/failed.tsv and do not stop the others.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from . import _ext
from .artifacts import written_whole
from .errors import GeneqError
from .locus import NAME as LOCUS
from .locus import Locus, each, folders, report
from .mave import Mave
from .phi import Surrogate, fit, gauges, maps, noise, nonlinearity
from .phi.fit import TEST
from .phi.quality import quality
from .plots import loci
from .ranges import window, windows

# Share of the noise in the band of figures, and points of its curve.
SHARE, GRID = 0.95, 200
# Fields of maps that are options.
FIELDS = ("window", "between", "distance", "order")


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
        help="what the latent phenotype is made of (additive; of a locus: as its sheet says)",
    )
    parser.add_argument("--window", type=window, help="START-END, where pairs and sets lie")
    parser.add_argument("--between", type=windows, help="START-END,START-END, a position in each")
    parser.add_argument("--distance", type=int, help="how far apart pairs are at most")
    parser.add_argument("--order", type=int, help="positions of a set at most, of --map order")
    _choice(parser, "--nonlinearity", nonlinearity.KINDS, "tanh", "from phenotype to scores")
    _choice(parser, "--noise", noise.KINDS, "skewed_t", "how scores scatter")
    parser.add_argument(
        "--noise_order", type=int, help="order of the polynomial of its log scale (2)"
    )
    _choice(parser, "--gauge", gauges.NAMES, "empirical", "in which effects are shown")
    parser.add_argument("--strength", type=float, help="of the prior (default: by validation rows)")
    parser.add_argument("--seed", type=int, default=1, help="of the split of rows (1)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")


def _choice(parser: ArgumentParser, name: str, choices, default: str, what: str) -> None:
    parser.add_argument(name, choices=sorted(choices), default=default, help=f"{what} ({default})")


def run(args: Namespace) -> None:
    """Fit, and write the surrogates, their tables and figures."""
    if args.mave:
        mave = Mave.open(args.mave, args.alphabet, args.wild_type).of_targets(args.target)
        surrogate, phi = fitted(mave, args, args.out)
        held_out = surrogate.split == TEST
        write_figures(surrogate, phi, mave, held_out, args.gauge, args.out / "figures")
        return
    scores = {folder.name: folder for folder in folders(args.scores, "mave.parquet")}
    if not scores:
        raise GeneqError("No folder in it has a mave.parquet", file=args.scores,
                         fix="Give what `geneq score --loci` wrote")  # fmt: skip

    def one(name: str) -> None:
        mave = Mave.load(scores[name] / "mave.parquet").of_targets(args.target)
        out = args.out / name
        locus = Locus.load(scores[name]) if (scores[name] / LOCUS).exists() else None
        fitted(mave, of_locus(args, locus), out)
        if locus:
            locus.save(out)

    report(each(scores, "surrogate", one, args.out), len(scores), args.out)


def of_locus(args: Namespace, locus: Locus | None) -> Namespace:
    """The options, with what the sheet of loci says where they say nothing."""
    if locus is None or args.map:
        return args
    window = locus.window if "window" in maps.KINDS[locus.map].__dataclass_fields__ else None
    return Namespace(**vars(args) | {"map": locus.map, "window": args.window or window})


def fitted(mave: Mave, args: Namespace, out: Path) -> tuple[Surrogate, np.ndarray]:
    """Write the surrogate of a MAVE and its tables to `out`; returns it, and φ of the rows."""
    chosen = chosen_map(args)
    surrogate = fit(
        mave,
        chosen,
        nonlinearity.KINDS[args.nonlinearity](),
        chosen_noise(args),
        strength=args.strength,
        split_seed=args.seed,
        threads=args.threads,
    )
    surrogate.save(out)
    write(surrogate.table(args.gauge), out / "effects.parquet")
    if chosen.kind != "additive":
        write(pairs(surrogate, args.gauge), out / "pairs.parquet")
    phi = surrogate.phi_of(mave.mutations(), mave.n_rows, args.threads)
    held_out = surrogate.split == TEST
    table = metrics(surrogate, phi, mave, held_out)
    write(table, out / "metrics.parquet")
    write(latent(phi, mave, held_out), out / "latent.parquet")
    for target, r2 in table[table["metric"] == "r2"][["target", "value"]].itertuples(index=False):
        print(f"{target}: r² {r2:.3f} on {held_out.sum():,} rows that were not fitted")
    return surrogate, phi


def chosen_map(args: Namespace) -> maps.Map:
    """The map of --map with the fields that were given."""
    kind = args.map or "additive"
    made = maps.KINDS[kind]
    given = {name: value for name in FIELDS if (value := getattr(args, name)) is not None}
    if foreign := sorted(given.keys() - made.__dataclass_fields__.keys()):
        raise GeneqError(f"--map {kind} has no such options",
                         value=", ".join(f"--{name}" for name in foreign))  # fmt: skip
    return made(**{name: tuple(v) if name == "between" else v for name, v in given.items()})


def chosen_noise(args: Namespace) -> noise.Noise:
    """The noise model of --noise; by default of order 2, or of the given errors alone."""
    made = noise.KINDS[args.noise]
    if args.noise_order is None:
        return made() if made is noise.Empirical else made(2)
    return made(args.noise_order)


# --- tables ---------------------------------------------------------------------------------------


def write(table: pd.DataFrame, path: Path) -> None:
    with written_whole(path) as temporary:
        table.to_parquet(temporary, index=False)


def pairs(surrogate: Surrogate, gauge: str) -> pd.DataFrame:
    """Effects of pairs that are not 0, strongest first.

    Columns: target, position and letter of one and of the other (0-based), phi, and y: in units of
    scores, by the slope at the wild type.
    """
    letters = np.array(list(_ext.alphabet(surrogate.alphabet)[0]))
    tables = []
    for target, output in zip(surrogate.targets, surrogate.outputs, strict=True):
        effects = surrogate.effects(gauge, target)
        for term in effects.terms[1:2]:
            at, one, other = np.nonzero(term.values)
            value = term.values[at, one, other]
            table = pd.DataFrame({
                "target": target,
                "position_1": term.sites[at, 0], "letter_1": letters[one],
                "position_2": term.sites[at, 1], "letter_2": letters[other],
                "phi": value, "y": value * surrogate.slope(output),
            })  # fmt: skip
            tables.append(table.sort_values("phi", key=np.abs, ascending=False, kind="stable"))
    return pd.concat(tables)


def metrics(
    surrogate: Surrogate, phi: np.ndarray, mave: Mave, held_out: np.ndarray
) -> pd.DataFrame:
    """Columns target, metric, value, error (NaN where none is known); see geneq.phi.quality."""
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
    gauge: str,
    folder: Path,
) -> None:
    """<number of the target>_<what>.svg: names of targets may be no names of files."""
    with written_whole(folder) as temporary:
        temporary.mkdir()
        for number, target in enumerate(surrogate.targets):
            for what, figure in figures(surrogate, number, phi, mave, held_out, gauge).items():
                figure.suptitle(target)
                figure.savefig(temporary / f"{number}_{what}.svg")


def figures(
    surrogate: Surrogate,
    number: int,
    phi: np.ndarray,
    mave: Mave,
    held_out: np.ndarray,
    gauge: str,
) -> dict[str, Figure]:
    """What there is to see of a target, by name."""
    effects, length = surrogate.effects(gauge, number), len(surrogate.wild_type)
    made = {"logo": loci.logo(effects.additive(length), surrogate.alphabet, label="effect on φ")}
    if len(effects.terms) > 1:
        made["pairs"] = loci.pair_triangle(strengths(effects.terms[1], length))
    x, y = phi[held_out, number], mave.y[held_out, number].astype(np.float64)
    grid = np.tile(np.linspace(x.min(), x.max(), GRID)[:, None], phi.shape[1])
    curve, band = surrogate.curve(grid)[:, number], None
    # Measured errors differ from row to row: there is no band along φ.
    if mave.sigma is None:
        band = tuple(edge[:, number] for edge in surrogate.band(grid, SHARE))
    made["latent"] = loci.latent_curve(x, y, grid[:, number], curve, band)
    made["agreement"] = loci.agreement(y, surrogate.curve(phi[held_out])[:, number])
    return made


def strengths(term: gauges.Term, length: int) -> np.ndarray:
    """float64[length, length]: the norm of the effects of a pair of positions, NaN without one."""
    table = np.full((length, length), np.nan)
    table[tuple(term.sites.T)] = np.sqrt((term.values**2).sum(axis=(1, 2)))
    return table
