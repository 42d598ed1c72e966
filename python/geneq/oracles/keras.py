"""Published Keras networks: their HDF5 weights read into torch, without TensorFlow.

DeepSTARR: de Almeida et al., Nature Genetics 54:613 (2022). Xpresso: Agarwal and Shendure, Cell
Reports 31:107663 (2020).
"""

from functools import reduce
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from torch import nn

from ..errors import GeneqError, not_found
from .network import NetworkOracle

# Of Keras, added to the variance in batch normalisation.
EPSILON = 1e-3


class Affine(NamedTuple):
    """Weights of a convolution or a dense layer.

    kernel: float32[width, inputs, outputs] or [inputs, outputs]. bias: float32[outputs].
    """

    kernel: np.ndarray
    bias: np.ndarray


class ConvolutionalNetwork(nn.Module):
    """Convolutions, each with ReLU and max pooling, then dense layers with ReLU between them.

    Convolutions keep the length, padded as Keras and TensorFlow pad: the odd column on the right.
    In memory the channels of a position lie side by side: so a convolution is a matrix product, and
    on a CPU as fast as one. In the order of `nn.Conv1d` it takes twice as long. Where gradients are
    asked for, all that is not linear is ReLU, each a module used once: DeepLIFT hooks into them.
    """

    def __init__(self, convolutions: list[Affine], pools: list[int], dense: list[Affine]):
        super().__init__()
        self.convolutions = nn.ModuleList(_convolution(weights) for weights in convolutions)
        self.pools = nn.ModuleList(MaxPool(pool) for pool in pools)
        self.dense = nn.ModuleList(_dense(weights) for weights in dense)
        self.relus = nn.ModuleList(nn.ReLU() for _ in [*convolutions, *dense[:-1]])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, symbols, length] → float32[n, outputs]."""
        x = x[:, :, None].contiguous(memory_format=torch.channels_last)
        relus = iter(self.relus)
        for convolution, pool in zip(self.convolutions, self.pools, strict=True):
            # ReLU after pooling is the same, for a part of the numbers.
            x = _rectified(pool(convolution(x)), next(relus))
        x = x.transpose(1, 3).flatten(1)
        for layer in self.dense[:-1]:
            x = _rectified(layer(x), next(relus))
        return self.dense[-1](x)


def _rectified(x: torch.Tensor, relu: nn.ReLU) -> torch.Tensor:
    return relu(x) if x.requires_grad else x.relu_()


class MaxPool(nn.Module):
    """[n, channels, 1, length] → [n, channels, 1, length // size].

    `max_pool2d` reads channel by channel what lies together here, and is slow at it; and with
    captum's rule for it the contributions of DeepLIFT do not add up.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(size - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = x.shape[3] // self.size
        first, *others = x[..., : places * self.size].unflatten(3, (places, self.size)).unbind(4)
        if not x.requires_grad:
            return reduce(torch.maximum, others, first)
        for other, relu in zip(others, self.relus, strict=True):
            first = first + relu(other - first)
        return first


def _convolution(weights: Affine) -> nn.Conv2d:
    # An even kernel becomes odd by zeros on its left: what it reads is the same on both sides then.
    kernel = np.pad(weights.kernel, ((1 - len(weights.kernel) % 2, 0), (0, 0), (0, 0)))
    width, inputs, outputs = kernel.shape
    layer = nn.Conv2d(inputs, outputs, (1, width), padding=(0, width // 2))
    layer.weight.data = torch.from_numpy(kernel.transpose(2, 1, 0).copy())[:, :, None]
    layer.bias.data = torch.from_numpy(weights.bias)
    return layer.to(memory_format=torch.channels_last)


def _dense(weights: Affine) -> nn.Linear:
    layer = nn.Linear(*weights.kernel.shape)
    layer.weight.data = torch.from_numpy(weights.kernel.T.copy())
    layer.bias.data = torch.from_numpy(weights.bias)
    return layer


def open_deepstarr(path: str | Path) -> NetworkOracle:
    """DeepSTARR: activity of a Drosophila enhancer of 249 nt, log2.

    Targets: with a developmental (dev) and with a housekeeping (hk) promoter. path: HDF5 weights
    that Keras saved. Raises GeneqError when they are not DeepSTARR's.
    """
    shapes = [
        (7, 4, 256), (3, 256, 60), (5, 60, 60), (3, 60, 120),
        (1800, 256), (256, 256), (256, 1), (256, 1),
    ]  # fmt: skip
    *hidden, dev, hk = _read(path, "DeepSTARR", shapes)
    heads = Affine(np.hstack([dev.kernel, hk.kernel]), np.hstack([dev.bias, hk.bias]))
    network = ConvolutionalNetwork(hidden[:4], [2, 2, 2, 2], [*hidden[4:], heads])
    return NetworkOracle(f"deepstarr:{Path(path).name}", network, 249, ["dev", "hk"])


def open_xpresso(path: str | Path) -> NetworkOracle:
    """Xpresso: median expression of a human gene, log10 RPKM, standardised.

    It reads 7,000 nt upstream and 3,500 nt downstream of the TSS on the gene's strand. The six
    features of the half-life of its mRNA are held at their mean. path: HDF5 weights that Keras
    saved. Raises GeneqError when they are not Xpresso's.
    """
    shapes = [(6, 4, 128), (9, 128, 32), (1126, 64), (64, 2), (2, 1)]
    one, two, dense, *rest = _read(path, "Xpresso", shapes)
    dense = Affine(dense.kernel[: 35 * 32], dense.bias)
    network = ConvolutionalNetwork([one, two], [30, 10], [dense, *rest])
    return NetworkOracle(f"xpresso:{Path(path).name}", network, 10_500, ["expression"], tss=7000)


def _read(path: str | Path, what: str, shapes: list[tuple[int, ...]]) -> list[Affine]:
    """Convolutions and dense layers in order, batch normalisation folded into the one before."""
    layers: list[Affine] = []
    for name, weights in _layers(path):
        if "kernel" in weights:
            expected = shapes[len(layers)] if len(layers) < len(shapes) else "no more layers"
            if weights["kernel"].shape != expected:
                raise _foreign(path, what, f"{name} is {weights['kernel'].shape}", expected)
            layers.append(Affine(weights["kernel"], weights["bias"]))
        elif layers and weights.keys() == {"gamma", "beta", "moving_mean", "moving_variance"}:
            layers[-1] = _normalised(layers[-1], **weights)
        else:
            raise _foreign(path, what, f"{name} has {', '.join(weights)}", "kernel and bias")
    if len(layers) < len(shapes):
        raise _foreign(path, what, f"{len(layers)} layers", f"{len(shapes)} layers")
    return layers


def _foreign(path, what: str, found: str, expected) -> GeneqError:
    return GeneqError(
        f"These are not {what}'s weights", value=f"{found}, expected {expected}", file=path
    )


def _normalised(layer: Affine, gamma, beta, moving_mean, moving_variance) -> Affine:
    """The layer with the batch normalisation that follows it."""
    scale = gamma / np.sqrt(moving_variance + np.float32(EPSILON))
    return Affine(layer.kernel * scale, (layer.bias - moving_mean) * scale + beta)


def _layers(path: str | Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Name and weights of every layer that has some, in the network's order."""
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            names = [_text(name) for name in group.attrs["layer_names"]]
            layers = [(name, _weights(group[name])) for name in names]
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, KeyError) as error:
        raise GeneqError(
            "Not the weights of a Keras network in HDF5", value=str(error), file=path
        ) from None
    return [(name, weights) for name, weights in layers if weights]


def _weights(layer: h5py.Group) -> dict[str, np.ndarray]:
    """Arrays of a layer, float32, by the last part of their names without the number."""
    paths = [_text(path) for path in layer.attrs["weight_names"]]
    return {
        path.split("/")[-1].split(":")[0]: np.asarray(layer[path], np.float32) for path in paths
    }


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
