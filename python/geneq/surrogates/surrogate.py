"""A fitted surrogate: its latent phenotype, predictions, effects in any gauge, and files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ..artifacts import atomic_path, read_json, write_json
from ..checks import check_format, choices
from ..errors import GeneqError, not_found
from ..libraries import Mutations
from ..sizes import check_archive
from . import levels, maps, noise, nonlinearity
from .gauges import Effects, Term, probabilities
from .standard_errors import STEP, Replicates

FORMAT, VERSION = "geneq-surrogate", 1
# Symbols of sequences that are processed at a time.
BATCH = 1 << 24
UNITS = ("phi", "y")


@dataclass
class Output:
    """The fit to one target.

    φ = design · theta + offset; y = y_mean + y_sd · g(φ; eta), with noise of parameters `noise`.
    history: for every step, the loss of training rows with the prior, and that of validation rows.
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


# Fields of an Output that are arrays; the others are in the JSON.
OUTPUT_ARRAYS = ("theta", "eta", "noise", "history")
REPLICATES = tuple(Replicates.__dataclass_fields__)


@dataclass(frozen=True)
class RowsAndWild:
    """Rows followed by the wild type: their mutations, and their design."""

    changes: Mutations
    design: maps.Design

    def phi(self, output: Output) -> np.ndarray:
        """Latent phenotypes float64[rows + 1]."""
        return self.design.phi(output.theta) + output.offset


@dataclass
class Surrogate:
    """A fitted surrogate model; `fit` makes it, `load` reads it.

    Attributes
    ----------
    wild_type : uint8[length]
        Tokens.
    alphabet : str
    map, nonlinearity, noise
        The models.
    layout : Layout
        The parameters of the map on this wild type.
    frequencies : float64[length, symbols]
        Frequencies of symbols in training rows.
    split : int8[n]
        Part of each row it was fitted to: 0 training, 1 validation, 2 test.
    outputs : list of Output
        The fit to each target.
    windows : tuple of (int, int), optional
        Where these rows were mutated, None for anywhere. φ does not depend on other positions.
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
        """Names of the targets."""
        return [output.target for output in self.outputs]

    @property
    def symbols(self) -> int:
        """Number of symbols of the alphabet."""
        return self.layout.symbols

    @property
    def inside(self) -> np.ndarray:
        """bool[length]: the positions of `windows`."""
        return maps.within(self.windows, len(self.wild_type))

    # --- predictions --------------------------------------------------------------------------

    def phi(self, tokens: np.ndarray, threads: int = 1) -> np.ndarray:
        """Latent phenotypes of sequences.

        Parameters
        ----------
        tokens : uint8[n, length]
            Positions outside of the windows are ignored.
        threads : int
            The result does not depend on it.

        Returns
        -------
        float64[n, targets]

        Raises
        ------
        GeneqError
            If the length differs, or a symbol that differs from the wild type is unknown.
        """
        tokens = self._checked(tokens)
        step = max(1, BATCH // len(self.wild_type))
        parts = [np.empty((0, len(self.outputs)))]
        for start in range(0, len(tokens), step):
            part = tokens[start : start + step]
            parts.append(self.phi_of(self._changes(part), len(part), threads))
        return np.concatenate(parts)

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        """Sequences as an array. Raises GeneqError for another dtype or shape."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or tokens.shape[1] != len(self.wild_type) or tokens.dtype != np.uint8:
            raise GeneqError(
                f"Sequences must be tokens uint8[n, {len(self.wild_type)}]",
                value=f"{tokens.dtype} of shape {tokens.shape}",
            )
        return tokens

    def _changes(self, tokens: np.ndarray) -> Mutations:
        """The mutations from the wild type to sequences, within the windows."""
        row, position = np.nonzero((tokens != self.wild_type) & self.inside)
        return Mutations(row, position.astype(np.int32), tokens[row, position])

    def phi_of(self, mutations: Mutations, n_rows: int, threads: int = 1) -> np.ndarray:
        """Latent phenotypes float64[n_rows, targets] of rows that are given by their mutations."""
        rows = self.layout.rows(mutations, n_rows)
        design = self.layout.design(rows, mutations, threads)
        columns = [design.phi(output.theta) + output.offset for output in self.outputs]
        return np.stack(columns, axis=1)

    def predict(self, tokens: np.ndarray, threads: int = 1) -> np.ndarray:
        """Predictions of sequences, in the units of y: the mode of the noise model.

        Parameters, errors and shapes are those of `phi`.
        """
        return self.curve(self.phi(tokens, threads))

    def curve(self, phi: np.ndarray) -> np.ndarray:
        """The nonlinearity: y, float64[n, targets], for φ, float64[n, targets]."""
        columns = [output.y_mean + output.y_sd * self._yhat(output, column)
                   for output, column in zip(self.outputs, phi.T, strict=True)]  # fmt: skip
        return np.stack(columns, axis=1)

    def band(
        self, phi: np.ndarray, share: float = 0.95, sigma: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Prediction interval: the y, float64[n, targets] each, that bound a central share."""
        edges = ((1 - share) / 2, (1 + share) / 2)
        low, high = (self.quantile(phi, edge, sigma) for edge in edges)
        return low, high

    def quantile(self, phi: np.ndarray, q: float, sigma: np.ndarray | None = None) -> np.ndarray:
        """The quantile q of y under the noise model, float64[n, targets]."""
        columns = [
            output.y_mean + output.y_sd * self.noise.quantile(
                output.noise, q, self._yhat(output, phi[:, k]), self._sigma(output, sigma, k)
            )
            for k, output in enumerate(self.outputs)
        ]  # fmt: skip
        return np.stack(columns, axis=1)

    def losses(self, phi: np.ndarray, y: np.ndarray, sigma=None) -> np.ndarray:
        """−log densities of y, float64[n, targets], in nats, for y in its original units."""
        columns = [
            np.log(output.y_sd) + self.noise.losses(*self._scored(output, phi, y, sigma, k))
            for k, output in enumerate(self.outputs)
        ]
        return np.stack(columns, axis=1)

    def cdf(self, phi: np.ndarray, y: np.ndarray, sigma=None) -> np.ndarray:
        """The probability of less than y, float64[n, targets]."""
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
        """Effects of symbols, and of sets of symbols, in a gauge.

        Predictions are the same in all gauges. A mutation that no training row has is treated as
        the wild type.

        Parameters
        ----------
        gauge : str or float64[length, symbols]
            "wild_type", "uniform", "empirical" (frequencies in training rows), "consensus" (their
            most frequent symbols), or custom probabilities.
        target : int or str
            Number or name of the target.
        units : {"phi", "y"}
            "y" is θ · dy/dφ at the wild type.

        Returns
        -------
        Effects

        Raises
        ------
        GeneqError
            If gauge, target or units are unknown, or the probabilities are invalid.
        """
        output = self.outputs[self._index(target)]
        if units not in UNITS:
            raise GeneqError(f"units must be {' or '.join(UNITS)}", value=units)
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
        """Standard errors of `effects`, in the same form.

        They are the standard deviations over libraries of the same type, estimated from the rows of
        this one: NaN for a symbol that no training row has, 0 for an interaction that was dropped.
        Parameters are those of `effects`; raises GeneqError if the fit has no replicates.
        """
        effects = self.effects(gauge, target, units)
        moves = self.resampled(gauge, target, units)
        constant, *tables = _rms(moved.values for moved in moves)
        terms = [Term(t.sites, table) for t, table in zip(effects.terms, tables, strict=True)]
        terms[0].values[self._unseen()[terms[0].sites[:, 0]]] = np.nan
        return Effects(float(constant), tuple(terms))

    def resampled(
        self,
        gauge: str | np.ndarray = "empirical",
        target: int | str = 0,
        units: str = "phi",
    ) -> Iterator[Effects]:
        """The difference of every replicate from `effects`.

        The standard error of a statistic of effects is the root mean square, about 0, of its
        differences. Raises GeneqError if the fit has no replicates.
        """
        output, effects = self.outputs[self._index(target)], self.effects(gauge, target)
        weights = probabilities(gauge, self.wild_type, self.symbols, self.frequencies)
        replicates, slope = _replicates_of(output), self.slope(output)
        for number, offset in enumerate(replicates.offset):
            terms = self.layout.effects(replicates.full(number, self.layout.size)).terms
            moved = Effects(float(offset), terms).fixed(weights)
            if units == "y":
                steeper = self._steeper(output, replicates, number)
                moved = moved.scaled(slope).plus(effects.scaled(steeper))
            yield moved

    def symbols_at(
        self, gauge: str | np.ndarray = "empirical", target: int | str = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Additive effects in φ, minus their mean at each position, and their standard errors.

        float64[length, symbols] each, as in a logo.
        """
        table = self.effects(gauge, target).additive(len(self.wild_type))
        moves = (moved.terms[0].values for moved in self.resampled(gauge, target))
        (errors,) = _rms([move - move.mean(axis=1, keepdims=True)] for move in moves)
        errors[self._unseen()] = np.nan
        return table - table.mean(axis=1, keepdims=True), errors

    def differences(
        self, tokens: np.ndarray, target: int | str = 0, threads: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicted y of sequences minus that of the wild type, and standard errors.

        Parameters
        ----------
        tokens : uint8[n, length]
        target : int or str
        threads : int

        Returns
        -------
        differences, errors : float64[n]
            In the units of y. The error is NaN for rows with a symbol that no training row has, and
            for all rows if the fit has no replicates. Both are NaN for rows that differ from the
            wild type outside of the windows, where the fit has no data; a known symbol in place of
            an unknown one is not a difference.

        Raises
        ------
        GeneqError
            As `phi` does.
        """
        output, rows = (
            self.outputs[self._index(target)],
            self._rows_and_wild(tokens, threads),
        )
        y = output.y_sd * self._yhat(output, rows.phi(output))
        effects, errors = y[:-1] - y[-1], np.full(len(tokens), np.nan)
        if output.replicates is not None:
            squares = [moved**2 for _, moved in self._moved(output, rows)]
            errors = np.sqrt(np.mean(squares, axis=0))
        row, position, symbol = rows.changes
        errors[row[self._unseen()[position, symbol]]] = np.nan
        elsewhere = ~self.inside & (self.wild_type < self.symbols)
        foreign = ((tokens != self.wild_type) & elsewhere).any(axis=1)
        effects[foreign] = errors[foreign] = np.nan
        return effects, errors

    def resampled_differences(
        self, tokens: np.ndarray, target: int | str = 0, threads: int = 1
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The differences of every replicate in φ and y of uint8[n, length], from the wild type.

        float64[n] each, y in its original units; see `resampled`.
        """
        output = self.outputs[self._index(target)]
        return self._moved(output, self._rows_and_wild(tokens, threads))

    def _rows_and_wild(self, tokens: np.ndarray, threads: int) -> "RowsAndWild":
        changes, rows = self._changes(self._checked(tokens)), len(tokens) + 1
        design = self.layout.design(self.layout.rows(changes, rows), changes, threads)
        return RowsAndWild(changes, design)

    def _moved(
        self, output: Output, rows: "RowsAndWild"
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        phi, replicates = rows.phi(output), _replicates_of(output)
        curve = self.nonlinearity.at(output.eta, phi)
        slope = curve.slope()
        for number, offset in enumerate(replicates.offset):
            theta = replicates.full(number, self.layout.size)
            by_phi = rows.design.phi(theta) + offset
            eta = output.eta + STEP * replicates.eta[number]
            by_y = slope * by_phi + (self.nonlinearity.at(eta, phi).y - curve.y) / STEP
            yield by_phi[:-1] - by_phi[-1], output.y_sd * (by_y[:-1] - by_y[-1])

    def _steeper(self, output: Output, moved: Replicates, number: int) -> float:
        """By how much dy/dφ at the wild type is larger in a replicate."""
        there = output.offset + STEP * moved.offset[number], output.eta + STEP * moved.eta[number]
        return (self._slope(output, *there) - self.slope(output)) / STEP

    def _unseen(self) -> np.ndarray:
        """bool[length, symbols]: mutations that no training row has."""
        return (self.frequencies == 0) & (np.arange(self.symbols) != self.wild_type[:, None])

    def _index(self, target: int | str) -> int:
        if isinstance(target, str) and target in self.targets:
            return self.targets.index(target)
        if isinstance(target, int) and 0 <= target < len(self.outputs):
            return target
        raise GeneqError("Unknown target", value=target, fix=choices(self.targets))

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
        """Write surrogate.npz and surrogate.json to `folder`.

        Both files get their names only when they are complete.
        """
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
        with atomic_path(folder / "surrogate.npz") as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]  # no array is `allow_pickle`
        write_json(document, folder / "surrogate.json")

    @classmethod
    def load(cls, folder: str | Path) -> "Surrogate":
        """Read a surrogate that `save` wrote. No code in the files is executed.

        Raises
        ------
        GeneqError
            If the files are missing, incomplete, or of another format version.
        """
        folder = Path(folder)
        path = folder / "surrogate.json"
        document = check_format(read_json(path), "a surrogate", FORMAT, VERSION, path)
        arrays = _arrays(folder / "surrogate.npz")
        try:
            return cls._from(document, arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise GeneqError("Not a complete surrogate", value=str(error), file=folder) from None

    @classmethod
    def _from(cls, document: dict, arrays: dict[str, np.ndarray]) -> "Surrogate":
        symbols = len(levels.names(document["alphabet"])[0])
        windows = _tuples(document.get("windows"))
        map = _made(maps.KINDS, document["map"])
        layout = map.layout(arrays["wild_type"], symbols, windows)
        layout.recall(arrays)
        outputs = [_output(fields, arrays, k) for k, fields in enumerate(document["outputs"])]
        for output in outputs:
            if len(output.theta) != layout.size:
                raise ValueError(f"{len(output.theta)} parameters, not {layout.size}")
        return cls(
            wild_type=arrays["wild_type"], alphabet=document["alphabet"], map=map,
            nonlinearity=_made(nonlinearity.KINDS, document["nonlinearity"]),
            noise=_made(noise.KINDS, document["noise"]), layout=layout,
            frequencies=arrays["frequencies"], split=arrays["split"], outputs=outputs,
            windows=windows,
        )  # fmt: skip


def _rms(rows: Iterable[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Root mean squares of every column of rows."""
    squares: list[np.ndarray] = []
    count = 0
    for row in rows:
        new = [np.square(value) for value in row]
        squares = [a + b for a, b in zip(squares, new, strict=True)] if squares else new
        count += 1
    return [np.sqrt(square / count) for square in squares]


def _output(fields: dict, arrays: dict[str, np.ndarray], k: int) -> Output:
    """Output k of a file, from its fields in the JSON and its arrays."""
    theta, eta, scatter, history = (arrays[f"{name}_{k}"] for name in OUTPUT_ARRAYS)
    steps = [(float(loss), float(score)) for loss, score in history]
    return Output(**fields, theta=theta, eta=eta, noise=scatter, history=steps,
                  replicates=_replicates(arrays, k))  # fmt: skip


def _replicates_of(output: Output) -> Replicates:
    """The replicates of a fit. Raises GeneqError if it has none."""
    if output.replicates is None:
        raise GeneqError("The surrogate was fitted without errors", value=output.target,
                         fix="Fit it with replicates, such as 100")  # fmt: skip
    return output.replicates


def _replicates(arrays: dict[str, np.ndarray], number: int) -> Replicates | None:
    if f"replicates_kept_{number}" not in arrays:
        return None
    return Replicates(**{name: arrays[f"replicates_{name}_{number}"] for name in REPLICATES})


def _made(kinds: dict[str, type], fields: dict):
    fields = {name: _tuples(value) for name, value in fields.items()}
    return kinds[fields.pop("kind")](**fields)


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        raise not_found(path) from None
    except GeneqError:
        raise
    except Exception as error:
        raise GeneqError("Not a complete file of arrays", value=str(error), file=path) from None
