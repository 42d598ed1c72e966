"""Borzoi and Borzoi Prime (Linder et al., Nature Genetics 57:949, 2025) by borzoi-pytorch."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from ..errors import GeneqError
from .network import NetworkOracle
from .pretrained import extra, open_pretrained, read_config
from .tracks import chosen_tracks, read_tracks, tracks_oracle

__all__ = ["Unsquash", "open_borzoi"]

LENGTH = 524_288
TRACKS = "targets.txt"
# Columns of the table of tracks that say how coverage was transformed before training.
TRANSFORM = ("clip_soft", "scale", "sum_stat")
BIN_SIZE = {"borzoi": 32, "prime": 16}


class Unsquash(nn.Module):
    """Outputs back to coverage, float32[n, bins, tracks] → the same shape.

    Coverage c was transformed before training. p is 3/4 where `sum_stat` is sum_sqrt, else 1; s is
    `scale`, and k is `clip_soft`. Borzoi: v = c^p, above k instead k + sqrt(v - k), times s. Borzoi
    Prime: v = (s c + 1)^p - 1, above k instead k - 1 + sqrt(v - k + 1).

    Parameters
    ----------
    table : DataFrame
        A row for each track, with the columns TRANSFORM.
    prime : bool
    """

    clip: torch.Tensor
    scale: torch.Tensor
    power: torch.Tensor

    def __init__(self, table: pd.DataFrame, prime: bool):
        super().__init__()
        self.prime = prime
        values = {
            "clip": table["clip_soft"],
            "scale": table["scale"],
            "power": table["sum_stat"].eq("sum_sqrt").map({True: 0.75, False: 1.0}),
        }
        for name, column in values.items():
            self.register_buffer(name, torch.tensor(column.to_numpy(), dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.prime else x / self.scale
        shift = 1.0 if self.prime else 0.0
        above = (x - self.clip + shift) ** 2 + self.clip - shift
        x = (torch.where(x > self.clip, above, x) + shift) ** (1 / self.power) - shift
        return x / self.scale if self.prime else x


class BorzoiTracks(nn.Module):
    """One-hot float32[n, 4, length] → coverage float32[n, bins, tracks]."""

    def __init__(self, network: Any, tracks: torch.Tensor, unsquash: Unsquash):
        super().__init__()
        self.network, self.unsquash = network, unsquash
        head = network.human_head
        self.weight, self.bias = (nn.Parameter(p[tracks]) for p in (head.weight, head.bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.network.final_joined_convs(self.network.get_embs_after_crop(x))
        # As in the package: the last layer and the transform need all digits.
        with torch.autocast(x.device.type, enabled=False):
            tracks = functional.conv1d(found.float(), self.weight, self.bias)
            return self.unsquash(functional.softplus(tracks).transpose(1, 2))


def open_borzoi(what: str, length: int = LENGTH) -> NetworkOracle:
    """Open a folder of Borzoi or Borzoi Prime as borzoi-pytorch's authors publish it.

    Parameters
    ----------
    what : str
        ``FOLDER`` or ``FOLDER:TRACKS``, see `geneq.oracles.tracks.chosen_tracks`. The folder has
        config.json and the weights. Tracks are listed in its targets.txt or, for Borzoi's 7,611
        human ones, in the package.
    length : int
        Of the input, in nt.

    Raises
    ------
    GeneqError
        If the package or a file is missing, or the weights are not those of the configuration.
    """
    try:
        from borzoi_pytorch import pytorch_borzoi_model as package
    except ImportError as error:
        raise extra("borzoi", error) from None
    folder, _, wanted = what.partition(":")
    described = read_config(folder)
    kind = described.get("model_type")
    if kind not in BIN_SIZE:
        raise GeneqError("Not a model of Borzoi: model_type in config.json must be borzoi or prime",
                         value=kind, file=folder)  # fmt: skip
    if described.get("flashed") and not torch.cuda.is_available():
        raise GeneqError("Flashzoi needs a GPU and the package flash-attn", file=folder)
    model, config = {
        "borzoi": (package.Borzoi, package.BorzoiConfig),
        "prime": (package.Prime, package.PrimeConfig),
    }[kind]
    network = open_pretrained(model, folder, config(**described))
    table = _tracks(Path(folder), network.human_head.out_channels, package.TRACKS_DF)
    chosen = chosen_tracks(table, wanted, folder)
    rows = table.iloc[chosen]
    module = BorzoiTracks(network, torch.from_numpy(chosen), Unsquash(rows, kind == "prime"))
    return tracks_oracle("borzoi", what, module, length, BIN_SIZE[kind], rows)


def _tracks(folder: Path, outputs: int, published: pd.DataFrame) -> pd.DataFrame:
    """The table of tracks, of the folder or the package."""
    path = folder / TRACKS
    if not path.is_file():
        if len(published) != outputs:
            raise GeneqError(
                "The folder needs the table of tracks, targets.txt",
                value=f"the model has {outputs:,} outputs, Borzoi {len(published):,}",
                file=folder,
            )
        return published
    table = read_tracks(path, outputs)
    absent = [name for name in TRANSFORM if name not in table]
    if absent:
        raise GeneqError("A table of tracks lacks columns", value=", ".join(absent), file=path)
    return table
