"""The published folder of Sei: weights, names, and the projection onto sequence classes."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ...errors import GeneqError, in_file, not_found, some

__all__ = ["WEIGHTS", "SeiFiles", "load_weights", "read_sei"]

WEIGHTS = ("sei.pth", "sei.safetensors")
CLASSES, TARGETS = "seqclass.names", "target.names"
PROJECTION, HISTONES = "projvec_targets.npy", "histone_inds.npy"
# What wrappers that the network was trained in put before the names of its parameters.
PREFIXES = ("module.model.", "module.", "model.")
SOURCE = (
    "Unpack the published archive sei_model.tar.gz (docs/oracles.md) and give its folder model/"
)


class SeiFiles(NamedTuple):
    """What the folder has besides the weights.

    classes: names of the sequence classes. profiles: names of the outputs. projection:
    float32[classes, profiles], rows of length 1. histones: int64, outputs that are histone marks.
    """

    classes: list[str]
    profiles: list[str]
    projection: np.ndarray
    histones: np.ndarray


def read_sei(folder: str | Path) -> SeiFiles:
    """The names, the projection, and the columns of histone marks.

    Row i of the projection is the class in line i of `seqclass.names`, as in the published scripts;
    the rows after the last name are ignored.

    Raises
    ------
    GeneqError
        If a file is missing or damaged, or they do not fit one another.
    """
    folder = Path(folder)
    classes, profiles = _names(folder / CLASSES), _names(folder / TARGETS)
    projection = _array(folder / PROJECTION)
    if (
        projection.ndim != 2
        or projection.shape[1] != len(profiles)
        or len(projection) < len(classes)
    ):
        raise GeneqError(
            f"{PROJECTION} must have a row for each class and a column for each profile",
            value=f"shape {projection.shape}, {len(classes)} classes, {len(profiles):,} profiles",
            file=folder / PROJECTION,
        )
    rows = projection[: len(classes)].astype(np.float64)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(norm).all() and norm.all()):
        raise GeneqError("Rows of the projection must be finite and not all 0",
                         file=folder / PROJECTION)  # fmt: skip
    histones = _array(folder / HISTONES)
    if (
        histones.dtype.kind not in "iu"
        or histones.ndim != 1
        or not (len(histones) and histones.min() >= 0 and histones.max() < len(profiles))
    ):
        raise GeneqError(f"{HISTONES} must be indices of profiles", value=f"{histones.dtype}",
                         file=folder / HISTONES)  # fmt: skip
    return SeiFiles(classes, profiles, (rows / norm).astype(np.float32), histones.astype(np.int64))


def _names(path: Path) -> list[str]:
    """Lines of a file, which differ."""
    if not path.is_file():
        raise GeneqError("A file of Sei is missing", file=path, fix=SOURCE)
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    while names and not names[-1]:
        names.pop()
    if not names or "" in names or len(set(names)) < len(names):
        raise GeneqError("A file of names must have one name per line, all different", file=path)
    return names


def _array(path: Path) -> np.ndarray:
    """A NumPy file; pickled objects are not read."""
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise GeneqError("A file of Sei is missing", file=path, fix=SOURCE) from None
    except (ValueError, OSError, EOFError) as error:
        raise GeneqError("Not a complete NumPy file", value=str(error).splitlines()[0],
                         file=path) from None  # fmt: skip


# --- weights ----------------------------------------------------------------------------------


def load_weights(network: nn.Module, path: Path) -> None:
    """Give a network on the meta device the weights of a file, name by name.

    Prefixes that wrappers put before all names, and a dict around them (`state_dict`), are removed.

    Raises
    ------
    GeneqError
        If the file is missing or damaged, or its names or shapes are not those of the network; it
        lists them.
    """
    found, wanted = _tensors(path), network.state_dict()
    with in_file(path):
        absent = sorted(wanted.keys() - found.keys())
        extra = sorted(found.keys() - wanted.keys())
        if absent or extra:
            raise GeneqError(
                "These are not the weights of Sei",
                value=f"missing: {some(absent) or 'none'}; unknown: {some(extra) or 'none'}",
                fix=SOURCE,
            )
        shapes = {name: (tuple(found[name].shape), tuple(wanted[name].shape)) for name in wanted}
        wrong = [f"{name} {a}, not {b}" for name, (a, b) in shapes.items() if a != b]
        if wrong:
            raise GeneqError("Weights have other shapes than Sei's", value=some(wrong), fix=SOURCE)
        if not all(tensor.is_floating_point() for tensor in found.values()):
            raise GeneqError("Weights must be floating-point numbers")
    network.load_state_dict({name: value.float() for name, value in found.items()}, assign=True)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name, without prefixes. No code in the file is run."""
    if not path.is_file():
        raise not_found(path)
    stored = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if isinstance(stored, Mapping) and isinstance(stored.get("state_dict"), Mapping):
        stored = stored["state_dict"]
    are_tensors = isinstance(stored, Mapping) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in stored.items()
    )
    if not are_tensors or not stored:
        raise GeneqError("The file has no tensors by name", value=type(stored).__name__, file=path)
    prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in stored)), "")
    return {name.removeprefix(prefix): value for name, value in stored.items()}


def _read_torch(path: Path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise GeneqError("Not a complete file of weights, or one with code in it, which is not run",
                         value=str(error).partition("\n")[0], file=path) from None  # fmt: skip


def _read_safetensors(path: Path):
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise GeneqError("Not a complete safetensors file", value=str(error),
                         file=path) from None  # fmt: skip
