"""Models of the transformers library from a local folder: nothing is downloaded or unpickled."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import GeneqError, some

__all__ = ["extra", "open_pretrained", "read_config"]

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def extra(name: str, error: ImportError) -> GeneqError:
    """The error for a package that is not installed."""
    return GeneqError(
        f"The oracle {name}: needs a package that is not installed",
        value=str(error),
        fix=f"It has an environment of its own: the container target {name}, or "
        f"bin/geneq-environment {name}",
    )


def read_config(folder: str | Path) -> dict:
    """The model's config.json."""
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise GeneqError("The folder of the model has no config.json", file=folder,
                         fix="Give the folder that its authors publish")  # fmt: skip
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise GeneqError("Not a JSON file", value=str(error), file=path) from None
    if not isinstance(found, dict):
        raise GeneqError("config.json must be an object", file=path)
    return found


def open_pretrained(model: Any, folder: str | Path, config: Any) -> Any:
    """A network with the weights in `folder`, all of them and no others.

    Parameters
    ----------
    model : class
        A subclass of transformers.PreTrainedModel.
    folder : path
        With model.safetensors or pytorch_model.bin, which is read as weights only.
    config : transformers.PretrainedConfig

    Raises
    ------
    GeneqError
        If the weights are missing, damaged, or those of another model.
    """
    folder = Path(folder)
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise GeneqError("The folder of the model has no weights", value=" or ".join(WEIGHTS),
                         file=folder)  # fmt: skip
    try:
        network, info = model.from_pretrained(
            folder, config=config, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # which one depends on the version of transformers
        raise GeneqError(
            "The weights are damaged, or those of another model",
            value=str(error).strip().partition("\n")[0],
            file=folder,
        ) from None
    wrong = _absent(network, set(info["missing_keys"])) + sorted(info["unexpected_keys"])
    if wrong or info["mismatched_keys"]:
        raise GeneqError("The weights are those of another model",
                         value=some(wrong or info["mismatched_keys"]), file=folder)  # fmt: skip
    return network.eval()


def _absent(network: nn.Module, missing: set[str]) -> list[str]:
    """Names without weights, but for other names of parameters that have them."""
    state = network.state_dict(keep_vars=True)
    given = {id(value) for name, value in state.items() if name not in missing}
    return sorted(name for name in missing if name in state and id(state[name]) not in given)
