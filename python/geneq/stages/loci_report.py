"""Write the page of a run's loci: one HTML file that opens offline.

It shows the surrogate of every locus: a logo with standard errors, the strongest pairs, scores
against the latent phenotype, and effects of variants, with their agreement with measured ones.
Beside loci.html stand, where there are any, the variants of all loci (variants.parquet), what is
known of measured effects (truth.parquet, comparisons.parquet) and what failed (failed.tsv).
"""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import __version__, templates
from ..artifacts import AGREEMENT, COMPARISONS, Table, read_parquet
from ..artifacts import VARIANTS as EFFECTS
from ..errors import GeneqError
from ..locus import FAILED, Experiment, Locus, find_folders, read_failed, read_row, write_failed
from ..plots import tracks
from ..surrogates import Effects, Surrogate, Term, levels

# Logos show symbols less the mean over symbols; curves this many points and this share of noise.
GAUGE, GRID, SHARE = "uniform", 60, 0.95
# Rows of tables: the rest stand in the files.
STRONGEST, VARIANTS = 6, 20
# Tables of all loci, as geneq variants names them.
TABLES = {"variants": EFFECTS, "truth": AGREEMENT, "comparisons": COMPARISONS}


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq loci_report`."""
    parser.add_argument("--surrogates", type=Path, help="folder of <locus>/surrogate.json")
    parser.add_argument(
        "--variants", nargs="+", type=Path, default=[], help="what geneq variants wrote"
    )
    parser.add_argument(
        "--failed", nargs="+", type=Path, default=[], help="tables of loci that failed"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")


def run(args: Namespace) -> None:
    """Write the page and its tables."""
    found = find_folders(args.surrogates, "surrogate.json") if args.surrogates else []
    failed = [row for path in args.failed for row in read_failed(path)]
    if not found and not failed:
        raise GeneqError(
            "There is nothing to show",
            value=str(args.surrogates),
            fix="Give --surrogates, a folder that `geneq surrogate --scores` wrote",
        )
    tables = {name: read_tables(args.variants, name, table) for name, table in TABLES.items()}
    tables = {name: table for name, table in tables.items() if table is not None}
    shown = [locus(Fitted.read(folder), tables) for folder in found]
    symbols = "".join(row["symbols"] for row in shown)
    write_failed(failed, args.out / FAILED)
    for name, table in tables.items():
        TABLES[name].write(table, args.out / f"{name}.parquet")
    templates.write_page(
        "loci_report.html.j2",
        args.out / "loci.html",
        version=__version__,
        loci=shown,
        failed=failed,
        compared=len(tables["truth"]) if "truth" in tables else None,
        glyphs=tracks.glyphs(symbols),
    )


# --- what is read ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fitted:
    """A locus with its surrogate: held_out has the phenotypes and scores of rows not fitted.

    row: of its sheet, None where its scores are of no sheet. motifs, spacings: tables of a
    factorial design, None of other libraries.
    """

    name: str
    row: Locus | Experiment | None
    surrogate: Surrogate
    metrics: pd.DataFrame
    held_out: pd.DataFrame
    motifs: pd.DataFrame | None
    spacings: pd.DataFrame | None

    @classmethod
    def read(cls, folder: Path) -> "Fitted":
        """Read what `geneq surrogate` wrote."""
        tables = (_parquet(folder / f"{name}.parquet") for name in ("metrics", "latent"))
        designed = (_parquet(path) if (path := folder / f"{name}.parquet").exists() else None
                    for name in ("levels", "spacings"))  # fmt: skip
        return cls(folder.name, read_row(folder), Surrogate.load(folder), *tables, *designed)

    @property
    def place(self) -> Locus | None:
        """Where in a genome it lies."""
        return self.row if isinstance(self.row, Locus) else None

    @property
    def scored(self) -> str:
        """By which oracle, and how."""
        if self.row is None:
            return ""
        said = [self.row.oracle]
        if self.row.reduce:
            said.append(f"profiles reduced by {self.row.reduce}")
        if self.row.precision != "float32":
            said.append(self.row.precision)
        return ", ".join(said + ["mean of both strands"] * self.row.reverse_complement)


def read_tables(folders: list[Path], name: str, table: Table) -> pd.DataFrame | None:
    """All <name>.parquet in folders that `geneq variants` wrote, as one; None without any."""
    paths = [folder / f"{name}.parquet" for folder in folders]
    found = [table.read(path) for path in paths if path.exists() or table is EFFECTS]
    return pd.concat(found, ignore_index=True) if found else None


def _parquet(path: Path) -> pd.DataFrame:
    return read_parquet(path).to_pandas()


# --- what is shown --------------------------------------------------------------------------------


def locus(fitted: Fitted, tables: dict[str, pd.DataFrame]) -> dict:
    """The values of a locus in loci.html.j2; tables: of TABLES, by name, of all loci."""
    place, surrogate = fitted.place, fitted.surrogate
    own = {name: rows for name, table in tables.items()
           if len(rows := table[table["locus"] == fitted.name])}  # fmt: skip
    known, unknown = levels.names(surrogate.alphabet)
    wild_type = "".join(np.array([*known, unknown])[surrogate.wild_type])
    window = place.window if place else mutated(surrogate)
    return {
        "name": fitted.name,
        "place": place,
        "scored": fitted.scored,
        "region": f"{place.chrom}:{place.start:,}-{place.end:,}" if place else "",
        "window": window,
        "map": surrogate.map.kind,
        "n": len(surrogate.split),
        "symbols": wild_type[slice(*window)] if fitted.motifs is None else "",
        "targets": [target(fitted, number, wild_type, window) if fitted.motifs is None
                    else motif_target(fitted, number) for number in range(len(surrogate.outputs))],
        "variants": variant_table(own["variants"]) if "variants" in own else None,
        "truth": own["truth"].to_dict("records") if "truth" in own else [],
        "key": " ".join([fitted.name, place.chrom if place else "", fitted.scored,
                         *surrogate.targets]).lower(),
    }  # fmt: skip


def target(fitted: Fitted, number: int, wild_type: str, window: tuple[int, int]) -> dict:
    """Figures and numbers of one target."""
    surrogate, name = fitted.surrogate, fitted.surrogate.targets[number]
    effects, errors = surrogate.effects(GAUGE, number), None
    if surrogate.outputs[number].replicates is not None:
        errors = surrogate.errors(GAUGE, number)
    inside = slice(*window)
    own = wild_effects(surrogate, effects)[inside]
    strongest = window[0] + int(np.nanargmax(np.abs(own)))
    return {
        **common(fitted, number),
        "strongest": f"{wild_type[strongest]} at {strongest}",
        "logo": tracks.logo(
            wild_type[inside],
            own,
            wild_effects(surrogate, errors)[inside] if errors else None,
            window[0],
            f"Effects of the symbols of {fitted.name} on {name}",
        ),
        "has_errors": errors is not None,
        **pairs(surrogate, name, effects, errors),
    }


def wild_effects(surrogate: Surrogate, effects: Effects) -> np.ndarray:
    """float64[length]: of the wild type's symbols, NaN of unknown ones and outside of windows."""
    length = len(surrogate.wild_type)
    table = np.pad(effects.additive(length), ((0, 0), (0, 1)), constant_values=np.nan)
    return np.where(surrogate.inside, table[np.arange(length), surrogate.wild_type], np.nan)


def mutated(surrogate: Surrogate) -> tuple[int, int]:
    """From the first to behind the last position that the library mutates."""
    inside = np.flatnonzero(surrogate.inside)
    return int(inside[0]), int(inside[-1]) + 1


def common(fitted: Fitted, number: int) -> dict:
    """What there is of a target of any library."""
    name = fitted.surrogate.targets[number]
    r2 = fitted.metrics.query("target == @name and metric == 'r2'")
    return {
        "name": name,
        "r2": r2["value"].iloc[0] if len(r2) else None,
        "r2_error": r2["error"].iloc[0] if len(r2) else None,
        "curve": latent(fitted, number),
    }


def motif_target(fitted: Fitted, number: int) -> dict:
    """Numbers of one target of a factorial design: motifs, and two by what lies between them."""
    name = fitted.surrogate.targets[number]
    there = fitted.motifs[fitted.motifs["start"] >= 0]
    alone = there.groupby(["motif", "sequence", "strand"], sort=False)[f"y:{name}"].mean()
    both = fitted.spacings.rename(columns={f"y:{name}": "y", f"alone:{name}": "alone",
                                           f"se_y:{name}": "error"})  # fmt: skip
    away = (both["y"] - both["alone"]).abs().sort_values(ascending=False, kind="stable")
    return {
        **common(fitted, number),
        "strongest": " ".join(alone.abs().idxmax()[::2]),
        "motifs": [{"motif": motif, "sequence": sequence, "strand": strand, "y": value}
                   for (motif, sequence, strand), value in alone.items()],
        "spacings": both.loc[away.index[:STRONGEST]].to_dict("records"),
    }  # fmt: skip


def latent(fitted: Fitted, number: int):
    """Scores against the latent phenotype; no band where each row has an error of its own."""
    surrogate = fitted.surrogate
    name = surrogate.targets[number]
    phi, y = (fitted.held_out[f"{what}:{name}"].to_numpy() for what in ("phi", "y"))
    ends = (phi.min(), phi.max()) if len(phi) else (0, 1)
    grid = np.tile(np.linspace(*ends, GRID)[:, None], len(surrogate.outputs))
    band = None
    if surrogate.noise.kind != "empirical":
        band = tuple(edge[:, number] for edge in surrogate.band(grid, SHARE))
    values = surrogate.curve(grid)[:, number]
    title = f"Scores of {name} against the latent phenotype"
    return tracks.curve(phi, y, grid[:, number], values, band, title)


def pairs(surrogate: Surrogate, name: str, effects: Effects, errors: Effects | None) -> dict:
    """The triangle of pairs, and the strongest of them with their errors."""
    if len(effects.terms) < 2:
        return {"triangle": None, "pairs": []}
    term = effects.terms[1]
    strength = np.sqrt((term.values**2).sum(axis=(1, 2)))
    length, title = len(surrogate.wild_type), f"Pairs that act together on {name}"
    found = strength.any()
    return {
        "triangle": tracks.triangle(term.sites, strength, length, title) if found else None,
        "pairs": _strongest(surrogate.alphabet, term, errors.terms[1] if errors else None),
    }


def _strongest(alphabet: str, term: Term, errors: Term | None) -> list[dict]:
    """Rows of symbols at two positions, of the largest effects."""
    symbols, _ = levels.names(alphabet)
    flat = np.argsort(-np.abs(term.values), axis=None, kind="stable")[:STRONGEST]
    rows = []
    for at, one, other in zip(*np.unravel_index(flat, term.values.shape), strict=True):
        if value := term.values[at, one, other]:
            rows.append({
                "one": f"{symbols[one]} {term.sites[at, 0]}",
                "other": f"{symbols[other]} {term.sites[at, 1]}",
                "phi": float(value),
                "error": float(errors.values[at, one, other]) if errors else None,
            })  # fmt: skip
    return rows


def variant_table(table: pd.DataFrame) -> dict:
    """Variants of a locus, a row for each with its target, the largest effects first.

    A cell for each method: effect and standard error, None where the method has none.
    """
    # A method that says nothing here has no column.
    table = table[table.groupby("method")["effect"].transform("count") > 0]
    methods = sorted(table["method"].unique())
    keys = ["chrom", "pos", "id", "ref", "alt", "target"]
    rows = []
    for key, group in table.groupby(keys, sort=False, dropna=False):
        cells = {row.method: (row.effect, row.error) for row in group.itertuples()}
        notes = sorted({note for note in group["note"].dropna() if note})
        largest = np.nanmax(np.abs(group["effect"].to_numpy(float)), initial=0)
        rows.append({**dict(zip(keys, key, strict=True)), "largest": largest, "notes": notes,
                     "cells": [cells.get(method) for method in methods]})  # fmt: skip
    rows.sort(key=lambda row: -row["largest"])
    return {"methods": methods, "rows": rows[:VARIANTS], "more": max(0, len(rows) - VARIANTS)}
