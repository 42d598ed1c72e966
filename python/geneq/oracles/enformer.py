"""Enformer (Avsec et al., Nature Methods 18:1196, 2021) by the package enformer-pytorch."""

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

__all__ = ["open_enformer"]

# Positions that the transformer sees; their number times the bin size is the length of the input.
POSITIONS = 1536
HEAD, TRACKS = "human", "targets_human.txt"


class EnformerTracks(nn.Module):
    """One-hot float32[n, 4, length] → float32[n, bins, tracks]."""

    def __init__(self, network: Any, tracks: torch.Tensor):
        super().__init__()
        self.network = network
        head = network.heads[HEAD][0]
        self.weight, self.bias = (nn.Parameter(p[tracks]) for p in (head.weight, head.bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.network(x.transpose(1, 2), return_only_embeddings=True)
        return functional.softplus(functional.linear(found, self.weight, self.bias))


def open_enformer(what: str, positions: int = POSITIONS) -> NetworkOracle:
    """Open a folder of Enformer as enformer-pytorch's authors publish it.

    Parameters
    ----------
    what : str
        ``FOLDER`` or ``FOLDER:TRACKS``, see `geneq.oracles.tracks.chosen_tracks`. The folder has
        config.json and the weights; targets_human.txt names the tracks, which are otherwise called
        track0, track1, …
    positions : int
        Of the transformer.

    Raises
    ------
    GeneqError
        If the package or a file is missing, or the weights are not those of the configuration.
    """
    try:
        from enformer_pytorch import Enformer, EnformerConfig
    except ImportError as error:
        raise extra("enformer", error) from None
    folder, _, wanted = what.partition(":")
    described = read_config(folder)
    config = EnformerConfig(**described)
    config.use_tf_gamma = described.get("use_tf_gamma", _is_published(config, positions))
    network = open_pretrained(Enformer, folder, config)
    if HEAD not in config.output_heads:
        raise GeneqError(f"The model has no output head called {HEAD}",
                         value=", ".join(config.output_heads), file=folder)  # fmt: skip
    table = _tracks(Path(folder), config.output_heads[HEAD])
    chosen = chosen_tracks(table, wanted, folder)
    module = EnformerTracks(network, torch.from_numpy(chosen))
    size = 2**config.num_downsamples
    return tracks_oracle("enformer", what, module, size * positions, size, table.iloc[chosen])


def _is_published(config, positions: int) -> bool:
    """Whether the weights were trained in TensorFlow, whose positional features differ a little.

    enformer-pytorch knows this only of a model that it downloads.
    """
    return (config.dim, config.depth, config.heads, positions) == (1536, 11, 8, POSITIONS)


def _tracks(folder: Path, outputs: int) -> pd.DataFrame:
    if (folder / TRACKS).is_file():
        return read_tracks(folder / TRACKS, outputs)
    names = [f"track{i}" for i in range(outputs)]
    return pd.DataFrame({"identifier": names, "description": names})
