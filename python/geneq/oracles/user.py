"""What users bring: TorchScript files, their own functions, oracles of other packages.

Here, and nowhere else, an object that geneq did not make is asked what it has. It becomes a
`UserOracle`, which fills in defaults and checks every answer.
"""

import hashlib
import importlib
import json
import sys
import traceback
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ..errors import GeneqError, in_file, not_found, out_of_memory
from .base import BinnedOracle, Oracle
from .network import NetworkOracle

__all__ = [
    "GROUP", "UserOracle", "called", "code_hash", "open_plugin", "open_python", "open_torchscript",
    "plugins", "user_function",
]  # fmt: skip

# Entry points of this group add oracles: TYPE = module:function, called with what follows "TYPE:".
GROUP = "geneq.oracles"
# Name of the JSON object in a TorchScript archive.
ABOUT = "geneq.json"
ABOUT_NEEDED, ABOUT_OPTIONAL = {"length", "targets"}, {"alphabet", "tss", "held_out"}
STRANDS = ("given", "both")
# Parts of a user's object that are taken over where they are there.
OPTIONAL = (
    "alphabet", "length", "tss", "variant_index", "bin_size", "strand", "unknown", "held_out",
    "trained", "build", "precisions", "module", "batched", "note",
)  # fmt: skip


# --- TorchScript ------------------------------------------------------------------------------


def open_torchscript(path: str) -> NetworkOracle:
    """A TorchScript module on one-hot, saved with ``_extra_files={"geneq.json": …}``.

    Parameters
    ----------
    path : str
        The archive. Its `geneq.json` is an object with `length` and `targets` and, if needed,
        `alphabet`, `tss` and `held_out`, as for `NetworkOracle`.

    Raises
    ------
    GeneqError
        For any other file; pickled modules are not read.
    """
    extra = {ABOUT: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch announces a successor
            module = torch.jit.load(path, map_location="cpu", _extra_files=extra)
    except (RuntimeError, ValueError) as error:
        if not Path(path).exists():
            raise not_found(path) from None
        raise GeneqError(
            "Not a complete TorchScript file",
            value=str(error).splitlines()[0],
            file=path,
            fix="Make one with torch.jit.script or trace, and torch.jit.save",
        ) from None
    about = _about(extra[ABOUT], path)
    oracle = NetworkOracle(f"torchscript:{Path(path).name}", module, **about)
    oracle.hash = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    with in_file(path):
        _check_attributes(oracle)
        _check_network(oracle)
    return oracle


def _check_network(oracle: NetworkOracle) -> None:
    """Raises GeneqError if a network of fixed length does not take it, or has other outputs."""
    if oracle.length is None:
        return
    unknown = np.full((1, oracle.length), len(oracle.alphabet), np.uint8)
    try:
        scores = oracle.predict(unknown)
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise GeneqError(
            f"The network does not take sequences of the length in {ABOUT}",
            value=f"{oracle.length:,} nt: {str(error).strip().splitlines()[-1]}",
            fix=f"Save it with its own length in {ABOUT}",
        ) from None
    if scores.ndim not in (2, 3) or scores.shape[:: scores.ndim - 1] != (1, len(oracle.targets)):
        raise GeneqError(
            f"The network has other outputs than the targets in {ABOUT}",
            value=f"{list(scores.shape)} for a sequence, {len(oracle.targets):,} targets",
            fix=f"Name each output in {ABOUT}",
        )


def _about(text: str | bytes, path: str) -> dict:
    """The object geneq.json of a TorchScript file."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    try:
        about = json.loads(text)
        good = ABOUT_NEEDED <= set(about) <= ABOUT_NEEDED | ABOUT_OPTIONAL
    except (ValueError, TypeError):
        good = False
    if not good:
        raise GeneqError(
            f"A TorchScript file needs {ABOUT} with length (a number or null) and targets (names); "
            f"{', '.join(sorted(ABOUT_OPTIONAL))} are optional",
            value=text[:100] or "there is none",
            file=path,
            fix=f'Save it with torch.jit.save(module, path, _extra_files={{"{ABOUT}": …}})',
        )
    return about


# --- functions and packages -------------------------------------------------------------------


def open_python(what: str) -> "UserOracle":
    """The oracle that a user's function returns.

    Parameters
    ----------
    what : str
        ``module:function`` or ``file.py:function``. The module is imported, so it is run.

    Raises
    ------
    GeneqError
        If there is no such function, it fails, or what it returns is not an oracle.
    """
    name = f"python:{what}"
    return UserOracle.of(called(name, user_function(what)), name, code_hash(what))


def open_plugin(kind: str, what: str) -> "UserOracle | None":
    """The oracle of a package with an entry point called `kind`; None if there is none.

    Raises
    ------
    GeneqError
        If several packages have one, it fails, or what it returns is not an oracle.
    """
    points = list(entry_points(group=GROUP, name=kind))
    if len({point.value for point in points}) > 1:
        raise GeneqError(
            f"Several packages add oracles of type {kind}",
            value=", ".join(point.value for point in points),
            fix="Remove all but one of them",
        )
    for point in points:
        name = f"{kind}:{what}"
        made = called(name, point.load)
        version = point.dist.version if point.dist else ""
        digest = hashlib.sha256(f"{point.value}\0{version}\0{what}".encode()).hexdigest()
        return UserOracle.of(called(name, made, what), name, digest)
    return None


def plugins() -> list[str]:
    """Types of oracles that other packages add."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def user_function(what: str) -> Callable:
    """The function called ``module:function`` or ``file.py:function``; its module is run.

    Raises
    ------
    GeneqError
        If there is no such module or function, or the module fails.
    """
    place, _, name = what.rpartition(":")
    module = called(f"python:{what}", _module, place)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise GeneqError("There is no such function", value=what,
                         fix=f"{place} has {', '.join(known) or 'none'}")  # fmt: skip
    return function


def code_hash(what: str) -> str:
    """sha256 of the file that defines ``module:function`` or ``file.py:function``.

    It does not cover what that file imports or reads.
    """
    place = what.rpartition(":")[0]
    file = place if place.endswith(".py") else _imported(place).__file__
    return hashlib.sha256(Path(file).read_bytes() if file else place.encode()).hexdigest()


def _module(place: str) -> ModuleType:
    if not place:
        raise GeneqError("A function is given as module:function or file.py:function")
    return _from_file(Path(place)) if place.endswith(".py") else _imported(place)


def _imported(module: str) -> ModuleType:
    """The module, also if it is in the current folder."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    return importlib.import_module(module)


def _from_file(path: Path) -> ModuleType:
    """The module in a file, which is run."""
    if not path.is_file():
        raise not_found(path)
    name = f"geneq_user_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GeneqError("Not a Python file", file=path)
    module = module_from_spec(spec)
    # Dataclasses and pickle look their module up there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def called(name: str, function: Callable, *arguments) -> Any:
    """function(*arguments); what it raises becomes one line that names the oracle and the place.

    Running out of memory and I/O errors stay as they are: another attempt may succeed.
    """
    try:
        return function(*arguments)
    except (GeneqError, OSError):
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise GeneqError(
            f"{name} failed",
            value=f"{type(error).__name__}: {error}",
            file=f"{frame.filename}, line {frame.lineno}",
        ) from error


# --- the adapter ------------------------------------------------------------------------------


class UserOracle(Oracle):
    """An oracle around an object that a user's function or another package made.

    Attributes that the object lacks get the defaults of `Oracle`. Every result of `predict` is
    checked. Its hash covers the object's own, if it has one, and `code`.
    """

    def __init__(self, made: Any, name: str, code: str):
        self._made = made
        for part in OPTIONAL:
            setattr(self, part, getattr(made, part, getattr(Oracle, part)))
        self.name, self.targets = getattr(made, "name", None) or name, made.targets
        content = getattr(made, "hash", None) or ""
        self.hash = hashlib.sha256(f"user 1\0{content}\0{code}".encode()).hexdigest()
        self.variant = self._variant if getattr(made, "variant", None) is not None else None
        _check_attributes(self)

    @classmethod
    def of(cls, made: Any, name: str, code: str) -> "UserOracle":
        """`made` as an oracle, a binned one if it has `predict_bins`.

        Raises GeneqError that names what it lacks.
        """
        missing = [part for part in ("predict", "targets") if getattr(made, part, None) is None]
        if missing:
            raise GeneqError(
                f"{name} is not an oracle: it has no {' and no '.join(missing)}",
                value=type(made).__name__,
                fix="Return an object of a subclass of geneq.oracles.Oracle",
            )
        binned = getattr(made, "predict_bins", None) is not None
        return (UserBinnedOracle if binned else cls)(made, name, code)

    @property
    def precision(self) -> str:
        """What the object computes in."""
        return getattr(self._made, "precision", Oracle.precision)

    @precision.setter
    def precision(self, name: str) -> None:
        if name != self.precision:
            self._made.precision = name

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Scores of the object, checked; see `Oracle.predict`."""
        arguments = (tokens,) if anchor is None else (tokens, anchor)
        scores = self._checked("predict", called(self.name, self._made.predict, *arguments))
        shape = (len(tokens), len(self.targets))
        if scores.ndim not in (2, 3) or scores.shape[:: scores.ndim - 1] != shape:
            raise self._wrong_shape("predict", scores, "[n, targets] or [n, bins, targets]", shape)
        return scores

    def _variant(self, ref: np.ndarray, alt: np.ndarray) -> np.ndarray:
        scores = self._checked("variant", called(self.name, self._made.variant, ref, alt))
        shape = (len(ref), len(self.targets))
        if scores.shape != shape:
            raise self._wrong_shape("variant", scores, "[n, targets]", shape)
        return scores

    def _checked(self, method: str, scores: Any) -> np.ndarray:
        """Scores as float32."""
        if not isinstance(scores, np.ndarray) or scores.dtype.kind not in "fiu":
            found = scores.dtype if isinstance(scores, np.ndarray) else type(scores).__name__
            raise GeneqError(f"{self.name}: {method} must return a NumPy array of float32",
                             value=str(found))  # fmt: skip
        with np.errstate(over="ignore"):
            return scores.astype(np.float32, copy=False)

    def _wrong_shape(self, method: str, scores, wanted: str, shape: tuple) -> GeneqError:
        return GeneqError(
            f"{self.name}: {method} must return {wanted}",
            value=f"{list(scores.shape)} for {shape[0]} rows and {shape[-1]} targets",
        )


class UserBinnedOracle(UserOracle, BinnedOracle):
    """A `UserOracle` around an object that has `predict_bins`."""

    def __init__(self, made: Any, name: str, code: str):
        super().__init__(made, name, code)
        self.flank = getattr(made, "flank", BinnedOracle.flank)
        if not _is_index(self.flank, None):
            raise GeneqError(f"{self.name}: flank must be a number of bases", value=self.flank)

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Scores of the object, checked; see `BinnedOracle.predict_bins`."""
        found = called(self.name, self._made.predict_bins, tokens, edges)
        scores = self._checked("predict_bins", found)
        shape = (len(tokens), len(edges) - 1, len(self.targets))
        if scores.shape != shape:
            raise self._wrong_shape("predict_bins", scores, "[n, bins, targets]", shape)
        return scores


def _check_attributes(oracle: Oracle) -> None:
    """Raises GeneqError for an attribute with a value that it cannot have."""
    rules = {
        "name": _is_text(oracle.name),
        "targets": _are_names(oracle.targets) and len(oracle.targets) > 0,
        "alphabet": _is_text(oracle.alphabet) and _are_names(list(oracle.alphabet)),
        "length": oracle.length is None or (_is_index(oracle.length, None) and oracle.length > 0),
        "tss": oracle.tss is None or _is_index(oracle.tss, oracle.length),
        "variant_index": oracle.variant_index is None
        or (oracle.length is not None and _is_index(oracle.variant_index, oracle.length)),
        "bin_size": oracle.bin_size is None
        or (_is_index(oracle.bin_size, None) and oracle.bin_size > 0),
        "strand": oracle.strand in STRANDS,
        "unknown": isinstance(oracle.unknown, str),
        "held_out": oracle.held_out is None or _are_names(oracle.held_out),
        "trained": isinstance(oracle.trained, bool),
        "build": oracle.build is None or _is_text(oracle.build),
        "precisions": _are_names(oracle.precisions) and "float32" in oracle.precisions,
        "module": oracle.module is None or isinstance(oracle.module, torch.nn.Module),
        "batched": isinstance(oracle.batched, bool),
    }
    wrong = next((part for part, good in rules.items() if not good), None)
    if wrong:
        raise GeneqError(f"{oracle.name}: {wrong} must be {MUST_BE[wrong]}",
                         value=repr(getattr(oracle, wrong)))  # fmt: skip


MUST_BE = {
    "name": "text",
    "targets": "a list of different names",
    "alphabet": "different symbols, as 'ACGT'",
    "length": "a positive int, or None for any length",
    "tss": "an index of the input, or None",
    "variant_index": "an index of the input, which has a length, or None",
    "bin_size": "a positive int, or None",
    "strand": "'given' or 'both'",
    "unknown": "text",
    "held_out": "names of chromosomes, or None",
    "trained": "True or False",
    "build": "the name of a genome's build, or None",
    "precisions": "names, 'float32' among them",
    "module": "a torch.nn.Module, or None",
    "batched": "true or false",
}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_index(value: Any, length: int | None) -> bool:
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_int and value >= 0 and (length is None or value < length)


def _are_names(values: Any) -> bool:
    good = isinstance(values, list | tuple) and all(map(_is_text, values))
    return good and len(set(values)) == len(values)
