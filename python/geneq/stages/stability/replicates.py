"""The search of an equation, repeated on resampled genes."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import sympy

from ...artifacts import REPLICATES
from ...distill.cell_type import CellType, Settings, Source, are_enough
from ...distill.engines import Engine, choose_engine
from ...distill.variables import Variable
from ...equations import Equation, infix, with_numbers
from ...errors import GeneqError

# Variables of one class, or of many, are the same when so correlated over genes.
SAME = 0.9
# Resamples that lack what a search needs are drawn again, so often.
TRIES = 100


def replicates(
    source: Source,
    equations: list[Equation],
    blocks: pd.Series,
    settings: Settings,
    numbers: list[int],
    threads: int,
) -> pd.DataFrame:
    """The table REPLICATES of those replicates.

    equations: the chosen ones, of every cell type; blocks: gene_id → block; numbers: of the
    replicates. The genes and seeds of a replicate depend on its number and `settings.seed` only.
    """
    engine = choose_engine(settings.sr_engine)
    found = [
        replicate(source, equation, blocks, settings, number, engine, threads)
        for number in numbers
        for equation in equations
    ]
    return pd.DataFrame(found, columns=list(REPLICATES.columns))


def replicate(
    source: Source,
    equation: Equation,
    blocks: pd.Series,
    settings: Settings,
    number: int,
    engine: Engine,
    threads: int,
) -> dict:
    """A row of REPLICATES: one cell type on the genes of one replicate."""
    rows = source.rows(equation.document["cell_type"])
    rows = rows[rows["split"] != "test"].reset_index(drop=True)
    rng = np.random.default_rng([settings.seed, number])
    drawn = resampled(rows, blocks, rng)
    settings = replace(settings, seed=int(rng.integers(2**32)))
    cell = CellType.of(source, rows.iloc[drawn].reset_index(drop=True), settings)
    choice = cell.distil(engine, settings, threads)
    member = choice.members[choice.chosen]
    used = [v for v in cell.variables if v.name in member.form.variables]
    names = same_names(used, equation, source, rows["gene_id"].to_numpy())
    expression = with_numbers(member.form, member.constants, 6).xreplace(names)
    return {
        "cell_type": cell.name,
        "replicate": number,
        "selected": choice.selected,
        "complexity": member.form.complexity,
        "infix": infix(expression, 6),
    }


def resampled(rows: pd.DataFrame, blocks: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """Places of rows, int[n]: those of as many blocks as there are, drawn with replacement.

    Raises GeneqError if no draw has training genes, and genes in two folds.
    """
    code, n = codes(rows, blocks)
    for _ in range(TRIES):
        times = rng.multinomial(n, np.full(n, 1 / n))
        drawn = np.repeat(np.arange(len(rows)), times[code])
        some = rows.iloc[drawn]
        if are_enough(some) and "train" in set(some["split"]):
            return drawn
    raise GeneqError(
        "The genes are in too few blocks to be resampled",
        value=f"{n} blocks",
        fix="Use more chromosomes, or --replicates 0",
    )


def codes(rows: pd.DataFrame, blocks: pd.Series) -> tuple[np.ndarray, int]:
    """The block of every row, int[n] from 0, and the number of blocks."""
    code, found = pd.factorize(blocks[rows["gene_id"]], sort=True)
    return code, len(found)


def same_names(
    variables: list[Variable], equation: Equation, source: Source, genes: np.ndarray
) -> dict[sympy.Symbol, sympy.Symbol]:
    """What variables of a replicate are called: as those of the equation where they are the same.

    The same are variables of one class, or two programmes, whose values over genes have a
    correlation of at least SAME; each is the same as one other at most. A programme that is none of
    the equation's is `z_other_programme`.
    """
    names = {v.name: v.name if v.label is not None else f"z_other_{v.name[2:]}" for v in variables}
    chosen = equation.variables(source.features.of_genes(genes))
    label = {v["name"]: v["class"] for v in equation.document["variables"]}
    columns = source.columns[source.places(genes)]
    pairs = [
        (correlation(variable.values(columns), values), variable.name, name)
        for variable in variables
        for name, values in chosen.items()
        if variable.label == label[name]
    ]
    names |= dict(_one_to_one(pairs))
    symbol = {name: sympy.Symbol(name, real=True) for name in (*names, *names.values())}
    return {symbol[old]: symbol[new] for old, new in names.items()}


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Absolute Pearson r of two float64[n]; 0 where one is constant."""
    return abs(float(np.corrcoef(x, y)[0, 1])) if x.std() > 0 and y.std() > 0 else 0.0


def _one_to_one(pairs: list[tuple[float, str, str]]) -> Iterator[tuple[str, str]]:
    """Of (correlation, one, other) those of at least SAME, the closest first, each name once."""
    taken: set[tuple[int, str]] = set()
    for r, one, other in sorted(pairs, reverse=True):
        if r >= SAME and not {(0, one), (1, other)} & taken:
            taken |= {(0, one), (1, other)}
            yield one, other
