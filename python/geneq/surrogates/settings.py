"""How `geneq surrogate` fits: its options, and their defaults for each type of library."""

from dataclasses import dataclass, replace
from typing import Any

from ..checks import check_int, choices
from ..errors import GeneqError
from ..libraries import FactorialLibrary
from ..mave import Mave
from . import maps, noise, nonlinearity
from .factorial import arrays
from .fit import fit
from .surrogate import Surrogate

__all__ = ["MOTIFS", "SYMBOLS", "Settings"]

# Defaults for libraries of mutated sequences and for factorial designs. The latter have few levels,
# each in many rows: there is nothing to shrink, and a flexible curve and interactions could be
# mistaken for each other.
SYMBOLS: dict[str, Any] = {
    "map": "additive", "nonlinearity": "tanh", "noise": "skewed_t", "noise_order": 2,
    "strength": None, "shrinkage": "adaptive", "pair_strength": None, "replicates": 100,
}  # fmt: skip
MOTIFS: dict[str, Any] = {
    "map": "pairwise", "nonlinearity": "linear", "noise": "gaussian", "noise_order": 0,
    "strength": 0.0, "shrinkage": "ridge", "pair_strength": 0.0, "replicates": 100,
}  # fmt: skip
# Fields of maps.
FIELDS = ("window", "between", "distance", "order")


@dataclass(frozen=True)
class Settings:
    """How a surrogate is fitted; None means the default for this library.

    Parameters
    ----------
    map : str, optional
        "additive", "neighbour", "pairwise" or "order": terms of the latent phenotype. Default:
        additive; factorial designs: pairwise.
    window : (int, int), optional
        [start, end), 0-based, of the positions of pairs and sets.
    between : pair of (int, int), optional
        Two windows; a pair has one position in each.
    distance : int, optional
        Largest distance of the positions of a pair.
    order : int, optional
        Largest number of positions of a set, for the map "order".
    nonlinearity : str, optional
        "tanh" (default), "spline", "sigmoid" or "linear" (default of factorial designs).
    noise : str, optional
        "skewed_t" (default), "student_t", "cauchy", "gaussian" (default of factorial designs) or
        "empirical".
    noise_order, noise_shape_order : int, optional
        Orders of the polynomials in ŷ of the log scale and of the log shape parameters of the
        noise.
    strength, pair_strength : float, optional
        Precisions of the priors. Default: chosen on validation rows; factorial designs: 0.
    shrinkage : str, optional
        "adaptive" (default) or "ridge" (default of factorial designs).
    replicates : int, optional
        Resampled fits that standard errors are estimated from (default: 100); 0 for none.
    seed : int
        Seed of the split into training, validation and test rows.

    Notes
    -----
    The settings are explained under `geneq.surrogates.fit`.
    """

    map: str | None = None
    window: maps.Window | None = None
    between: tuple[maps.Window, maps.Window] | None = None
    distance: int | None = None
    order: int | None = None
    nonlinearity: str | None = None
    noise: str | None = None
    noise_order: int | None = None
    noise_shape_order: int | None = None
    strength: float | None = None
    pair_strength: float | None = None
    shrinkage: str | None = None
    replicates: int | None = None
    seed: int = 1

    def fit(self, mave: Mave, threads: int = 1) -> Surrogate:
        """Fit a surrogate to every target of `mave`, as `geneq surrogate` does.

        Parameters
        ----------
        mave : Mave
            A library with scores. Factorial designs are fitted as motifs and their levels.
        threads : int
            They change no bit of the result.

        Returns
        -------
        Surrogate
            The fitted surrogate.

        Raises
        ------
        GeneqError
            For settings that do not apply to each other or to `mave`, and as
            `geneq.surrogates.fit` does.
        """
        chosen = self.completed(mave)
        return fit(
            arrays(mave),
            _map(chosen),
            _choose(nonlinearity.KINDS, chosen.nonlinearity, "nonlinearity")(),
            _noise(chosen),
            strength=chosen.strength,
            shrinkage=chosen.shrinkage,
            pair_strength=chosen.pair_strength,
            replicates=chosen.replicates,
            split_seed=check_int(chosen.seed, "seed", 0),
            threads=threads,
        )

    def completed(self, mave: Mave) -> "Settings":
        """The settings with the defaults for the library of `mave`."""
        defaults = MOTIFS if isinstance(mave.library, FactorialLibrary) else SYMBOLS
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        if self.noise == noise.Empirical.kind:  # σ as measured, unless an order is given
            missing.pop("noise_order", None)
        return replace(self, **missing)


def _map(settings: Settings) -> maps.Map:
    made = _choose(maps.KINDS, settings.map, "map")
    given = {name: value for name in FIELDS if (value := getattr(settings, name)) is not None}
    if foreign := sorted(given.keys() - made.__dataclass_fields__.keys()):
        raise GeneqError(f"The map {settings.map} does not take these options",
                         value=", ".join(foreign))  # fmt: skip
    return made(**given)


def _noise(settings: Settings) -> noise.Noise:
    made = _choose(noise.KINDS, settings.noise, "noise model")
    given = {}
    if settings.noise_order is not None:
        given["order"] = settings.noise_order
    if settings.noise_shape_order is not None:
        if not made.shapes:
            raise GeneqError(f"The noise model {settings.noise} has no shape parameters",
                             value="noise_shape_order",
                             fix="Use skewed_t or student_t")  # fmt: skip
        given["shape_order"] = settings.noise_shape_order
    return made(**given)


def _choose(kinds: dict[str, Any], name: str | None, what: str) -> Any:
    if name not in kinds:
        raise GeneqError(f"Unknown {what}", value=name, fix=choices(kinds))
    return kinds[name]
