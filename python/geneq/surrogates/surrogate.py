"""A fitted surrogate: its phenotype, predictions, effects in any gauge, and its files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..artifacts import read_json, write_json, written_whole
from ..checks import check_format
from ..errors import GeneqError, not_found
from ..libraries import Mutations
from . import levels, maps, noise, nonlinearity
from .gauges import Effects, Term, probabilities
from .standard_errors import STEP, Replicates

FORMAT, VERSION = "geneq-surrogate", 1
# Symbols of sequences that are looked at together.
BATCH = 1 << 24
UNITS = ("phi", "y")


@dataclass
class Output:
    """What was fitted to one target.

    φ = design · theta + offset; y = y_mean + y_sd · g(φ; eta), with noise of parameters `noise`.
    history: of every step, the loss of training rows with the prior, and that of validation rows.
    """

    target: str
    theta: np.ndarray
    offset: float
    eta: np.ndarray
    noise: np.ndarray
    y_mean: float
    y_sd: float
    strength: float
    pair_strength: float | None
    steps: int
    why: str
    history: list[tuple[float, float]] = field(default_factory=list, repr=False)
    replicates: Replicates | None = field(default=None, repr=False)


# What of an Output is an array; the rest is JSON.
OUTPUT_ARRAYS = ("theta", "eta", "noise", "history")
REPLICATES = tuple(Replicates.__dataclass_fields__)


@dataclass(frozen=True)
class BesideWild:
    """Rows with the wild type behind them: what makes them from it, and their design."""

    changes: Mutations
    design: maps.Design

    def phi(self, output: Output) -> np.ndarray:
        """Latent phenotypes float64[rows + 1]."""
        return self.design.phi(output.theta) + output.offset


@dataclass
class Surrogate:
    """Maps, models and what was fitted to each target.

    frequencies: float64[length, symbols] in training rows. split: int8[n] of the rows it was fitted
    to: 0 training, 1 validation, 2 test. windows: where these rows were mutated, None for anywhere;
    what stands elsewhere says nothing of φ.
    """

    wild_type: np.ndarray
    alphabet: str
    map: maps.Map
    nonlinearity: nonlinearity.Nonlinearity
    noise: noise.Noise
    layout: maps.Layout
    frequencies: np.ndarray
    split: np.ndarray
    outputs: list[Output]
    windows: tuple[maps.Window, ...] | None = None

    @property
    def targets(self) -> list[str]:
        return [output.target for output in self.outputs]

    @property
    def symbols(self) -> int:
        """Symbols of the alphabet."""
        return self.layout.symbols

    @property
    def inside(self) -> np.ndarray:
        """bool[length]: the positions of `windows`."""
        return maps.within(self.windows, len(self.wild_type))

    # --- predictions --------------------------------------------------------------------------

    def phi(self, tokens: np.ndarray, threads: int = 1) -> np.ndarray:
        """Latent phenotypes float64[n, targets] of uint8[n, length].

        Raises GeneqError for another length, and where a symbol that differs from the wild type
        is unknown. What stands outside of the windows is not looked at.
        """
        tokens = self._checked(tokens)
        step = max(1, BATCH // len(self.wild_type))
        parts = [np.empty((0, len(self.outputs)))]
        for start in range(0, len(tokens), step):
            part = tokens[start : start + step]
            parts.append(self.phi_of(self._changes(part), len(part), threads))
        return np.concatenate(parts)

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        """Sequences as an array, which they must be."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.shape[1] != len(self.wild_type) or tokens.dtype != np.uint8:
            raise GeneqError(
                f"Sequences must be tokens uint8[n, {len(self.wild_type)}]",
                value=f"{tokens.dtype} of shape {tokens.shape}",
            )
        return tokens

    def _changes(self, tokens: np.ndarray) -> Mutations:
        """What makes sequences from the wild type, inside of the windows."""
        row, position = np.nonzero((tokens != self.wild_type) & self.inside)
        return Mutations(row, position.astype(np.int32), tokens[row, position])

    def phi_of(self, mutations: Mutations, n_rows: int, threads: int = 1) -> np.ndarray:
        """Latent phenotypes float64[n_rows, targets] of rows given by their mutations."""
        rows = self.layout.rows(mutations, n_rows)
        design = self.layout.design(rows, mutations, threads)
        columns = [design.phi(output.theta) + output.offset for output in self.outputs]
        return np.stack(columns, axis=1)

    def predict(self, tokens: np.ndarray, threads: int = 1) -> np.ndarray:
        """Predictions float64[n, targets], in the units of y: the mode of the noise model."""
        return self.curve(self.phi(tokens, threads))

    def curve(self, phi: np.ndarray) -> np.ndarray:
        """y float64[n, targets] of φ float64[n, targets]: the nonlinearity."""
        columns = [output.y_mean + output.y_sd * self._yhat(output, column)
                   for output, column in zip(self.outputs, phi.T, strict=True)]  # fmt: skip
        return np.stack(columns, axis=1)

    def band(self, phi: np.ndarray, share: float = 0.95, sigma: np.ndarray | None = None):
        """Lower and upper y, float64[n, targets] each, between which a share of y should lie."""
        edges = ((1 - share) / 2, (1 + share) / 2)
        low, high = (self.quantile(phi, edge, sigma) for edge in edges)
        return low, high

    def quantile(self, phi: np.ndarray, q: float, sigma: np.ndarray | None = None) -> np.ndarray:
        """y float64[n, targets] below which, by the noise model, lies a share q."""
        columns = [
            output.y_mean + output.y_sd * self.noise.quantile(
                output.noise, q, self._yhat(output, phi[:, k]), self._sigma(output, sigma, k)
            )
            for k, output in enumerate(self.outputs)
        ]  # fmt: skip
        return np.stack(columns, axis=1)

    def losses(self, phi: np.ndarray, y: np.ndarray, sigma=None) -> np.ndarray:
        """−log densities of y float64[n, targets], in nats, of y in its own units."""
        columns = [
            np.log(output.y_sd) + self.noise.losses(*self._scored(output, phi, y, sigma, k))
            for k, output in enumerate(self.outputs)
        ]
        return np.stack(columns, axis=1)

    def cdf(self, phi: np.ndarray, y: np.ndarray, sigma=None) -> np.ndarray:
        """The chance of less than y, float64[n, targets]."""
        columns = [self.noise.cdf(*self._scored(output, phi, y, sigma, k))
                   for k, output in enumerate(self.outputs)]  # fmt: skip
        return np.stack(columns, axis=1)

    def _yhat(self, output: Output, phi: np.ndarray) -> np.ndarray:
        return self.nonlinearity.at(output.eta, phi).y

    def _sigma(self, output: Output, sigma, k: int) -> np.ndarray | None:
        return None if sigma is None else np.asarray(sigma, np.float64)[:, k] / output.y_sd

    def _scored(self, output: Output, phi, y, sigma, k: int) -> tuple:
        standard = (np.asarray(y, np.float64)[:, k] - output.y_mean) / output.y_sd
        yhat = self._yhat(output, phi[:, k])
        return output.noise, standard, yhat, self._sigma(output, sigma, k)

    # --- effects ------------------------------------------------------------------------------

    def effects(
        self,
        gauge: str | np.ndarray = "empirical",
        target: int | str = 0,
        units: str = "phi",
    ) -> Effects:
        """Effects of symbols, and of sets of them, in a gauge; predictions are the same in all.

        gauge: "wild_type", "uniform", "empirical" (frequencies of training rows), "consensus"
        (their most frequent symbols), or probabilities float64[length, symbols]. units: "phi",
        or "y", which is θ · dy/dφ at the wild type. A mutation that no training row has is as
        its wild type in all.
        """
        output = self.outputs[self._index(target)]
        if units not in UNITS:
            raise GeneqError(f"units are {' or '.join(UNITS)}", value=units)
        weights = probabilities(gauge, self.wild_type, self.symbols, self.frequencies)
        plain = self.layout.effects(output.theta)
        fixed = Effects(output.offset, plain.terms).fixed(weights)
        return fixed if units == "phi" else fixed.scaled(self.slope(output))

    def slope(self, output: Output) -> float:
        """dy/dφ at the wild type."""
        return self._slope(output, output.offset, output.eta)

    def _slope(self, output: Output, wild: float, eta: np.ndarray) -> float:
        return float(output.y_sd * self.nonlinearity.at(eta, np.array([wild])).slope()[0])

    # --- errors -------------------------------------------------------------------------------

    def errors(
        self,
        gauge: str | np.ndarray = "empirical",
        target: int | str = 0,
        units: str = "phi",
    ) -> Effects:
        """Standard errors of `effects`, in the same places.

        They are the scatter over libraries of the same kind, estimated from the rows of this one.
        NaN for a symbol that no training row has; 0 where an interaction was left out. Raises
        GeneqError where the fit has no replicates.
        """
        effects = self.effects(gauge, target, units)
        constant, *tables = _rms(self._moves(gauge, target, units))
        terms = [Term(t.sites, table) for t, table in zip(effects.terms, tables, strict=True)]
        terms[0].values[self._unseen()[terms[0].sites[:, 0]]] = np.nan
        return Effects(float(constant), tuple(terms))

    def resampled(
        self,
        gauge: str | np.ndarray = "empirical",
        target: int | str = 0,
        units: str = "phi",
    ) -> Iterator[Effects]:
        """What every replicate adds to `effects`: errors of what is made of them are its scatter.

        The root of the mean square, about 0. Raises GeneqError where the fit has no replicates.
        """
        sites = [term.sites for term in self.effects(gauge, target).terms]
        for constant, *tables in self._moves(gauge, target, units):
            yield Effects(constant, tuple(map(Term, sites, tables)))

    def symbols_at(
        self, gauge: str | np.ndarray = "empirical", target: int | str = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Additive effects in φ, less their mean at each position, and their standard errors.

        float64[length, symbols] each: what a logo shows.
        """
        table = self.effects(gauge, target).additive(len(self.wild_type))
        moves = (move[1] - move[1].mean(axis=1, keepdims=True)
                 for move in self._moves(gauge, target, "phi"))  # fmt: skip
        (errors,) = _rms([move] for move in moves)
        errors[self._unseen()] = np.nan
        return table - table.mean(axis=1, keepdims=True), errors

    def _moves(self, gauge, target: int | str, units: str) -> Iterator[list[float | np.ndarray]]:
        """Of every replicate, the constant and the values of terms less those of the fit."""
        output, values = self.outputs[self._index(target)], self.effects(gauge, target).values
        weights = probabilities(gauge, self.wild_type, self.symbols, self.frequencies)
        slope = self.slope(output)
        for number, theta in enumerate(self._replicates(output)):
            terms = self.layout.effects(theta).terms
            moved = Effects(output.replicates.offset[number], terms).fixed(weights).values
            if units == "y":
                steeper = self._steeper(output, number)
                moved = [m * slope + v * steeper for m, v in zip(moved, values, strict=True)]
            yield moved

    def differences(
        self, tokens: np.ndarray, target: int | str = 0, threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicted y of uint8[n, length] less that of the wild type, and standard errors.

        float64[n] each, in the units of y. The error is NaN where a row has a symbol that no
        training row has, and of all rows where the fit has no replicates. Both are NaN where a row
        has another symbol than the wild type outside of the windows, of which the fit knows
        nothing; a known symbol for an unknown one is none. Raises as `phi` does.
        """
        output, beside = self.outputs[self._index(target)], self._beside_wild(tokens, threads)
        y = output.y_sd * self._yhat(output, beside.phi(output))
        effects, errors = y[:-1] - y[-1], np.full(len(tokens), np.nan)
        if output.replicates is not None:
            squares = sum(moved**2 for _, moved in self._moved(output, beside))
            errors = np.sqrt(squares / len(output.replicates))
        row, position, symbol = beside.changes
        errors[row[self._unseen()[position, symbol]]] = np.nan
        elsewhere = ~self.inside & (self.wild_type < self.symbols)
        foreign = ((tokens != self.wild_type) & elsewhere).any(axis=1)
        effects[foreign] = errors[foreign] = np.nan
        return effects, errors

    def resampled_differences(
        self, tokens: np.ndarray, target: int | str = 0, threads: int = 1
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What every replicate adds to φ and to y of uint8[n, length], less those of the wild type.

        float64[n] each, y in its units; see `resampled`.
        """
        output = self.outputs[self._index(target)]
        return self._moved(output, self._beside_wild(tokens, threads))

    def _beside_wild(self, tokens: np.ndarray, threads: int) -> "BesideWild":
        changes, rows = self._changes(self._checked(tokens)), len(tokens) + 1
        design = self.layout.design(self.layout.rows(changes, rows), changes, threads)
        return BesideWild(changes, design)

    def _moved(
        self, output: Output, beside: "BesideWild"
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        phi = beside.phi(output)
        curve = self.nonlinearity.at(output.eta, phi)
        slope = curve.slope()
        for number, theta in enumerate(self._replicates(output)):
            by_phi = beside.design.phi(theta) + output.replicates.offset[number]
            eta = output.eta + STEP * output.replicates.eta[number]
            by_y = slope * by_phi + (self.nonlinearity.at(eta, phi).y - curve.y) / STEP
            yield by_phi[:-1] - by_phi[-1], output.y_sd * (by_y[:-1] - by_y[-1])

    def _replicates(self, output: Output) -> Iterator[np.ndarray]:
        """float64[size]: θ of every replicate less that of the fit."""
        if output.replicates is None:
            raise GeneqError("The surrogate was fitted without errors", value=output.target,
                             fix="Fit it with replicates, such as 100")  # fmt: skip
        return (output.replicates.full(i, self.layout.size) for i in range(len(output.replicates)))

    def _steeper(self, output: Output, number: int) -> float:
        """By how much dy/dφ at the wild type is larger in a replicate."""
        moved = output.replicates
        there = output.offset + STEP * moved.offset[number], output.eta + STEP * moved.eta[number]
        return (self._slope(output, *there) - self.slope(output)) / STEP

    def _unseen(self) -> np.ndarray:
        """bool[length, symbols]: other symbols than the wild type's that no training row has."""
        return (self.frequencies == 0) & (np.arange(self.symbols) != self.wild_type[:, None])

    def _index(self, target: int | str) -> int:
        if isinstance(target, str) and target in self.targets:
            return self.targets.index(target)
        if isinstance(target, int) and 0 <= target < len(self.outputs):
            return target
        raise GeneqError(
            "No such target", value=target, fix=f"There are: {', '.join(self.targets)}"
        )

    def table(self, gauge: str | np.ndarray = "empirical") -> pd.DataFrame:
        """Additive effects, as `artifacts.EFFECTS`.

        A row for each target, position and symbol. Effects are NaN outside the windows, standard
        errors where the fit has no replicates.
        """
        length, places = len(self.wild_type), levels.places(self.wild_type, self.alphabet)
        tables = []
        for k, output in enumerate(self.outputs):
            effects = self.effects(gauge, k).additive(length)
            effects = np.where(self.inside[:, None], effects, np.nan).ravel()
            errors = {f"se_{units}": np.nan if output.replicates is None
                      else self.errors(gauge, k, units).additive(length).ravel()
                      for units in UNITS}  # fmt: skip
            tables.append(pd.DataFrame({
                "target": output.target, **places,
                "phi": effects, "y": effects * self.slope(output), **errors,
            }))  # fmt: skip
        return pd.concat(tables, ignore_index=True)

    # --- files --------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> None:
        """Write surrogate.npz and surrogate.json to `folder`, whole or not at all."""
        folder = Path(folder)
        arrays = {"wild_type": self.wild_type, "frequencies": self.frequencies,
                  "split": self.split, **self.layout.learnt()}  # fmt: skip
        for k, output in enumerate(self.outputs):
            for name in OUTPUT_ARRAYS:
                arrays[f"{name}_{k}"] = np.asarray(getattr(output, name), np.float64)
            if output.replicates is not None:
                arrays |= {f"replicates_{name}_{k}": value
                           for name, value in vars(output.replicates).items()}  # fmt: skip
        document = {
            "format": FORMAT, "version": VERSION, "alphabet": self.alphabet,
            "windows": self.windows,
            "map": maps.to_dict(self.map), "noise": noise.to_dict(self.noise),
            "nonlinearity": nonlinearity.to_dict(self.nonlinearity),
            "outputs": [{name: value for name, value in vars(output).items()
                         if name not in (*OUTPUT_ARRAYS, "replicates")}
                        for output in self.outputs],
        }  # fmt: skip
        with written_whole(folder / "surrogate.npz") as temporary:
            np.savez(temporary, **arrays)
        write_json(document, folder / "surrogate.json")

    @classmethod
    def load(cls, folder: str | Path) -> "Surrogate":
        """Read what `save` wrote. Raises GeneqError for other files; nothing in them is run."""
        folder = Path(folder)
        document, arrays = read_json(folder / "surrogate.json"), _arrays(folder / "surrogate.npz")
        check_format(document, "a surrogate", FORMAT, VERSION, folder / "surrogate.json")
        try:
            return cls._from(document, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise GeneqError("Not a whole surrogate", value=str(error), file=folder) from None

    @classmethod
    def _from(cls, document: dict, arrays: dict[str, np.ndarray]) -> "Surrogate":
        modules = {"map": maps, "noise": noise, "nonlinearity": nonlinearity}
        made = {name: _made(module.KINDS, document[name]) for name, module in modules.items()}
        symbols = len(levels.names(document["alphabet"])[0])
        windows = _tuples(document.get("windows"))
        layout = made["map"].layout(arrays["wild_type"], symbols, windows)
        layout.recall(arrays)
        outputs = []
        for k, fields in enumerate(document["outputs"]):
            own = {name: arrays[f"{name}_{k}"] for name in OUTPUT_ARRAYS}
            own["history"] = [tuple(step) for step in own["history"].tolist()]
            outputs.append(Output(**fields, **own, replicates=_replicates(arrays, k)))
            if len(own["theta"]) != layout.size:
                raise ValueError(f"{len(own['theta'])} parameters, not {layout.size}")
        kept = {name: arrays[name] for name in ("wild_type", "frequencies", "split")}
        return cls(alphabet=document["alphabet"], layout=layout, outputs=outputs, windows=windows,
                   **made, **kept)  # fmt: skip


def _rms(rows: Iterator[list[float | np.ndarray]]) -> list[np.ndarray]:
    """Root mean squares of every column of rows."""
    squares, count = None, 0
    for row in rows:
        new = [np.square(value) for value in row]
        squares = new if squares is None else [a + b for a, b in zip(squares, new, strict=True)]
        count += 1
    return [np.sqrt(square / count) for square in squares]


def _replicates(arrays: dict[str, np.ndarray], number: int) -> Replicates | None:
    named = {name: arrays.get(f"replicates_{name}_{number}") for name in REPLICATES}
    return None if named["kept"] is None else Replicates(**named)


def _made(kinds: dict[str, type], fields: dict):
    fields = {name: _tuples(value) for name, value in fields.items()}
    return kinds[fields.pop("kind")](**fields)


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        raise not_found(path) from None
    except Exception as error:
        raise GeneqError("Not a whole file of arrays", value=str(error), file=path) from None
