"""What other methods than a surrogate say of the symbols of a locus, in the same form.

--mave is a library with scores (mave.parquet, or a table of one's own); its wild type is what is
attributed. OUT gets effects.parquet: target, method, position (0-based), wild, symbol and effect,
what the score gains when that symbol stands in the place of the wild type's; agreement.parquet, the
correlations between methods, with the mean over symbols removed at each position; and a logo for
each. The methods of --oracle are those of geneq.oracles.attribution, which ask the oracle; ridge,
lasso and lime are fitted to the scores of the library.
"""

from argparse import ArgumentParser, Namespace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from .. import _ext, encoding
from ..artifacts import written_whole
from ..errors import GeneqError
from ..mave import Mave
from ..oracles import load_oracle
from ..oracles.attribution import METHODS, attribute, available
from ..plots import figures
from ..surrogates import Surrogate, levels
from ..surrogates.linear import KINDS, linear_effects


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq attribute`."""
    parser.add_argument("--mave", type=Path, required=True, help="library with scores")
    parser.add_argument("--alphabet", default="dna", help="alphabet of a table of one's own (dna)")
    parser.add_argument("--wild_type", help="its wild type (default: the consensus)")
    parser.add_argument("--target", nargs="+", help="targets (default: all)")
    parser.add_argument("--oracle", help=f"KIND:WHAT, for {', '.join(METHODS)}")
    parser.add_argument("--surrogate", type=Path, help="folder of `geneq surrogate`, to compare")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[*METHODS, *KINDS],
        help="which (default: all that the oracle can be asked by, and these: ridge, lasso, lime)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of references and validation rows (1)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")


def run(args: Namespace) -> None:
    """Write the effects, how they agree, and logos."""
    oracle = load_oracle(args.oracle) if args.oracle else None
    methods = args.methods or [*(available(oracle) if oracle else ()), *KINDS]
    if asking := [method for method in methods if method in METHODS and not oracle]:
        raise GeneqError("These methods ask the oracle", value=", ".join(asking),
                         fix="Give --oracle")  # fmt: skip
    mave = Mave.open(args.mave, args.alphabet, args.wild_type).of_targets(args.target)
    effects = {
        target: _surrogate(args.surrogate, mave, target)
        | dict(_known(args, mave, oracle, number, methods))
        for number, target in enumerate(mave.targets)
    }
    agreement = _agreement(effects)
    for name, table in (("effects", _table(mave, effects)), ("agreement", agreement)):
        with written_whole(args.out / f"{name}.parquet") as temporary:
            table.to_parquet(temporary, index=False)
    for number, (target, found) in enumerate(effects.items()):
        for method, values in found.items():
            title = f"{target}, {method}"
            figure = figures.logo(values, mave.alphabet, title=title, label="effect on the score")
            with written_whole(args.out / f"{number}_{method}.svg") as temporary:
                figure.savefig(temporary)
    print(agreement.to_string(index=False, float_format="%.3f"))


def _surrogate(folder: Path | None, mave: Mave, target: str) -> dict[str, np.ndarray]:
    """Effects of the surrogate in `folder`, if one is given."""
    if folder is None:
        return {}
    surrogate = Surrogate.load(folder)
    if not np.array_equal(surrogate.wild_type, mave.wild_type):
        raise GeneqError("The surrogate is of another wild type than the library", file=folder)
    effects = surrogate.effects("wild_type", target, units="y")
    return {"surrogate": effects.additive(mave.length)}


def _known(args: Namespace, mave: Mave, oracle, number: int, methods: list[str]):
    """Methods and their effects; what was not asked for by name and is refused is left out."""
    for method in methods:
        try:
            yield method, _effects(args, mave, oracle, number, method)
        except GeneqError as error:
            if args.methods:
                raise
            print(f"left out: {method} of {mave.targets[number]}: {error}")


def _effects(args: Namespace, mave: Mave, oracle, number: int, method: str) -> np.ndarray:
    """Effects float64[length, symbols] of a method on a target, given by its number."""
    if method in METHODS:
        wild_type = encoding.strings(mave.wild_type[None], mave.alphabet)[0]
        return attribute(oracle, wild_type, method, mave.targets[number], seed=args.seed)
    symbols = len(_ext.alphabet(mave.alphabet)[0])
    mutations, y = mave.mutations(args.threads), mave.y[:, number]
    return linear_effects(mutations, y, mave.wild_type, symbols, method, seed=args.seed)


def _table(mave: Mave, effects: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    places = levels.places(mave.wild_type, mave.alphabet)
    tables = [
        pd.DataFrame({"target": target, "method": method, **places, "effect": values.ravel()})
        for target, found in effects.items()
        for method, values in found.items()
    ]
    return pd.concat(tables, ignore_index=True)


def _agreement(effects: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """Columns target, method, other, r: of effects that both know."""
    rows = []
    for target, found in effects.items():
        for method, other in combinations(found, 2):
            both = [found[one] - found[one].mean(axis=1, keepdims=True) for one in (method, other)]
            known = np.isfinite(both).all(axis=0)
            one, two = (values[known] for values in both)
            flat = min(one.std(), two.std()) == 0
            rows.append((target, method, other, np.nan if flat else np.corrcoef(one, two)[0, 1]))
    return pd.DataFrame(rows, columns=["target", "method", "other", "r"])
