"""DeepBind networks as an oracle: all networks of one detector width are computed together.

A network reads a window: detectors are applied at every position at which they cover at least one
base of it (N, and what is beyond the window, is 0.25 of each base), the maximum over positions of
each detector, for some networks also the mean, enters one or two dense layers. For networks of DNA
the score is the larger one of both strands.
"""

import hashlib
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from ...errors import GeneqError
from ..base import BinnedOracle
from ..feeding import device, distinct_rows
from .detectors import Detectors, detectors_on
from .files import Network, read_collection

__all__ = ["DeepBindOracle"]

# Symbols of the windows that `predict` makes at a time.
WINDOW_SYMBOLS = 2**22


class Layers(NamedTuple):
    """Networks of one detector width, on the device.

    members: indices of the networks. detectors: with strands × networks × detectors as columns.
    weights1, biases1, weights2, biases2: the dense layers, [networks, …].
    """

    width: int
    members: list[int]
    detectors: Detectors
    weights1: torch.Tensor
    biases1: torch.Tensor
    weights2: torch.Tensor
    biases2: torch.Tensor


class DeepBindOracle(BinnedOracle):
    """Scores of DeepBind networks; see the module's docstring.

    `predict` scores a sequence as the published program does: the maximum over all windows of
    int(1.5 × width) bases, or the complete sequence if it is shorter. `predict_bins` differs from
    this: a network reads each bin as one window, so the maximum of a detector is taken over the
    complete bin, and nothing outside of the bin is read.

    Parameters
    ----------
    name : str
    targets : list of str
        A name for each network.
    networks : list of Network
    """

    unknown = "0.25 of each base"
    reach = 0

    def __init__(self, name: str, targets: list[str], networks: list[Network]):
        self.name, self.targets, self.networks = name, targets, networks
        self.strand = "both" if all(net.reverse_complement for net in networks) else "given"
        self.hash = _hash(networks)
        self._device = device()
        self._groups = [_layers(networks, part, self._device) for part in _alike(networks)]

    @classmethod
    def open(cls, what: str) -> "DeepBindOracle":
        """Open a folder of parameters.

        Parameters
        ----------
        what : str
            ``FOLDER`` or ``FOLDER:TERMS``; see `read_collection` for the terms.

        Raises
        ------
        GeneqError
            If files are missing or incomplete, or no network passes the filter.
        """
        folder, _, terms = what.partition(":")
        found = read_collection(folder, terms)
        oracle = cls(f"deepbind:{folder.rstrip('/').rpartition('/')[2]}", found.names,
                     found.networks)  # fmt: skip
        oracle.name += f":{terms}" if terms else ""
        skipped = f", {found.skipped} of RNA skipped" if found.skipped else ""
        oracle.note = f"{len(found.networks):,} networks{skipped}"
        return oracle

    def of_classes(self, names: list[str]) -> "DeepBindOracle":
        """An oracle of these networks only; see `BinnedOracle.of_classes`."""
        kept = [i for i, name in enumerate(self.targets) if name in set(names)]
        networks = [self.networks[i] for i in kept]
        return DeepBindOracle(self.name, [self.targets[i] for i in kept], networks)

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Scores float32[n, networks] as the published program's; see `Oracle.predict`."""
        if not tokens.shape[1]:
            raise GeneqError("DeepBind scores sequences of at least one base", value=0)
        scores = np.empty((len(tokens), len(self.targets)), np.float32)
        for layers in self._groups:
            window = min(int(1.5 * layers.width), tokens.shape[1])
            windows = np.lib.stride_tricks.sliding_window_view(tokens, window, axis=1)
            rows = max(1, WINDOW_SYMBOLS // windows[:1].size) if len(tokens) else 1
            for start in range(0, len(tokens), rows):
                part = windows[start : start + rows]
                found = self._read(layers, part.reshape(-1, window))
                best = found.reshape(*part.shape[:2], -1).max(1)
                scores[start : start + rows, layers.members] = best
        return scores

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Scores float32[n, bins, networks]; see `BinnedOracle.predict_bins`.

        A network reads each bin as one window, however wide it is; a bin that is narrower than a
        detector is extended by Ns. Equal windows are scored once.
        """
        scores = np.empty((len(tokens), len(edges) - 1, len(self.targets)), np.float32)
        for b, (start, end) in enumerate(pairwise(edges)):
            windows = tokens[:, start:end]
            first, which = distinct_rows(windows)
            for layers in self._groups:
                scores[:, b, layers.members] = self._read(layers, windows[first])[which]
        return scores

    def distinct_inputs(self, tokens: np.ndarray, edges: np.ndarray) -> int:
        """Different windows, one a bin; see `BinnedOracle.distinct_inputs`."""
        return sum(len(distinct_rows(tokens[:, a:b])[0]) for a, b in pairwise(edges))

    @torch.inference_mode()
    def _read(self, layers: Layers, windows: np.ndarray) -> np.ndarray:
        """float32[n, networks]: a row of uint8[n, length] is one window."""
        scores = np.empty((len(windows), len(layers.members)), np.float32)
        rows = layers.detectors.rows(windows.shape[1])
        for start in range(0, len(windows), rows):
            found = layers.detectors(windows[start : start + rows])
            scores[start : start + rows] = _outputs(layers, found).cpu().numpy()
        return scores


def _hash(networks: list[Network]) -> str:
    digest = hashlib.sha256(b"deepbind 1")
    for net in networks:
        digest.update(f"\0{net.reverse_complement} {net.average} {net.width}".encode())
        for array in net.arrays:
            digest.update(
                f" {array.shape} ".encode() + np.ascontiguousarray(array, "<f4").tobytes()
            )
    return digest.hexdigest()


# --- computing --------------------------------------------------------------------------------


def _outputs(layers: Layers, found: torch.Tensor) -> torch.Tensor:
    """What the detectors find, float32[n, columns, maxima and means] → float32[n, networks]: of the
    better strand."""
    features = found.reshape(len(found), 2, len(layers.members), -1)
    hidden = torch.einsum("nsmf,mfh->nsmh", features, layers.weights1).add_(layers.biases1).relu_()
    return (torch.einsum("nsmh,mh->nsm", hidden, layers.weights2) + layers.biases2).amax(1)


def _alike(networks: list[Network]) -> list[list[int]]:
    """Indices of networks with as many detectors of one width, with means or without."""
    groups: dict[tuple, list[int]] = {}
    for i, net in enumerate(networks):
        groups.setdefault((net.detectors.shape, net.average), []).append(i)
    return list(groups.values())


def _layers(networks: list[Network], members: list[int], where: torch.device) -> Layers:
    """Networks whose detectors have one shape, all with means or all without."""
    group = [networks[i] for i in members]
    # A network of one strand reads the same strand twice.
    strands = [
        [net.detectors for net in group],
        [net.detectors[::-1, ::-1] if net.reverse_complement else net.detectors for net in group],
    ]
    detectors = np.concatenate([one for strand in strands for one in strand], axis=2)
    thresholds = np.concatenate([net.thresholds for net in group] * 2)
    dense = [torch.tensor(array, dtype=torch.float32, device=where) for array in _dense(group)]
    found = detectors_on(where, detectors, thresholds, group[0].average)
    return Layers(group[0].width, members, found, *dense)


def _dense(group: list[Network]) -> list[np.ndarray]:
    """weights1, biases1, weights2, biases2 of networks, stacked.

    Networks without a hidden layer get two units, which are the output and its negative: their
    rectified difference is the output.
    """
    parts = [_with_hidden(net) for net in group]
    units = max(len(biases1) for _, biases1, _, _ in parts)

    def padded(array: np.ndarray) -> np.ndarray:
        missing = units - array.shape[-1]
        return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)])

    *layers, biases2 = zip(*parts, strict=True)
    return [np.stack([padded(array) for array in layer]) for layer in layers] + [np.array(biases2)]


def _with_hidden(net: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Two dense layers that compute what those of `net` do."""
    if len(net.weights2):
        return net.weights1, net.biases1, net.weights2, float(net.biases2[0])
    signs = np.array([1, -1], np.float32)
    return net.weights1 * signs, net.biases1 * signs, signs, 0.0
