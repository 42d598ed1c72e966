"""Attribute the scores of a locus to its symbols by several methods, in the form of surrogates.

--mave is a library with scores (mave.parquet, or a user-supplied table); the scores of its wild
type are attributed. OUT gets attributions.parquet: target, method, position (0-based), wild, symbol
and effect, the score with this symbol in place of the wild type's minus the score of the wild type;
attribution_agreement.parquet, correlations between methods of effects minus their mean at each
position; and a logo for each method. Methods of --oracle are those of geneq.oracles.attribution;
ridge, lasso and lime are fitted to the scores of the library.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import _ext, encoding
from ..artifacts import ATTRIBUTION_AGREEMENT, ATTRIBUTIONS
from ..checks import check_int
from ..errors import GeneqError
from ..mave import Mave
from ..oracles import load_oracle
from ..oracles.attribution import METHODS, attribute, available, single_substitutions
from ..oracles.blocks import NamedOracles
from ..oracles.windows import MAX_WINDOWS, add_equation_options, check_library, named_by
from ..plots.files import write_svg
from ..plots.logo import logo
from ..surrogates import Surrogate, levels
from ..surrogates.linear import METHODS as LINEAR_METHODS
from ..surrogates.linear import linear_effects


@dataclass(frozen=True)
class Options:
    """What is compared.

    oracle: FORMAT:SOURCE. surrogate: folder of `geneq surrogate`. methods: None for all that can be
    applied; those that cannot are then skipped with a message. seed: of references and validation
    rows. named: models that an equation's features were made with. max_windows: that they may read
    for a target.
    """

    oracle: str | None = None
    surrogate: Path | None = None
    methods: tuple[str, ...] | None = None
    seed: int = 1
    threads: int = 1
    named: NamedOracles | None = None
    max_windows: int = MAX_WINDOWS


# By target and method, effects float64[length, symbols].
Effects = dict[str, dict[str, np.ndarray]]


def add_arguments(parser: ArgumentParser) -> None:
    """Options of `geneq attribute`."""
    parser.add_argument("--mave", type=Path, required=True, help="library with scores")
    parser.add_argument(
        "--alphabet", default="dna", help="alphabet of a user-supplied table (default: dna)"
    )
    parser.add_argument("--wild_type", help="wild type of that table (default: the consensus)")
    parser.add_argument("--target", nargs="+", help="targets (default: all)")
    parser.add_argument("--oracle", help=f"TYPE:WHAT, for {', '.join(METHODS)}")
    parser.add_argument("--surrogate", type=Path, help="folder of `geneq surrogate`, to compare")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[*METHODS, *LINEAR_METHODS],
        help="methods (default: all that the oracle supports, and ridge, lasso and lime)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of references and validation rows (default: 1)"
    )
    add_equation_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="output folder")


def run(args: Namespace) -> None:
    """Write the effects, their agreement, and logos."""
    check_int(args.seed, "--seed", 0)
    methods = None if args.methods is None else tuple(dict.fromkeys(args.methods))
    named = named_by(args, [args.oracle] if args.oracle else [])
    options = Options(
        args.oracle, args.surrogate, methods, args.seed, args.threads, named, args.max_windows
    )
    targets = None if args.target is None else list(dict.fromkeys(args.target))
    mave = Mave.open(args.mave, args.alphabet, args.wild_type).of_targets(targets)
    effects = attributions(mave, options)
    found = agreement(effects)
    ATTRIBUTIONS.write(as_table(mave, effects), args.out / "attributions.parquet")
    ATTRIBUTION_AGREEMENT.write(found, args.out / "attribution_agreement.parquet")
    write_logos(mave, effects, args.out)
    print(found.to_string(index=False, float_format="%.3f"))


def attributions(mave: Mave, options: Options) -> Effects:
    """Effects by target and method."""
    oracle = load_oracle(options.oracle, named=options.named) if options.oracle else None
    methods = options.methods or (*(available(oracle) if oracle else ()), *LINEAR_METHODS)
    if asking := [method for method in methods if method in METHODS and not oracle]:
        raise GeneqError("These methods need an oracle", value=", ".join(asking),
                         fix="Give --oracle")  # fmt: skip
    return {
        target: _of_surrogate(options.surrogate, mave, target)
        | dict(_of_methods(mave, number, methods, oracle, options))
        for number, target in enumerate(mave.targets)
    }


def _of_surrogate(folder: Path | None, mave: Mave, target: str) -> dict[str, np.ndarray]:
    """Effects of the surrogate in `folder`, if one is given."""
    if folder is None:
        return {}
    surrogate = Surrogate.load(folder)
    if not np.array_equal(surrogate.wild_type, mave.wild_type):
        raise GeneqError("The surrogate and the library have different wild types", file=folder)
    effects = surrogate.effects("wild_type", target, units="y")
    return {"surrogate": effects.additive(mave.length)}


def _of_methods(
    mave: Mave, number: int, methods: tuple[str, ...], oracle: Any, options: Options
) -> Iterator[tuple[str, np.ndarray]]:
    """Methods and their effects on the target of this number."""
    for method in methods:
        try:
            yield method, _of_method(mave, number, method, oracle, options)
        except GeneqError as error:
            if options.methods:
                raise
            print(f"skipped: {method} of {mave.targets[number]}: {error}")


def _of_method(mave: Mave, number: int, method: Any, oracle: Any, options: Options) -> np.ndarray:
    """Effects float64[length, symbols]."""
    if method in METHODS:
        wild_type = encoding.strings(mave.wild_type[None], mave.alphabet)[0]
        if method == "ism":
            parts = single_substitutions(wild_type).stream()
            check_library(oracle, parts, options.max_windows)
        return attribute(oracle, wild_type, method, mave.targets[number], seed=options.seed)
    symbols = len(_ext.alphabet(mave.alphabet)[0])
    mutations, y = mave.mutations(options.threads), mave.y[:, number]
    return linear_effects(mutations, y, mave.wild_type, symbols, method, seed=options.seed)


def as_table(mave: Mave, effects: Effects) -> pd.DataFrame:
    """The effects as ATTRIBUTIONS."""
    places = levels.places(mave.wild_type, mave.alphabet)
    tables = [
        pd.DataFrame({"target": target, "method": method, **places, "effect": values.ravel()})
        for target, found in effects.items()
        for method, values in found.items()
    ]
    if not tables:
        raise GeneqError("No method can be applied", fix="See the reasons above, or set --methods")
    return pd.concat(tables, ignore_index=True)


def agreement(effects: Effects) -> pd.DataFrame:
    """Correlations of methods as ATTRIBUTION_AGREEMENT, over effects that both have."""
    rows = []
    for target, found in effects.items():
        for names in combinations(found, 2):
            both = [found[name] - found[name].mean(axis=1, keepdims=True) for name in names]
            known = np.isfinite(both).all(axis=0)
            one, other = (values[known] for values in both)
            flat = not known.any() or min(one.std(), other.std()) == 0
            rows.append((target, *names, np.nan if flat else np.corrcoef(one, other)[0, 1]))
    return pd.DataFrame(rows, columns=list(ATTRIBUTION_AGREEMENT.columns))


def write_logos(mave: Mave, effects: Effects, out: Path) -> None:
    """<number of the target>_<method>.svg: names of targets need not be valid file names."""
    symbols = "".join(levels.names(mave.alphabet)[0])
    for number, (target, found) in enumerate(effects.items()):
        for method, values in found.items():
            centred = values - values.mean(axis=1, keepdims=True)
            title = f"{target}, {method}"
            drawing = logo(centred, symbols, f"Effects on {title}", ylabel="effect on the score")
            write_svg(drawing, out / f"{number}_{method}.svg", title, symbols)
