"""The network of Sei, with the names of parameters that the published weights have.

Three stages of convolutions, each a linear path with a rectified path beside it, five dilated
convolutions, each added to what it reads, then 16 B-splines over positions and two dense layers
(Chen et al., Nature Genetics 54:940, 2022, Methods).
"""

import numpy as np
import torch
from torch import nn

__all__ = ["LENGTH", "PROFILES", "WIDTH", "SeiNetwork", "SeiProfiles"]

LENGTH, WIDTH, PROFILES = 4096, 480, 21_907
SYMBOLS, KERNEL, POOL = 4, 9, 4
DILATED_KERNEL, DILATIONS = 5, (2, 4, 8, 16, 25)
SPLINES, DEGREE = 16, 3


class SeiNetwork(nn.Module):
    """One strand: float32[n, 4, 4096] → float32[n, profiles], 0 to 1.

    Parameters
    ----------
    width : int
        Channels of the first stage, a multiple of 3; the second has 4/3 as many, the third twice
        as many.
    profiles : int
        Outputs.
    """

    def __init__(self, width: int = WIDTH, profiles: int = PROFILES):
        super().__init__()
        first, second, third = width, width * 4 // 3, width * 2
        self.lconv1 = nn.Sequential(_conv(SYMBOLS, first), _conv(first, first))
        self.conv1 = nn.Sequential(_conv(first, first), nn.ReLU(), _conv(first, first), nn.ReLU())
        self.lconv2, self.conv2 = _pooled(first, second), _rectified(second)
        self.lconv3, self.conv3 = _pooled(second, third), _rectified(third)
        for number, dilation in enumerate(DILATIONS, 1):
            self.add_module(f"dconv{number}", _dilated(third, dilation))
        positions = LENGTH // POOL**2
        self.register_buffer("spline", _splines(positions), persistent=False)
        self.classifier = nn.Sequential(
            nn.Linear(third * SPLINES, profiles), nn.ReLU(), nn.Linear(profiles, profiles),
            nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the dense layers read, float32[n, channels × splines]."""
        linear = self.lconv1(x)
        linear = self.lconv2(self.conv1(linear) + linear)
        linear = self.lconv3(self.conv2(linear) + linear)
        rectified = self.conv3(linear)
        # The first dilated convolution reads both paths, but only the rectified one goes on.
        x = rectified + self.get_submodule("dconv1")(rectified + linear)
        for number in range(2, len(DILATIONS) + 1):
            x = x + self.get_submodule(f"dconv{number}")(x)
        return (x @ self.get_buffer("spline")).flatten(1)


class SeiProfiles(nn.Module):
    """Mean of both strands: one-hot float32[n, 4, 4096] → float32[n, profiles].

    A base that is all zero (N) counts as 0.25 of each.
    """

    def __init__(self, network: SeiNetwork):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + (1 - x.sum(1, keepdim=True)) / SYMBOLS
        # The dense layers have 3.3 GB of weights, which are read once for both strands.
        features = torch.cat([self.network.features(strand) for strand in (x, x.flip(1, 2))])
        one, other = self.network.classifier(features).chunk(2)
        return (one + other) / 2


def _conv(inputs: int, outputs: int) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, KERNEL, padding=KERNEL // 2)


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    """A linear path; an Identity is where training had a dropout layer."""
    return nn.Sequential(
        nn.MaxPool1d(POOL), nn.Identity(), _conv(inputs, outputs), _conv(outputs, outputs)
    )


def _rectified(channels: int) -> nn.Sequential:
    layers = [_conv(channels, channels), nn.ReLU(), _conv(channels, channels), nn.ReLU()]
    return nn.Sequential(nn.Identity(), *layers)


def _dilated(channels: int, dilation: int) -> nn.Sequential:
    padding = dilation * (DILATED_KERNEL // 2)
    conv = nn.Conv1d(channels, channels, DILATED_KERNEL, dilation=dilation, padding=padding)
    return nn.Sequential(nn.Identity(), conv, nn.ReLU())


def _splines(positions: int) -> torch.Tensor:
    """float32[positions, 16]: cubic B-splines with equally spaced knots."""
    from scipy.interpolate import BSpline

    inner = np.linspace(0, positions - 1, SPLINES - DEGREE + 1)
    knots = np.pad(inner, DEGREE, mode="edge")
    basis = BSpline.design_matrix(np.arange(positions, dtype=float), knots, DEGREE).toarray()
    # On the CPU also where the network is made on the meta device, since it is not in the weights.
    return torch.from_numpy(np.asarray(basis, np.float32))
