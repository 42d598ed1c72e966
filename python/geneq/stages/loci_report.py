"""Write the report of all loci of a run: one HTML file that opens offline.

It shows the surrogate of every locus: a logo with standard errors, the strongest pairs, scores
against the latent phenotype, and effects of variants with their agreement with measured effects. It
also writes, if there are any, the variants of all loci (variants.parquet), their agreement with
measured effects (agreement.parquet, comparisons.parquet) and the loci that failed (failed.tsv).
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import __version__, templates
from ..artifacts import (
    AGREEMENT,
    COMPARISONS,
    LATENT,
    LEVELS,
    SPACINGS,
    SURROGATE_METRICS,
    VARIANTS,
    Table,
)
from ..errors import GeneqError
from ..locus import FAILED, Experiment, Locus, find_folders, read_failed, read_row, write_failed
from ..plots.logo import glyphs, logo
from ..plots.surrogates import curve, pair_strengths, triangle
from ..surrogates import Effects, Surrogate, Term, levels

# Logos show effects minus the mean over symbols.
GAUGE = "uniform"
# Rows of tables on the page; the files have all of them.
STRONGEST, SHOWN = 6, 20
# Tables of all loci, by the names of the files that `geneq variants` writes.
TABLES = {"variants": VARIANTS, "agreement": AGREEMENT, "comparisons": COMPARISONS}


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq loci_report`."""
    parser.add_argument("--surrogates", type=Path, help="folder of <locus>/surrogate.json")
    parser.add_argument(
        "--variants", nargs="+", type=Path, default=[], help="folders written by `geneq variants`"
    )
    parser.add_argument(
        "--failed", nargs="+", type=Path, default=[], help="failed.tsv of earlier stages"
    )
    parser.add_argument("--out", type=Path, required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write the report and its tables."""
    write_report(args.surrogates, args.variants, args.failed, args.out)


def write_report(
    surrogates: Path | None, variants: Sequence[Path], failures: Sequence[Path], out: Path
) -> None:
    """Write loci.html and its tables to `out`; arguments as the options of the command."""
    found = find_folders(surrogates, "surrogate.json") if surrogates else []
    failed = [row for path in failures for row in read_failed(path)]
    if not found and not failed:
        raise GeneqError(
            "There is no surrogate and no failed locus to report",
            value=str(surrogates),
            fix="Give --surrogates, the folder that `geneq surrogate --scores` wrote",
        )
    tables = {name: rows for name, table in TABLES.items()
              if (rows := read_tables(variants, name, table)) is not None}  # fmt: skip
    shown = [locus(Fitted.read(folder), tables) for folder in found]
    symbols = "".join(row["symbols"] for row in shown)
    write_failed(failed, out / FAILED)
    for name, table in tables.items():
        TABLES[name].write(table, out / f"{name}.parquet")
    templates.write_page(
        "loci_report.html.j2",
        out / "loci.html",
        version=__version__,
        loci=shown,
        failed=failed,
        compared=len(tables["agreement"]) if "agreement" in tables else None,
        glyphs=glyphs(symbols),
    )


# --- what is read ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fitted:
    """A locus with its surrogate and the tables of it.

    row: of its sheet, None for scores of no sheet. held_out: LATENT. motifs, spacings: LEVELS and
    SPACINGS of a factorial design, None for other libraries.
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
        return cls(
            folder.name,
            read_row(folder),
            Surrogate.load(folder),
            SURROGATE_METRICS.read(folder / "surrogate_metrics.parquet"),
            LATENT.read(folder / "latent.parquet"),
            _read_if_there(LEVELS, folder),
            _read_if_there(SPACINGS, folder),
        )

    @property
    def place(self) -> Locus | None:
        """Its row of the sheet of loci, if that is where it is from."""
        return self.row if isinstance(self.row, Locus) else None

    @property
    def scored(self) -> str:
        """By which oracle, and how."""
        if self.row is None:
            return ""
        parts = [self.row.oracle]
        if self.row.reduce:
            parts.append(f"profiles reduced by {self.row.reduce}")
        if self.row.precision != "float32":
            parts.append(self.row.precision)
        return ", ".join(parts + ["mean of both strands"] * self.row.reverse_complement)


def read_tables(folders: Sequence[Path], name: str, table: Table) -> pd.DataFrame | None:
    """All <name>.parquet in folders that `geneq variants` wrote, as one; None if there are none."""
    paths = [folder / f"{name}.parquet" for folder in folders]
    found = [table.read(path) for path in paths if path.exists() or table is VARIANTS]
    return pd.concat(found, ignore_index=True) if found else None


def _read_if_there(table: Table, folder: Path) -> pd.DataFrame | None:
    path = folder / f"{table.name}.parquet"
    return table.read(path) if path.exists() else None


# --- what is shown --------------------------------------------------------------------------------


def locus(fitted: Fitted, tables: dict[str, pd.DataFrame]) -> dict:
    """The values of a locus in the template; tables: those of TABLES, by name, of all loci."""
    place, surrogate = fitted.place, fitted.surrogate
    found = {name: rows for name, table in tables.items()
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
        "targets": [motif_target(fitted, number, fitted.motifs, fitted.spacings)
                    if fitted.motifs is not None and fitted.spacings is not None
                    else target(fitted, number, wild_type, window)
                    for number in range(len(surrogate.outputs))],
        "variants": variant_table(found["variants"]) if "variants" in found else None,
        "agreement": found["agreement"].to_dict("records") if "agreement" in found else [],
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
    shown = wild_effects(surrogate, effects)
    return {
        **common(fitted, number),
        "strongest": strongest_symbol(wild_type, shown, window),
        "logo": logo(
            _of_symbols(surrogate, shown)[inside],
            "".join(levels.names(surrogate.alphabet)[0]),
            f"Effects of the symbols of {fitted.name} on {name}",
            wild_effects(surrogate, errors)[inside] if errors else None,
            window[0],
        ),
        "has_errors": errors is not None,
        **pairs(surrogate, number, effects, errors),
    }


def strongest_symbol(wild_type: str, effects: np.ndarray, window: tuple[int, int]) -> str:
    """The symbol of the largest effect and its position; "" if no effect is known."""
    size = np.nan_to_num(np.abs(effects[slice(*window)]), nan=-1.0)
    if size.max(initial=-1.0) < 0:
        return ""
    at = window[0] + int(size.argmax())
    return f"{wild_type[at]} at {at}"


def wild_effects(surrogate: Surrogate, effects: Effects) -> np.ndarray:
    """float64[length]: of the wild type's symbols, NaN for unknown ones and outside the windows."""
    length = len(surrogate.wild_type)
    table = np.pad(effects.additive(length), ((0, 0), (0, 1)), constant_values=np.nan)
    return np.where(surrogate.inside, table[np.arange(length), surrogate.wild_type], np.nan)


def _of_symbols(surrogate: Surrogate, effects: np.ndarray) -> np.ndarray:
    """float64[length, symbols]: effects of the wild type's symbols, 0 for others."""
    is_wild = np.arange(surrogate.symbols) == surrogate.wild_type[:, None]
    return np.where(is_wild, effects[:, None], 0)


def mutated(surrogate: Surrogate) -> tuple[int, int]:
    """[start, end) from the first to the last position that the library mutates."""
    inside = np.flatnonzero(surrogate.inside)
    return int(inside[0]), int(inside[-1]) + 1


def common(fitted: Fitted, number: int) -> dict:
    """Values of a target of any library."""
    name, metrics, held_out = fitted.surrogate.targets[number], fitted.metrics, fitted.held_out
    r2 = metrics[(metrics["target"] == name) & (metrics["metric"] == "r2")]
    return {
        "name": name,
        "r2": r2["value"].iloc[0] if len(r2) else None,
        "r2_error": r2["error"].iloc[0] if len(r2) else None,
        "curve": curve(fitted.surrogate, number, held_out[held_out["target"] == name]),
    }


def motif_target(fitted: Fitted, number: int, motifs: pd.DataFrame, spacings: pd.DataFrame) -> dict:
    """Values of one target of a factorial design: effects of motifs, of two by spacing."""
    name = fitted.surrogate.targets[number]
    there = motifs[(motifs["target"] == name) & (motifs["start"] >= 0)]
    alone = there.groupby(["motif", "sequence", "strand"], sort=False)["y"].mean()
    both = spacings[spacings["target"] == name]
    away = (both["y"] - both["alone"]).abs().sort_values(ascending=False, kind="stable")
    return {
        **common(fitted, number),
        "strongest": " ".join(alone.abs().idxmax()[::2]),
        "motifs": [{"motif": motif, "sequence": sequence, "strand": strand, "y": value}
                   for (motif, sequence, strand), value in alone.items()],
        "spacings": both.loc[away.index[:STRONGEST]].to_dict("records"),
    }  # fmt: skip


def pairs(surrogate: Surrogate, number: int, effects: Effects, errors: Effects | None) -> dict:
    """The triangle of pairs, and the strongest of them with their standard errors."""
    if len(effects.terms) < 2:
        return {"triangle": None, "pairs": []}
    term = effects.terms[1]
    drawn = triangle(surrogate, number, term) if pair_strengths(term).any() else None
    found = _strongest(surrogate.alphabet, term, errors.terms[1] if errors else None)
    return {"triangle": drawn, "pairs": found}


def _strongest(alphabet: str, term: Term, errors: Term | None) -> list[dict]:
    """The largest effects of symbols at two positions, as rows."""
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
    """Variants of a locus by target, the largest effects first.

    A cell for each method: effect and standard error, None if the method has none. Methods without
    any effect here have no column.
    """
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
    return {"methods": methods, "rows": rows[:SHOWN], "more": max(0, len(rows) - SHOWN)}
