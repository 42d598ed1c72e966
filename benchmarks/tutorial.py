"""The examples of docs/surrogates.md on DeepSTARR: their figures, and their pictures.

Runs the commands that the document shows, in a folder that is thrown away, prints what it states
and writes the pictures it has. Weights, and the enhancer as FASTA, are given by their paths.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Picture
from scipy import stats

from figures import Figure, Figures, machine, print_table, write_json
from geneq import cli, encoding, surrogate
from geneq.epistasis import check_elements, matrices, read_elements
from geneq.libraries import FactorialLibrary, GlobalLibrary, Library, Motif
from geneq.mave import Mave
from geneq.phi import Surrogate
from geneq.plots import epistasis, factors, loci

DPI = 90
TARGET = "dev"
# What looks like sites in the logo of the enhancer.
ELEMENTS = "a:16-25,b:95-105,c:190-200"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="of DeepSTARR (.h5)")
    parser.add_argument("--enhancer", type=Path, required=True, help="249 letters (FASTA)")
    parser.add_argument("--pictures", type=Path, help="folder to write the pictures to")
    parser.add_argument("--json", help="write the figures here too")
    parser.add_argument("--quick", action="store_true", help="smaller libraries: under a minute")
    parser.add_argument("--part", choices=[part.__name__ for part in PARTS], nargs="+")
    args = parser.parse_args()
    print(machine(("torch",)))
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), args)
        for part in PARTS:
            if not args.part or part.__name__ in args.part:
                figures |= part(run)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


class Run:
    """The commands of an example, in a folder, and where its pictures go."""

    def __init__(self, folder: Path, args: argparse.Namespace):
        self.folder, self.args = folder, args

    def rows(self, n: int) -> int:
        return n // 10 if self.args.quick else n

    def geneq(self, command: str, *options) -> None:
        if cli.main([command, *map(str, options)]):
            raise SystemExit(f"geneq {command} failed")

    def score(self, name: str, library: Library | Path) -> Mave:
        """What `geneq score` makes of a recipe, in <name>/mave.parquet."""
        kind, path = "--library", library
        if isinstance(library, Library):
            kind, path = "--recipe", self.folder / f"{name}.json"
            path.write_text(library.to_json())
        oracle = f"deepstarr:{self.args.weights}"
        self.geneq("score", "--oracle", oracle, kind, path, "--target", TARGET,
                   "--out", self.folder / name)  # fmt: skip
        return Mave.load(self.folder / name / "mave.parquet")

    def mutagenize(self, name: str, *options) -> Path:
        path = self.folder / f"{name}.parquet"
        self.geneq("mutagenize", *options, "--fasta", self.args.enhancer, "--out", path)
        return path

    def fit(self, name: str, *options, of: str | None = None) -> Surrogate:
        mave = self.folder / (of or name) / "mave.parquet"
        self.geneq("surrogate", "--mave", mave, *options, "--out", self.folder / name)
        return Surrogate.load(self.folder / name)

    def table(self, name: str, table: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / name / f"{table}.parquet")

    def r2(self, name: str) -> float:
        table = self.table(name, "metrics").set_index("metric")["value"]
        return float(table["r2"])

    def draw(self, name: str, picture: Picture) -> None:
        if self.args.pictures:
            self.args.pictures.mkdir(parents=True, exist_ok=True)
            picture.savefig(self.args.pictures / f"{name}.png", dpi=DPI)


def latent(made: Surrogate, mave: Mave) -> Picture:
    """Of the command's figures, the latent phenotype against the score."""
    phi = made.phi_of(mave.mutations(), mave.n_rows)
    return surrogate.figures(made, 0, phi, mave, made.split == 2)["latent"]


# --- an enhancer -----------------------------------------------------------------------------------


def local(run: Run) -> Figures:
    """Additive effects about one enhancer."""
    library = run.mutagenize("random", "--kind", "random", "--n", run.rows(20_000))
    mave = run.score("enhancer", library)
    made = run.fit("additive", of="enhancer")
    effects = made.effects("empirical", units="y").additive(mave.length)
    run.draw("additive", loci.logo(effects, label="effect on dev"))
    run.draw("latent", latent(made, mave))
    return {"additive_r2": Figure(run.r2("additive"), "r²")}


PARTS: list[Callable[[Run], Figures]] = [local]

if __name__ == "__main__":
    main()
