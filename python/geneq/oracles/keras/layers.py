"""Layers of Keras as torch modules.

Tensors of three axes, [n, length, channels] in Keras, are [n, channels, 1, length] here, with the
channels of a position side by side in memory: a convolution is then a matrix product, and on a CPU
as fast as one; in the layout of `nn.Conv1d` it takes twice as long. Tensors of two axes are the
same. DeepLIFT (captum) sees nonlinearities that are modules used once: so these are.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from ...errors import GeneqError
from .graph import Node, axis, number, scale_and_shift

__all__ = ["LAYERS", "as_keras", "from_keras", "module_of"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "swish": nn.SiLU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softmax": lambda: nn.Softmax(dim=1),
    "exponential": lambda: Exponential(),
}


def as_keras(x: torch.Tensor) -> torch.Tensor:
    """[n, channels, 1, length] → [n, length, channels]; [n, channels] stays."""
    return x if x.ndim == 2 else x[:, :, 0].transpose(1, 2)


def from_keras(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `as_keras`."""
    return x if x.ndim == 2 else x.transpose(1, 2)[:, :, None]


def module_of(node: Node) -> nn.Module:
    """The module of a layer.

    Raises GeneqError that names the layer if geneq does not read its type, or an option of it.
    """
    if node.kind == "Lambda":
        raise refused(node, "contains Python code, which geneq does not run")
    if node.kind not in LAYERS:
        raise refused(node, f"is not one of the types that geneq reads: {', '.join(LAYERS)}")
    if node.options.get("data_format") not in (None, "channels_last"):
        raise refused(node, "has its channels first")
    if not all(np.isfinite(array).all() for array in node.arrays.values()):
        raise GeneqError(f"Layer {node.name} has weights that are not finite")
    try:
        return LAYERS[node.kind](node)
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        raise refused(node, f"has options that cannot be read: {error!r}") from None


def refused(node: Node, why: str) -> GeneqError:
    """The error for a layer that is not read."""
    return GeneqError(
        f"Layer {node.name} of type {node.kind} {why}",
        fix="Write a python: oracle for this network (docs/oracles.md)",
    )


def _array(node: Node, name: str) -> torch.Tensor:
    if name not in node.arrays:
        raise GeneqError(f"Layer {node.name} of type {node.kind} has no {name} in the file",
                         value=", ".join(node.arrays) or "it has no weights",
                         fix="Use the weights of this network")  # fmt: skip
    return torch.from_numpy(node.arrays[name].copy())


def _one(value: int | list[int]) -> int:
    """An option that is a number, or a list of one."""
    return value[0] if isinstance(value, list) else value


def _option(node: Node, name: str, default: int) -> int:
    value = node.options.get(name)
    return default if value is None else int(_one(value))


def _padding(node: Node, known: tuple[str, ...]) -> str:
    padding = node.options.get("padding", "valid")
    if padding not in known:
        raise refused(node, f"has padding {padding!r}")
    return padding


def _ends(length: int, width: int, stride: int) -> tuple[int, int]:
    """Positions that padding "same" adds on the left and on the right: the odd one on the right."""
    places = -(-length // stride)
    total = max((places - 1) * stride + width - length, 0)
    return total // 2, total - total // 2


# --- layers with weights ----------------------------------------------------------------------


class Convolution(nn.Module):
    """Conv1D."""

    def __init__(self, node: Node):
        super().__init__()
        kernel = _array(node, "kernel")
        width, filters = _option(node, "kernel_size", len(kernel)), node.options.get("filters")
        if kernel.ndim != 3 or width != len(kernel) or filters not in (None, kernel.shape[2]):
            raise _other_shape(node, kernel, f"{width} wide, {filters} filters")
        self.padding = _padding(node, ("valid", "same", "causal"))
        self.stride, dilation = _option(node, "strides", 1), _option(node, "dilation_rate", 1)
        self.width = (len(kernel) - 1) * dilation + 1
        # Padding that is equal on both sides is part of the convolution.
        self.inside = self.padding == "same" and self.stride == 1 and self.width % 2 == 1
        self.layer = nn.Conv2d(
            kernel.shape[1] * _option(node, "groups", 1), kernel.shape[2], (1, len(kernel)),
            stride=(1, self.stride), padding=(0, self.width // 2 if self.inside else 0),
            dilation=(1, dilation), groups=_option(node, "groups", 1), bias=has_bias(node),
        )  # fmt: skip
        self.layer.weight.data = kernel.permute(2, 1, 0)[:, :, None].contiguous()
        if self.layer.bias is not None:
            self.layer.bias.data = _array(node, "bias")
        self.layer.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.inside and self.padding != "valid":
            x = F.pad(x, self._ends(x.shape[3]))
        return self.layer(x)

    def _ends(self, length: int) -> tuple[int, int]:
        return (
            (self.width - 1, 0)
            if self.padding == "causal"
            else _ends(length, self.width, self.stride)
        )


class Dense(nn.Module):
    """Dense, at every position of a sequence if there are positions."""

    def __init__(self, node: Node):
        super().__init__()
        kernel, units = _array(node, "kernel"), node.options.get("units")
        if kernel.ndim != 2 or units not in (None, kernel.shape[1]):
            raise _other_shape(node, kernel, f"{units} units")
        self.layer = nn.Linear(kernel.shape[0], kernel.shape[1], bias=has_bias(node))
        self.layer.weight.data = kernel.T.contiguous()
        if self.layer.bias is not None:
            self.layer.bias.data = _array(node, "bias")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) if x.ndim == 2 else self.layer(x.movedim(1, -1)).movedim(-1, 1)


def has_bias(node: Node) -> bool:
    """Folded batch normalisation gives a bias to layers that have none."""
    return node.options.get("use_bias", True) or "bias" in node.arrays


def _other_shape(node: Node, kernel: torch.Tensor, expected: str) -> GeneqError:
    return GeneqError(
        f"Layer {node.name} of type {node.kind} has a kernel of another shape than configured",
        value=f"{tuple(kernel.shape)}, expected {expected}",
        fix="Use the weights of this network",
    )


class Normalisation(nn.Module):
    """BatchNormalization that cannot be folded into the layer before it."""

    def __init__(self, node: Node):
        super().__init__()
        for name in ("moving_mean", "moving_variance"):
            _array(node, name)
        self.axis = axis(node)
        scale, shift = map(torch.from_numpy, scale_and_shift(node))
        self.scale, self.shift = nn.Parameter(scale), nn.Parameter(shift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.axis not in (-1, 1 if x.ndim == 2 else 2):
            raise ValueError(f"axis is {self.axis}, not that of the channels")
        shape = (-1,) + (1,) * (x.ndim - 2)
        return x * self.scale.view(shape) + self.shift.view(shape)


# --- pooling ----------------------------------------------------------------------------------


class Pooling(nn.Module):
    """What pooling layers share: the windows of positions that each value is made of."""

    def __init__(self, node: Node):
        super().__init__()
        self.size = _option(node, "pool_size", 2)
        self.stride = _option(node, "strides", self.size)
        self.same = _padding(node, ("valid", "same")) == "same"

    def ends(self, x: torch.Tensor) -> tuple[int, int]:
        return _ends(x.shape[3], self.size, self.stride) if self.same else (0, 0)

    def slices(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The first, second, … position of every window."""
        places = (x.shape[3] - self.size) // self.stride + 1
        if places < 1:
            raise ValueError(f"{x.shape[3]} positions are fewer than the pool size {self.size}")
        span = (places - 1) * self.stride + 1
        return [x[..., i : i + span : self.stride] for i in range(self.size)]


class MaxPool(Pooling):
    """MaxPooling1D.

    `max_pool2d` is slow on this layout of memory; and with captum's rule for it the contributions
    of DeepLIFT do not add up, as they do for sums of ReLU.
    """

    def __init__(self, node: Node):
        super().__init__(node)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(self.size - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ends = self.ends(x)
        if any(ends):
            # A window has a position of the sequence: the nearest one changes no maximum.
            x = F.pad(x, (*ends, 0, 0), mode="replicate")
        first, *others = self.slices(x)
        if not others:
            return first.clone()
        if not x.requires_grad:
            return reduce(torch.maximum, others, first)
        for other, relu in zip(others, self.relus, strict=True):
            first = first + relu(other - first)
        return first


class AveragePool(Pooling):
    """AveragePooling1D; padding does not count, as with TensorFlow and JAX."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ends = self.ends(x)
        ones = F.pad(x.new_ones(1, 1, 1, x.shape[3]), ends)
        summed, counted = (reduce(torch.add, self.slices(of)) for of in (F.pad(x, ends), ones))
        return summed / counted


class GlobalPool(nn.Module):
    """GlobalMaxPooling1D and GlobalAveragePooling1D."""

    def __init__(self, node: Node):
        super().__init__()
        self.largest = node.kind == "GlobalMaxPooling1D"
        self.keepdims = bool(node.options.get("keepdims"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dims = (2, 3)
        found = x.amax(dims) if self.largest else x.mean(dims)
        return found[:, :, None, None] if self.keepdims else found


# --- shapes -----------------------------------------------------------------------------------


class Flatten(nn.Module):
    """Flatten: position by position."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return as_keras(x).flatten(1)


class Reshape(nn.Module):
    """Reshape, to one or two axes besides that of the sequences."""

    def __init__(self, node: Node):
        super().__init__()
        self.shape = tuple(node.options["target_shape"])
        if len(self.shape) > 2:
            raise refused(node, f"makes {len(self.shape)} axes")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return from_keras(as_keras(x).reshape(len(x), *self.shape))


class Permute(nn.Module):
    """Permute: positions become channels."""

    def __init__(self, node: Node):
        super().__init__()
        self.turned = list(node.options["dims"]) == [2, 1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 3) if self.turned else x


class Ends(nn.Module):
    """ZeroPadding1D and Cropping1D."""

    def __init__(self, node: Node):
        super().__init__()
        name, sign = ("cropping", -1) if node.kind == "Cropping1D" else ("padding", 1)
        value = node.options.get(name, 1)
        both = [value, value] if isinstance(value, int) else value
        self.ends = tuple(sign * end for end in both)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, self.ends)


# --- several inputs ---------------------------------------------------------------------------


class Merge(nn.Module):
    """Add, Subtract, Multiply, Average and Maximum."""

    def __init__(self, node: Node):
        super().__init__()
        self.kind = node.kind

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        if len({x.ndim for x in inputs}) > 1:
            raise ValueError("inputs of two and of three axes")
        if self.kind == "Average":
            return reduce(torch.add, inputs) / len(inputs)
        return reduce(MERGED[self.kind], inputs)


MERGED: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "Add": torch.add,
    "Subtract": torch.sub,
    "Multiply": torch.mul,
    "Maximum": torch.maximum,
}


class Concatenate(nn.Module):
    """Concatenate, of channels or of positions."""

    def __init__(self, node: Node):
        super().__init__()
        self.axis = axis(node)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        rank = 2 if inputs[0].ndim == 2 else 3
        place = self.axis % rank
        if place == 0:
            raise ValueError("it joins sequences of different rows")
        return torch.cat(inputs, 1 if place == rank - 1 else 3)


# --- activations ------------------------------------------------------------------------------


class Exponential(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.exp()


def activation(node: Node) -> nn.Module:
    """The module of an activation that is given by its name."""
    name: Any = node.options.get("activation") or "linear"
    if isinstance(name, dict):
        name = name.get("config")
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise refused(node, f"has an activation that geneq does not read, {name}")
    return ACTIVATIONS[name]()


def _relu(node: Node) -> nn.Module:
    slope, threshold = (number(node.options.get(name) or 0) for name in ("negative_slope",
                                                                        "threshold"))  # fmt: skip
    most = node.options.get("max_value")
    if threshold or (slope and most is not None):
        raise refused(node, "has a threshold, or a maximum and a slope")
    if most is not None:
        return nn.Hardtanh(0, number(most))
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _leaky_relu(node: Node) -> nn.Module:
    options = node.options
    return nn.LeakyReLU(number(options.get("negative_slope", options.get("alpha", 0.3))))


def _softmax(node: Node) -> nn.Module:
    if axis(node) != -1:
        raise refused(node, "is not over the channels")
    return nn.Softmax(dim=1)


LAYERS: dict[str, Callable[[Node], nn.Module]] = {
    "Conv1D": Convolution,
    "Dense": Dense,
    "BatchNormalization": Normalisation,
    "MaxPooling1D": MaxPool,
    "AveragePooling1D": AveragePool,
    "GlobalMaxPooling1D": GlobalPool,
    "GlobalAveragePooling1D": GlobalPool,
    "Flatten": lambda node: Flatten(),
    "Reshape": Reshape,
    "Permute": Permute,
    "ZeroPadding1D": Ends,
    "Cropping1D": Ends,
    "Add": Merge,
    "Subtract": Merge,
    "Multiply": Merge,
    "Average": Merge,
    "Maximum": Merge,
    "Concatenate": Concatenate,
    "Activation": activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": lambda node: nn.ELU(number(node.options.get("alpha", 1.0))),
    "Softmax": _softmax,
}
