"""Surrogate models: effects, a global-epistasis nonlinearity and a noise model, fitted to a MAVE.

y = g(φ(x)) + noise whose scale depends on g (Tareen et al. 2022, Seitz et al. 2024). A fit starts
from an additive ridge regression and ends with L-BFGS over all parameters and all training rows.
φ has mean 0 and standard deviation 1 on training rows and g increases, so that effects are
comparable between loci and seeds.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import _ext
from ..checks import check_int, check_number
from ..errors import GeneqError, some
from ..libraries import Mutations
from ..libraries.base import MOST_THREADS
from . import levels, shrinkage, standard_errors
from .gauges import frequencies
from .maps import Additive, Layout, Map, Window
from .noise import Empirical, Noise, SkewedT
from .nonlinearity import Nonlinearity, Tanh
from .objective import Objective, Prior, Scored, State, Whitening
from .optimise import Found, lbfgs
from .ridge import SHARES, Ridge
from .surrogate import Output, Surrogate

TRAIN, VALID, TEST = range(3)
SHRINKAGES = ("adaptive", "ridge")
# Differences of validation losses, in nats per row, that are negligible.
SLACK = 5e-4
# Training rows per parameter above which validation rows are not needed to stop a fit.
MANY = 15
# Factor between priors that are tried in sequence.
STRONGER = 4.0
# Relative descent of the loss at which a fit has converged: for all parameters, and for φ under a
# nonlinearity that is only approximate.
CLOSELY, LOOSELY = 3e-6, 2e-5
# And at most this much of the loss of all rows, in nats: with many rows a small fraction matters.
LEFT = 0.06


@dataclass
class Arrays:
    """A MAVE as plain arrays.

    Parameters
    ----------
    wild_type : uint8[length]
        Tokens.
    changes : Mutations
        The mutations of all rows, ordered by row and position.
    y : float[n, targets] or float[n]
        Scores or measurements.
    sigma : as y, optional
        Standard deviation of each measurement.
    alphabet : str
    targets : sequence of str, optional
        Names of the targets; by default y0, y1, …
    windows : sequence of (int, int), optional
        Where there are mutations, None for anywhere.
    groups : int[n], optional
        Rows of the same group share something that is not in φ, such as a background; they stay
        together when rows are split and when standard errors are estimated.
    """

    wild_type: np.ndarray
    changes: Mutations
    y: np.ndarray
    sigma: np.ndarray | None = None
    alphabet: str = "dna"
    targets: Sequence[str] | None = None
    windows: Sequence[Window] | None = None
    groups: np.ndarray | None = None

    def __post_init__(self):
        self.y = _columns(self.y, "y")
        self.sigma = None if self.sigma is None else _columns(self.sigma, "sigma")
        self.targets = list(self.targets or [f"y{i}" for i in range(self.y.shape[1])])

    def mutations(self) -> Mutations:
        return self.changes


def _columns(values, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim not in (1, 2) or values.dtype.kind not in "fiu":
        raise GeneqError(
            f"{name} must be numbers, a row for each sequence", value=str(values.dtype)
        )
    return values.reshape(len(values), -1)


@dataclass
class Options:
    """How to fit; see `fit`."""

    map: Map = field(default_factory=Additive)
    nonlinearity: Nonlinearity = field(default_factory=Tanh)
    noise: Noise = field(default_factory=lambda: SkewedT(2))
    strength: float | None = None
    pair_strength: float | None = None
    shrinkage: str = "adaptive"
    start_seed: int | None = None
    steps: int = 500
    patience: int = 20
    replicates: int = 0
    threads: int = 1

    def __post_init__(self):
        if self.shrinkage not in SHRINKAGES:
            raise GeneqError(
                f"shrinkage must be one of {', '.join(SHRINKAGES)}", value=self.shrinkage
            )
        for name in ("strength", "pair_strength"):
            value = getattr(self, name)
            if value is not None and not 0 <= check_number(value, name) < np.inf:
                raise GeneqError(f"{name} must be at least 0", value=value)
        check_int(self.threads, "threads", 1, MOST_THREADS)
        check_int(self.steps, "steps", 1)
        check_int(self.patience, "patience", 1)
        if check_int(self.replicates, "replicates", 0) == 1:
            raise GeneqError("Standard errors need at least two replicates", value=1,
                             fix="Set replicates to 0 for none, or to 100")  # fmt: skip
        if self.start_seed is not None:
            check_int(self.start_seed, "start_seed", 0)


def fit(
    mave,
    map: Map | None = None,
    nonlinearity: Nonlinearity | None = None,
    noise: Noise | None = None,
    *,
    valid: float = 0.1,
    test: float = 0.1,
    split: np.ndarray | None = None,
    split_seed: int = 1,
    **options,
) -> Surrogate:
    """Fit a surrogate to every target of a MAVE.

    Parameters
    ----------
    mave : Mave or Arrays
        Anything with wild_type, mutations(), y, sigma, alphabet, targets and windows.
    map : Map, optional
        By default Additive().
    nonlinearity : Nonlinearity, optional
        By default Tanh(), a sum of tanh.
    noise : Noise, optional
        By default SkewedT(2).
    valid, test : float
        Fractions of rows for validation (they decide when to stop and how strongly to shrink) and
        for testing (they are not used).
    split : int[n], optional
        The part of each row instead: 0 training, 1 validation, 2 test.
    split_seed : int
        Seed of the random split.
    strength : float, optional
        Precision of the prior of additive effects, θ ~ N(0, 1/strength) in the units of φ; by
        default chosen on validation rows.
    pair_strength : float, optional
        The same for interactions: with shrinkage="ridge" their precision, with "adaptive" a factor
        on the precisions that are estimated for each pair of positions.
    shrinkage : {"adaptive", "ridge"}
        Whether interactions have one prior per pair of positions, or one for all.
    start_seed : int, optional
        Adds random effects, of the same size, to those of the ridge regression from which the fit
        starts.
    steps, patience : int
        Most steps of L-BFGS, and steps without a better validation loss after which it ends.
    replicates : int
        Number of resampled fits for standard errors, see `Surrogate.errors`; 0 for none.
    threads : int
        The result does not depend on it, to the bit.

    Returns
    -------
    Surrogate

    Raises
    ------
    GeneqError
        If scores are not finite (gives their rows) or all identical, shapes disagree, or an
        argument is out of range.

    Warns
    -----
    UserWarning
        If there are fewer training rows than parameters.

    References
    ----------
    Tareen et al. 2022, "MAVE-NN: learning genotype-phenotype maps from multiplex assays of variant
    effect"; Seitz et al. 2024, "Interpreting cis-regulatory mechanisms from genomic deep neural
    networks using surrogate models".
    """
    given: dict[str, Any] = {"map": map, "nonlinearity": nonlinearity, "noise": noise}
    chosen = Options(**{k: v for k, v in given.items() if v is not None}, **options)
    y, sigma = _checked(mave, chosen.noise)
    groups = _groups(mave, len(y))
    parts = _split(groups, valid, test, split, split_seed)
    # Products of small matrices are slower with several threads, and their last bits differ.
    with threadpool_limits(1, "blas"):
        return Fitter(mave, chosen, parts, groups).fit(y, sigma)


def _checked(mave, noise: Noise) -> tuple[np.ndarray, np.ndarray | None]:
    """y and sigma as float64[n, targets]."""
    y = np.asarray(mave.y, dtype=np.float64)
    sigma = None if mave.sigma is None else np.asarray(mave.sigma, dtype=np.float64)
    _finite(y, "Scores")
    if len(mave.targets) != y.shape[1]:
        raise GeneqError("There must be a name for every target",
                         value=f"{len(mave.targets)} names, {y.shape[1]} targets")  # fmt: skip
    for name, column in zip(mave.targets, y.T, strict=True):
        if len(column) and column.min() == column.max():
            raise GeneqError(
                "All scores are identical; no surrogate can be fitted",
                value=f"{column[0]:g} for {name}",
                fix="Use another target of the oracle, or a wider library",
            )
    if isinstance(noise, Empirical):
        if sigma is None:
            raise GeneqError("Empirical noise needs sigma, the spread of every score")
        if sigma.shape != y.shape:
            raise GeneqError("sigma must have the shape of y", value=f"{sigma.shape}, {y.shape}")
        _finite(sigma, "sigma")
        if (sigma <= 0).any():
            rows = _rows(np.any(sigma <= 0, axis=1))
            raise GeneqError("sigma must be above 0", value=rows)
        return y, sigma
    return y, None


def _finite(values: np.ndarray, what: str) -> None:
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise GeneqError(f"{what} must be finite", value=_rows(bad),
                         fix="Remove these rows, or score them again")  # fmt: skip


def _rows(bad: np.ndarray) -> str:
    return f"rows {some(np.flatnonzero(bad))}"


def _groups(mave, n: int) -> np.ndarray:
    """int[n]: groups numbered from 0; each row is its own group if none are given."""
    groups = np.arange(n) if getattr(mave, "groups", None) is None else np.asarray(mave.groups)
    if groups.shape != (n,):
        raise GeneqError("There must be a group for each row", value=f"of shape {groups.shape}")
    return np.unique(groups, return_inverse=True)[1]


def _split(groups: np.ndarray, valid: float, test: float, given, seed: int) -> np.ndarray:
    """int8[n]: TRAIN, VALID or TEST for each row; parts have exactly these fractions of groups."""
    n = len(groups)
    if given is not None:
        parts = np.asarray(given)
        if parts.shape != (n,) or not np.isin(parts, (TRAIN, VALID, TEST)).all():
            raise GeneqError(
                "split must be 0, 1 or 2 for each row", value=f"of shape {parts.shape}"
            )
        parts = parts.astype(np.int8)
    else:
        shares = [check_number(share, name) for share, name in ((valid, "valid"), (test, "test"))]
        if min(shares) < 0 or sum(shares) >= 1:
            raise GeneqError("valid and test must be fractions that leave rows to train on",
                             value=f"{valid} and {test}")  # fmt: skip
        check_int(seed, "split_seed", 0)
        count = groups.max(initial=-1) + 1
        parts = np.zeros(count, np.int8)
        order = np.random.default_rng(seed).permutation(count)
        held = [round(count * share) for share in shares]
        parts[order[: held[0]]], parts[order[held[0] : sum(held)]] = VALID, TEST
        parts = parts[groups]
    for part, name, least in ((TRAIN, "training", 10), (VALID, "validation", 2)):
        if (parts == part).sum() < least:
            raise GeneqError(f"At least {least} {name} rows are needed",
                             value=int((parts == part).sum()))  # fmt: skip
    return parts


class Fitter:
    """What all targets share: the rows of each part, and the sums of the ridge regression."""

    def __init__(self, mave, options: Options, parts: np.ndarray, groups: np.ndarray):
        self.options, self.parts, self.groups = options, parts, groups
        self.targets = list(mave.targets)
        self.wild_type = np.ascontiguousarray(mave.wild_type, dtype=np.uint8)
        self.alphabet = mave.alphabet
        self.symbols = len(levels.names(mave.alphabet)[0])
        self.windows = None if mave.windows is None else tuple(map(tuple, mave.windows))
        mutations = _inside(mave.mutations(), len(parts), len(self.wild_type))
        self.layout = options.map.layout(self.wild_type, self.symbols, self.windows)
        self.plain = Layout(self.wild_type, self.symbols)
        self.rows = {p: self._rows(mutations, p) for p in (TRAIN, VALID)}
        self.layout.learn(*self.rows[TRAIN])
        train, changes = self.rows[TRAIN]
        self.frequencies = frequencies(self.wild_type, changes, train.rows, self.symbols)
        self.spread = self.layout.spread(train)
        self.ridge = Ridge(self.plain, train, options.threads)
        self._warn(train)

    def _rows(self, mutations: Mutations, part: int) -> tuple["_ext.FeatureRows", Mutations]:
        kept = self.parts == part
        number = np.cumsum(kept) - 1
        at = kept[mutations.row]
        chosen = Mutations(number[mutations.row[at]], mutations.position[at], mutations.symbol[at])
        return self.layout.rows(chosen, int(kept.sum())), chosen

    def _warn(self, train: "_ext.FeatureRows") -> None:
        size = np.count_nonzero(self.spread)
        if size == 0:
            raise GeneqError("The training rows have no mutations, or all have the same ones")
        if train.rows < size:
            warnings.warn(
                f"There are {train.rows:,} training rows for {size:,} parameters: effects that the "
                "data do not determine are shrunk towards 0 by the prior, whose strength is chosen "
                "on validation rows unless given. Use a larger library or a smaller map.",
                stacklevel=4,
            )

    def fit(self, y: np.ndarray, sigma: np.ndarray | None) -> Surrogate:
        outputs = []
        for index, target in enumerate(self.targets):
            column = None if sigma is None else sigma[:, index]
            outputs.append(self._fit_one(target, y[:, index], column))
        return Surrogate(
            wild_type=self.wild_type, alphabet=self.alphabet, map=self.options.map,
            nonlinearity=self.options.nonlinearity, noise=self.options.noise, layout=self.layout,
            frequencies=self.frequencies, split=self.parts, outputs=outputs, windows=self.windows,
        )  # fmt: skip

    def _fit_one(self, target: str, y: np.ndarray, sigma: np.ndarray | None) -> Output:
        train_y = y[self.parts == TRAIN]
        mean, sd = float(train_y.mean()), float(train_y.std())
        if sd == 0:
            raise GeneqError("All scores of the training rows are identical", value=target)
        scored = {}
        for part in (TRAIN, VALID):
            kept = self.parts == part
            spread = None if sigma is None else sigma[kept] / sd
            scored[part] = ((y[kept] - mean) / sd, spread, len(np.unique(self.groups[kept])))
        additive = {p: Scored(self.plain.design(*self.rows[p], self.options.threads), *scored[p])
                    for p in scored}  # fmt: skip
        state, penalty, precision = self._start(additive)
        line, start = state.eta, (self._whitening(penalty), Prior(state.eta, state.noise))
        state, found = self._lbfgs(additive, self._drawn(state), start[0], precision, start[1])
        if self.options.strength is None and self.layout.size == self.layout.n_additive:
            state, found, precision = self._tuned(additive, state, found, precision, *start)
        strength = float(precision[0])
        both = {p: Scored(self.layout.design(*self.rows[p], self.options.threads), *scored[p])
                for p in scored}  # fmt: skip
        data = shrinkage.Data(self.layout, both[TRAIN], both[VALID], self.options.nonlinearity,
                              self.options.noise, precision, line)  # fmt: skip
        chosen = None
        if self.layout.size > self.layout.n_additive:
            state, found, chosen = self._interactions(data, state, penalty)
        return Output(
            target=target, theta=state.theta / state.sd, offset=-state.mean / state.sd,
            eta=state.eta, noise=state.noise, y_mean=mean, y_sd=sd, strength=strength,
            pair_strength=None if chosen is None else chosen.strength,
            steps=found.steps, why=found.why, history=found.history,
            replicates=self._replicated(data, state, chosen),
        )  # fmt: skip

    def _replicated(
        self, data: shrinkage.Data, state: State, chosen: shrinkage.Chosen | None
    ) -> standard_errors.Replicates | None:
        if not self.options.replicates:
            return None
        calibrated = chosen is not None and shrinkage.on_valid(data, state)
        chosen = chosen or shrinkage.Chosen(state, data.additive_precision, np.nan, np.nan)
        train, valid = (np.unique(self.groups[self.parts == part], return_inverse=True)[1]
                        for part in (TRAIN, VALID))  # fmt: skip
        return standard_errors.replicated(
            data, state, chosen, calibrated, self.options.replicates, (train, valid)
        )

    # --- additive effects ---------------------------------------------------------------------

    def _start(self, scored: dict[int, Scored]) -> tuple[State, float, np.ndarray]:
        """The best additive ridge regression as a state, its penalty, and the equivalent prior."""
        target = scored[TRAIN].y[:, None]

        def tried(penalty: float) -> tuple[float, float, np.ndarray]:
            theta = self.ridge.solve(target, penalty)[:, 0]
            error = scored[VALID].y - scored[VALID].design.phi(theta)
            return float(error.var()), penalty, theta

        given = self.options.strength
        if given is None:
            penalties = [share * self.ridge.size for share in SHARES]
        else:
            # Large enough that the system is solvable where the data leave parameters undetermined,
            # and small enough that the start has effects.
            penalties = [np.clip(given, 1e-6 * self.ridge.size, 1e6 * self.ridge.size)]
        _, penalty, theta = min((tried(penalty) for penalty in penalties), key=lambda one: one[0])
        phi = scored[TRAIN].design.phi(theta)
        # Scores have variance 1, of which a linear fit explains the variance of its predictions.
        explained = float(np.clip(np.corrcoef(phi, target[:, 0])[0, 1] ** 2, 0.01, 0.99))
        strength = penalty * explained / (1 - explained) if given is None else given
        mean, sd = float(phi.mean()), float(phi.std())
        state = State(
            (theta / sd), mean / sd, 1.0,
            self.options.nonlinearity.start(np.sqrt(explained)),
            self.options.noise.start(np.sqrt(1 - explained)),
        )  # fmt: skip
        return state, penalty, np.full(self.plain.size, strength)

    def _drawn(self, state: State) -> State:
        """The state with random effects of the same size added, if requested.

        The nonlinearity still starts linear: on its plateaus effects could not move.
        """
        if self.options.start_seed is None:
            return state
        rng = np.random.default_rng(self.options.start_seed)
        spread = np.sqrt(np.mean(state.theta**2))
        drawn = spread * rng.standard_normal(len(state.theta))
        return replace(state, theta=state.theta + drawn)

    def _whitening(self, penalty: float) -> Whitening:
        factor = self.ridge.factor(penalty)
        if factor is not None:
            return Whitening(np.empty(0), factor)
        spread = self.plain.spread(self.rows[TRAIN][0]) + penalty / self.rows[TRAIN][0].rows
        return Whitening(1 / np.sqrt(spread))

    def _tuned(
        self,
        scored: dict[int, Scored],
        state: State,
        found: Found,
        precision: np.ndarray,
        whitening: Whitening,
        prior: Prior,
    ) -> tuple[State, Found, np.ndarray]:
        """A fit with a stronger or weaker prior, as long as the validation loss improves."""
        for factor in (STRONGER, 1 / STRONGER):
            before = found
            while True:
                tried, other = self._lbfgs(scored, state, whitening, factor * precision, prior)
                if other.score > found.score - SLACK:
                    break
                state, found, precision = tried, other, factor * precision
            if found is not before:
                break
        return state, found, precision

    def _lbfgs(
        self,
        scored: dict[int, Scored],
        state: State,
        whitening: Whitening,
        precision: np.ndarray,
        prior: Prior,
        phi_alone: bool = False,
    ) -> tuple[State, Found]:
        options = self.options
        objective = Objective(
            scored[TRAIN], options.nonlinearity, options.noise, whitening, precision, prior,
            phi_alone,
        )  # fmt: skip
        start = objective.point(state)
        tolerance = LOOSELY if phi_alone else min(CLOSELY, LEFT / len(scored[TRAIN].y))
        unseen = np.count_nonzero(self.spread[: len(precision)] == 0)
        many = len(scored[TRAIN].y) >= MANY * (len(start) - unseen)
        found = lbfgs(
            objective, start, lambda point: objective.loss(point, scored[VALID]), options.steps,
            options.patience, tolerance, np.inf if many else SLACK,
        )  # fmt: skip
        state = objective.state(found.point)
        unit = State(state.theta / state.sd, state.mean / state.sd, 1.0, state.eta, state.noise)
        return unit, found

    # --- interactions -------------------------------------------------------------------------

    def _interactions(
        self, data: shrinkage.Data, state: State, penalty: float
    ) -> tuple[State, Found, shrinkage.Chosen]:
        """Interactions by conjugate gradients, then all parameters by L-BFGS."""
        nothing = np.zeros(self.layout.size - self.layout.n_additive)
        state = data.standardised(state, np.concatenate([state.theta, nothing]))
        options = self.options
        chosen = shrinkage.choose(data, state, options.shrinkage, options.pair_strength)
        return *self._finished(data, chosen, penalty), chosen

    def _finished(
        self, data: shrinkage.Data, chosen: shrinkage.Chosen, penalty: float
    ) -> tuple[State, Found]:
        """All parameters by L-BFGS: φ first, then, if the data suffice, with the others."""
        n = self.layout.n_additive
        state, each, spread = chosen.state, chosen.precision[n:], self.spread[n:]
        kept = np.isfinite(each) & (spread > 0)
        info = shrinkage.Linearised(data, state).weights.sum()
        scale = np.zeros(len(each))
        scale[kept] = 1 / np.sqrt(spread[kept] + each[kept] / info)
        whitening = self._whitening(penalty)
        scale = np.concatenate([whitening.scale, scale])
        whitening = Whitening(scale, whitening.factor)
        precision = np.concatenate([data.additive_precision, np.where(kept, each, 0)])
        scored, results = {TRAIN: data.train, VALID: data.valid}, []
        enough = len(data.train.y) > kept.sum()
        overdetermined = shrinkage.overdetermined(data, state)
        for phi_alone in (True, False)[: 1 + enough]:
            prior = Prior(data.line, state.noise)
            state, found = self._lbfgs(scored, state, whitening, precision, prior, phi_alone)
            if not overdetermined:
                state = shrinkage.calibrated(data, state)
            results.append((data.loss(state), state, found))
        # The fit of φ alone has parameters fitted to validation rows: its loss there is optimistic.
        last = results[-1] if overdetermined else min(results, key=lambda result: result[0])
        return last[1:]


def _inside(mutations: Mutations, n_rows: int, length: int) -> Mutations:
    """`mutations`, checked. Raises GeneqError for rows or positions that do not exist."""
    row, position, symbol = (np.asarray(column) for column in mutations)
    if not len(row) == len(position) == len(symbol):
        raise GeneqError("row, position and symbol of mutations must have the same length",
                         value=f"{len(row)}, {len(position)}, {len(symbol)}")  # fmt: skip
    for values, most, what in ((row, n_rows, "rows"), (position, length, "positions")):
        if len(values) and not 0 <= values.min() <= values.max() < most:
            raise GeneqError(f"Mutations must be within the {most:,} {what}",
                             value=f"{values.min()} to {values.max()}")  # fmt: skip
    if (np.diff(row) < 0).any():
        raise GeneqError("Mutations must be ordered by row and position")
    return Mutations(row.astype(np.int64), position.astype(np.int32), symbol.astype(np.uint8))
