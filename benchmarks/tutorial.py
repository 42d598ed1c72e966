"""The examples of docs/surrogates.md on DeepSTARR: their numbers and their pictures.

Runs the commands that the document shows, in a temporary folder, prints the numbers in it and
writes its pictures. Weights, and the enhancer as FASTA, are given by their paths.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from figures import Figure, Figures, machine, print_table, write_json
from geneq import cli
from geneq.libraries import FactorialLibrary, GlobalLibrary, Library, Motif
from geneq.mave import Mave
from geneq.plots import factors, pairs, svg
from geneq.plots import surrogates as plots
from geneq.plots.files import write_svg
from geneq.plots.logo import logo as draw_logo
from geneq.surrogates import Surrogate
from geneq.surrogates.epistasis import check_elements, matrices, read_elements
from geneq.surrogates.tables import TABLES

TARGET, LENGTH = "dev", 249
# Positions of the enhancer whose logo is shown, and where pairs are fitted.
SHOWN, WINDOW = (65, 175), (95, 155)
# Parts of its logo that look like sites.
ELEMENTS = "left:106-114,GATA:120-131,right:133-141"
# Effects of variants, in the units of scores, whose sign matters.
LARGE = 0.3
# AP-1's site with its flanks.
SITE = "CGATGACTCATCG"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="of DeepSTARR (.h5)")
    parser.add_argument("--enhancer", type=Path, required=True, help="249 bases (FASTA)")
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
        return TABLES[table].read(self.folder / name / f"{table}.parquet")

    def r2(self, name: str) -> float:
        table = self.table(name, "surrogate_metrics").set_index("metric")["value"]
        return float(table["r2"])

    def draw(self, name: str, picture: svg.Drawing) -> None:
        if self.args.pictures:
            write_svg(picture, self.args.pictures / f"{name}.svg", symbols="ACGT")


def logo(made: Surrogate, window: tuple[int, int]) -> svg.Drawing:
    """Effects of symbols in a window, with the standard error of the largest of each position."""
    effects, errors = (table[slice(*window)] for table in made.symbols_at())
    largest = errors[np.arange(len(errors)), np.abs(effects).argmax(axis=1)]
    return draw_logo(effects, "ACGT", "Effects of bases", largest, window[0], "effect on φ")


# --- an enhancer ----------------------------------------------------------------------------------


def local(run: Run) -> Figures:
    """Additive effects about one enhancer."""
    library = run.mutagenize("random", "--type", "random", "--n", run.rows(20_000))
    run.score("enhancer", library)
    made = run.fit("additive", of="enhancer")
    run.draw("additive", logo(made, SHOWN))
    run.draw("latent", plots.curve(made, 0, run.table("additive", "latent"), plots.DOTS))
    return {"additive_r2": Figure(run.r2("additive"), "r²")}


def interactions(run: Run) -> Figures:
    """Pairs within a window, and elements in it."""
    window = "{}-{}".format(*WINDOW)
    library = run.mutagenize("window", "--type", "random", "--n", run.rows(50_000),
                             "--windows", window)  # fmt: skip
    mave = run.score("window", library)
    run.fit("window_additive", of="window")
    made = run.fit("pairwise", "--map", "pairwise", "--elements", ELEMENTS, of="window")
    term = made.effects("empirical").terms[1]
    run.draw("pairs", plots.triangle(made, 0, term, most=plots.PAIRS, size=plots.LARGE))
    elements = check_elements(read_elements(ELEMENTS), mave.length)
    table = run.table("pairwise", "elements")
    run.draw("elements", pairs.element_map(*matrices(table, elements)[TARGET],
                                           "Interactions of elements"))  # fmt: skip
    found = {"window_additive_r2": Figure(run.r2("window_additive"), "r²"),
             "pairwise_r2": Figure(run.r2("pairwise"), "r²")}  # fmt: skip
    for row in table.itertuples():
        name = f"{row.element_1} × {row.element_2}"
        found[name] = Figure(row.phi, f"of φ, ± {row.se_phi:.2g}")
    return found


def variants(run: Run) -> Figures:
    """Every single-nucleotide variant, by the surrogate and by the network itself."""
    library = run.mutagenize("saturation", "--type", "saturation")
    mave = run.score("saturation", library)
    truth = mave.y[1:, 0].astype(np.float64) - mave.y[0, 0]
    made = Surrogate.load(run.folder / "additive")
    effect, error = made.differences(mave.library.tokens()[1:])
    run.draw("variants", against(truth, effect, error))
    near = np.abs(truth) > LARGE
    return {
        "variants_r": Figure(float(stats.pearsonr(truth, effect)[0]), "Pearson"),
        "variants_rho": Figure(float(stats.spearmanr(truth, effect)[0]), "Spearman"),
        "variants_large": Figure(int(near.sum()), "variants"),
        "variants_large_sign": Figure(float((truth * effect > 0)[near].mean()), "share"),
        "variants_error": Figure(float(np.median(error)), "dev"),
    }


def against(truth: np.ndarray, effect: np.ndarray, error: np.ndarray) -> svg.Drawing:
    """Effects with 95 % intervals against the network's, and the line of equality."""
    low, high = effect - 1.96 * error, effect + 1.96 * error
    panel = svg.Panel(svg.limits(truth), svg.limits([*low, *high]), 380, 340)
    ends = np.array([truth.min(), truth.max()])
    x, bars = panel.x(truth), zip(panel.y(low), panel.y(high), strict=True)
    path = "".join(f"M{svg.number(at)} {svg.number(a)}V{svg.number(b)}"
                   for at, (a, b) in zip(x, bars, strict=True))  # fmt: skip
    return svg.figure(
        panel.width, panel.height, "Effects of variants by the surrogate and by the network",
        panel.axes("dev of the variant − of the enhancer", "by the surrogate, ± 95 %"),
        svg.tag("path", d=path, class_="error"),
        svg.dots(x, panel.y(effect), "measured"),
        svg.line(*map(float, (panel.x(ends[0]), panel.y(ends[0]), panel.x(ends[1]),
                              panel.y(ends[1]))), "identity"),
    )  # fmt: skip


# --- anywhere -------------------------------------------------------------------------------------


def element(run: Run) -> Figures:
    """A site in random contexts."""
    start = (LENGTH - len(SITE)) // 2
    wild = "N" * start + SITE + "N" * (LENGTH - len(SITE) - start)
    window = (start, start + len(SITE))
    library = GlobalLibrary(wild, n=run.rows(50_000), rate=0.3, windows=[window])
    run.score("site", library)
    made = run.fit("site_additive", "--gauge", "uniform", of="site")
    run.fit("site_pairwise", "--map", "pairwise", of="site")
    run.draw("site", logo(made, window))
    return {"site_additive_r2": Figure(run.r2("site_additive"), "r²"),
            "site_pairwise_r2": Figure(run.r2("site_pairwise"), "r²")}  # fmt: skip


def spacing(run: Run) -> Figures:
    """Two sites by their spacing."""
    one = Motif("AP1", "TGACTCA", positions=[100], optional=True)
    other = Motif("GATA", "AGATAAG", spacings=range(0, 41), orientations="+-", optional=True)
    library = FactorialLibrary(motifs=[one, other], length=LENGTH, n_backgrounds=run.rows(200))
    run.score("factorial", library)
    run.fit("factorial")
    table = run.table("factorial", "spacings")
    run.draw("spacing", factors.spacing_curves(table, TARGET))
    levels = run.table("factorial", "levels").groupby(["motif", "strand"])["y"].mean()
    gain = table["y"] - table["alone"]
    found = {f"{motif} {strand}": Figure(value, TARGET)
             for (motif, strand), value in levels.items() if strand}  # fmt: skip
    best = gain.argmax()
    return found | {
        "spacing_largest_interaction": Figure(float(gain[best]), TARGET),
        "spacing_at": Figure(int(table["spacing"][best]), "bases"),
        "spacing_interaction": Figure(float(gain.mean()), TARGET),
        "spacing_agreement": Figure(float(np.corrcoef(table["y"], table["measured"])[0, 1]), "r"),
    }


PARTS: list[Callable[[Run], Figures]] = [local, interactions, variants, element, spacing]

if __name__ == "__main__":
    main()
