"""Files that Keras writes: the configuration of a network and its weights, by h5py alone.

Four forms are read. Model files (.h5 of Keras 2 and 3) contain the configuration as JSON in the
attribute `model_config` and the weights by layer. Weight files of Keras 2 contain the same without
the configuration, which is then read from a JSON file next to them. Weight files of Keras 3 contain
arrays by class of layer and number. A .keras archive contains such a file and the configuration.
"""

import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from ...errors import GeneqError, not_found
from ...sizes import check_archive, check_dataset

__all__ = ["Stored", "Weights", "read_keras", "well_formed"]

# Arrays of a layer by their last name: kernel, bias, gamma, …
Weights = dict[str, np.ndarray]
# In the order of their numbers in weight files of Keras 3.
NUMBERED = {
    "Conv1D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
CONFIG, H5 = "config.json", "model.weights.h5"


class Stored(NamedTuple):
    """A network as it is in a file.

    config: the JSON object, None if there is none. weights: by name of layer, in the file's order,
    without layers that have none.
    """

    config: dict | None
    weights: dict[str, Weights]


def read_keras(path: str | Path) -> Stored:
    """Configuration and weights of a Keras network.

    Parameters
    ----------
    path : path
        A .h5 or .keras file.

    Returns
    -------
    Stored
        Without a configuration if neither the file nor a JSON file next to it has one.

    Raises
    ------
    GeneqError
        If it is not such a file, or an incomplete one.
    """
    path = Path(path)
    if not path.is_file():
        raise not_found(path)
    try:
        config, source = _unpacked(path) if zipfile.is_zipfile(path) else (None, path)
        with h5py.File(source, "r") as file:
            config = config or _own_config(file, path) or _config_beside(path)
            return Stored(config, _weights(file, config, path))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise GeneqError(
            "Not a Keras network, or an incomplete file",
            value=str(error),
            file=path,
            fix="Save it with model.save('model.h5')",
        ) from None


def _unpacked(path: Path) -> tuple[dict, BytesIO]:
    """Configuration and weight file of a .keras archive."""
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        return _json(archive.read(CONFIG), path), BytesIO(archive.read(H5))


# --- configuration ----------------------------------------------------------------------------


def _own_config(file: h5py.File, path: Path) -> dict | None:
    text = file.attrs.get("model_config")
    return None if text is None else _json(text, path)


def _config_beside(path: Path) -> dict | None:
    """The configuration in NAME.json next to NAME.h5 or NAME.weights.h5."""
    names = (path.stem, path.name.removesuffix(".weights.h5"))
    for beside in (path.with_name(f"{name}.json") for name in names):
        if beside.is_file():
            return _json(beside.read_bytes(), beside)
    return None


def _json(text: str | bytes, path: Path) -> dict:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise GeneqError("The network's configuration is not JSON", value=str(error),
                         file=path) from None  # fmt: skip
    if not isinstance(config, dict) or not {"class_name", "config"} <= config.keys():
        raise GeneqError("The network's configuration has no class_name and config", file=path)
    return config


# --- weights ----------------------------------------------------------------------------------


def _weights(file: h5py.File, config: dict | None, path: Path) -> dict[str, Weights]:
    group = file.get("model_weights", file)
    if "layers" in group and "layer_names" not in group.attrs:
        found = _numbered(group["layers"], config, path)
    else:
        found = {name: _named(group[name]) for name in _texts(group, "layer_names")}
    return {name: weights for name, weights in found.items() if weights}


def _named(layer: h5py.Group) -> Weights:
    """Arrays of a layer by the last part of their names, without ':0'."""
    paths = _texts(layer, "weight_names")
    return {path.split("/")[-1].split(":")[0]: _array(layer[path]) for path in paths}


def _texts(group: h5py.Group, name: str) -> list[str]:
    """An attribute that is a list of names; long ones are split into NAME0, NAME1, …"""
    if name in group.attrs:
        values = list(group.attrs[name])
    elif f"{name}0" in group.attrs:
        parts = (f"{name}{number}" for number in range(len(group.attrs)))
        values = [value for part in parts if part in group.attrs for value in group.attrs[part]]
    else:
        raise KeyError(f"{group.name} has no attribute {name}")
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _numbered(group: h5py.Group, config: dict | None, path: Path) -> dict[str, Weights]:
    """Arrays of a weight file of Keras 3: <class>_<number>/vars/<number>."""
    if config is None:
        raise GeneqError(
            "These are weights without the network's configuration",
            file=path,
            fix=f"Put model.to_json() beside it as {path.name.removesuffix('.weights.h5')}.json, "
            "or save the network with model.save('model.h5')",
        )
    found, seen = {}, Counter[str]()
    with well_formed(path):
        for layer in config["config"]["layers"]:
            kind, options = layer["class_name"], layer["config"]
            name, number = _snake_case(kind), seen[kind]
            seen[kind] += 1
            arrays = group.get(f"{name}_{number}/vars" if number else f"{name}/vars", {})
            names = _present(NUMBERED.get(kind, ()), options)
            if kind in NUMBERED and len(arrays) != len(names):
                raise GeneqError(f"Layer {options['name']} must have {len(names)} arrays",
                                 value=len(arrays), file=path)  # fmt: skip
            found[options["name"]] = {key: _array(arrays[str(i)]) for i, key in enumerate(names)}
    return found


def _present(names: tuple[str, ...], options: dict) -> list[str]:
    """Names of the arrays that a layer with these options has."""
    absent = {
        "bias": not options.get("use_bias", True),
        "gamma": not options.get("scale", True),
        "beta": not options.get("center", True),
    }
    return [name for name in names if not absent.get(name)]


def _snake_case(name: str) -> str:
    """The name of a class as Keras writes it: BatchNormalization → batch_normalization."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _array(values: h5py.Dataset) -> np.ndarray:
    if values.dtype.kind != "f":
        raise KeyError(f"{values.name} is of {values.dtype}, not numbers")
    check_dataset(values)
    return np.asarray(values, np.float32)


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Turn what is raised by a configuration with missing or wrong entries into one error."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise GeneqError("The network's configuration is incomplete", value=repr(error),
                         file=path) from None  # fmt: skip
