"""What users bring: TorchScript files, functions of their own, oracles of other packages."""

import hashlib
import importlib
import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import torch

from ..errors import GeneqError, not_found
from .network import NetworkOracle

# By which packages make oracles known: KIND = module:function, which gets what follows "KIND:".
GROUP = "geneq.oracles"
# In the archive of a TorchScript file.
ABOUT = "geneq.json"
# What an oracle must have.
NEEDED = ("name", "alphabet", "length", "strand", "unknown", "targets", "hash", "predict")


def open_torchscript(path: str) -> NetworkOracle:
    """A TorchScript module on one-hot, saved with `_extra_files={"geneq.json": …}`.

    That JSON object says what the module cannot: `length` and `targets`, and, if need be,
    `alphabet` and `tss`, as of `NetworkOracle`. Raises GeneqError for other files; pickled modules
    are not read.
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
            "Not a TorchScript file, or not a whole one",
            value=str(error).splitlines()[0],
            file=path,
            fix="Make one with torch.jit.script or trace, and torch.jit.save",
        ) from None
    oracle = NetworkOracle(f"torchscript:{Path(path).name}", module, **_said(extra[ABOUT], path))
    oracle.hash = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return oracle


def _said(text: str | bytes, path: str) -> dict:
    """Length, targets and the rest, as a TorchScript file says them."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    try:
        about = json.loads(text)
        known = {"length", "targets"} <= set(about) <= {"length", "targets", "alphabet", "tss"}
        whole = known and isinstance(about["length"], int | None) and _names(about["targets"])
    except (ValueError, TypeError):
        whole = False
    if not whole:
        raise GeneqError(
            f"A TorchScript file says in {ABOUT} its length (a number or null) and its targets "
            "(names), and maybe alphabet and tss",
            value=text[:100] or "there is none",
            file=path,
            fix=f'Save it with torch.jit.save(module, path, _extra_files={{"{ABOUT}": …}})',
        )
    return about


def _names(targets) -> bool:
    return isinstance(targets, list) and all(isinstance(name, str) for name in targets)


def open_python(what: str):
    """What the user's function gives: `module:function` or `file.py:function`."""
    return checked(user_function(what)(), f"python:{what}")


def open_plugin(kind: str, what: str):
    """The oracle of a package that has an entry point `kind`; None where there is none."""
    for point in entry_points(group=GROUP, name=kind):
        return checked(point.load()(what), f"{kind}:{what}")
    return None


def plugins() -> list[str]:
    """Kinds of oracles that other packages have."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def checked(oracle, name: str):
    """`oracle`. Raises GeneqError that names what it lacks."""
    missing = [part for part in NEEDED if not hasattr(oracle, part)]
    if missing:
        raise GeneqError(
            f"{name} gives no oracle: it lacks {', '.join(missing)}",
            value=type(oracle).__name__,
            fix="Give a geneq.oracles.network.NetworkOracle, or an object with all of these",
        )
    return oracle


def user_function(what: str) -> Callable:
    """The function called `module:function` or `file.py:function`; its module is run."""
    module, _, name = what.rpartition(":")
    try:
        found = _from_file(Path(module)) if module.endswith(".py") else _imported(module)
        function = getattr(found, name)
    except (ImportError, FileNotFoundError, AttributeError, ValueError) as error:
        raise GeneqError(
            "A function is named module:function or file.py:function", value=what, fix=str(error)
        ) from None
    if not callable(function):
        raise GeneqError("Not a function", value=what)
    return function


def _imported(module: str):
    """The module, also where it lies in the folder that the user is in."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    return importlib.import_module(module)


def _from_file(path: Path):
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
