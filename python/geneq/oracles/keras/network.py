"""A Keras network in torch, and an oracle of it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ...errors import GeneqError, in_file
from ..network import NetworkOracle
from .files import Stored, read_keras, well_formed
from .graph import Graph, read_graph, simplified
from .layers import as_keras, module_of

__all__ = ["KerasNetwork", "open_keras", "oracle_of"]

SYMBOLS = 4
# Layers whose output is new memory, which an activation may overwrite.
FRESH = {"Conv1D", "Dense", "BatchNormalization", "MaxPooling1D", "AveragePooling1D"}
# Length of a trial for networks that take any.
TRIAL = 2**14


class KerasNetwork(nn.Module):
    """float32[n, 4, length] → [n, targets], or [n, bins, targets] if the outputs have positions.

    graph: with one input of DNA. held: other inputs, which are held at 0, and their sizes.
    """

    def __init__(self, graph: Graph, source: str, held: dict[str, int]):
        super().__init__()
        self.source, self.held, self.outputs = source, held, graph.outputs
        nodes = [node for node in graph.nodes.values() if node.kind != "InputLayer"]
        self.steps = [(node.key, node.inputs) for node in nodes]
        self.labels = [f"Layer {node.name} of type {node.kind}" for node in nodes]
        self.layers = nn.ModuleList(module_of(node) for node in nodes)
        used = graph.consumers()
        self.overwrite = [
            isinstance(layer, nn.ReLU)
            and graph.nodes[node.inputs[0]].kind in FRESH
            and used[node.inputs[0]] == 1
            for node, layer in zip(nodes, self.layers, strict=True)
        ]
        # Where each output is used for the last time.
        last = {key: place for place, (_, inputs) in enumerate(self.steps) for key in inputs}
        self.done = [
            [key for key, place in last.items() if place == now and key not in self.outputs]
            for now in range(len(nodes))
        ]

    def extra_repr(self) -> str:
        """How layers are joined: part of the oracle's hash."""
        joined = ", ".join(f"{key}({', '.join(inputs)})" for key, inputs in self.steps)
        return f"{self.source} -> {', '.join(self.outputs)}: {joined}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {key: x.new_zeros(len(x), size) for key, size in self.held.items()}
        values[self.source] = x[:, :, None].contiguous(memory_format=torch.channels_last)
        for place in range(len(self.steps)):
            self._step(place, values)
        return torch.cat([as_keras(values[key]) for key in self.outputs], -1)

    def _step(self, place: int, values: dict[str, torch.Tensor]) -> None:
        key, inputs = self.steps[place]
        arguments = [values[name] for name in inputs]
        for name in self.done[place]:
            del values[name]
        if self.overwrite[place] and not arguments[0].requires_grad:
            values[key] = arguments[0].relu_()
        else:
            values[key] = self.layers[place](*arguments)

    @torch.inference_mode()
    def tried(self, length: int) -> dict[str, torch.Tensor]:
        """Outputs for one sequence of Ns. Raises GeneqError that names the layer that fails."""
        values = {key: torch.zeros(1, size) for key, size in self.held.items()}
        values[self.source] = torch.zeros(1, SYMBOLS, 1, length)
        for place, label in enumerate(self.labels):
            try:
                self._step(place, values)
            except (RuntimeError, ValueError, IndexError, TypeError, KeyError) as error:
                raise GeneqError(f"{label} does not fit its input",
                                 value=str(error).splitlines()[0]) from None  # fmt: skip
        return {key: values[key] for key in self.outputs}


def open_keras(
    path: str | Path,
    targets: list[str] | None = None,
    tss: int | None = None,
    held_out: Sequence[str] | None = None,
) -> NetworkOracle:
    """An oracle of a convolutional Keras network on one-hot DNA.

    Parameters
    ----------
    path : path
        A .h5 file of Keras 2 or 3 or a .keras file. Weights without a configuration need
        `model.to_json()` next to them, under the same name with .json.
    targets : list of str, optional
        A name per output; by default the names of the output layers, numbered if they have several
        units.
    tss : int, optional
        Index of the TSS in the input.
    held_out : sequence of str, optional
        Chromosomes that were not used in training.

    Returns
    -------
    NetworkOracle

    Raises
    ------
    GeneqError
        If the file is incomplete, the input is not DNA, or a layer is not read; it is named.
    """
    stored = read_keras(path)
    if stored.config is None:
        raise GeneqError(
            "The file has weights but no configuration of the network",
            file=path,
            fix=f"Put model.to_json() beside it as {Path(path).stem}.json, or save the network "
            "with model.save('model.h5')",
        )
    return oracle_of(
        stored, f"keras:{Path(path).name}", Path(path), targets, tss=tss, held_out=held_out
    )


def oracle_of(
    stored: Stored,
    name: str,
    path: Path,
    targets: list[str] | None = None,
    hold: str | None = None,
    **options,
) -> NetworkOracle:
    """An oracle of the network in a file.

    hold: inputs besides DNA; they are held at 0. Without it they are refused.
    options: as for `NetworkOracle`.
    """
    with in_file(path), well_formed(path):
        graph = simplified(read_graph(stored, path))
        source, length, held = _inputs(graph, hold is not None)
        network = KerasNetwork(graph, source, held)
        found = _targets(network.tried(TRIAL if length is None else length))
        if targets is not None and len(targets) != len(found):
            raise GeneqError("The network does not have the expected outputs",
                             value=f"{', '.join(found)} for {', '.join(targets)}")  # fmt: skip
    oracle = NetworkOracle(name, network, length, targets or found, **options)
    parameters = sum(weights.numel() for weights in network.parameters())
    notes = [f"{len(network.layers)} layers, {parameters:,} parameters"]
    notes += [f"{size} {hold}, held at 0 (their mean)" for size in held.values()]
    oracle.note = "; ".join(notes)
    return oracle


def _inputs(graph: Graph, hold: bool) -> tuple[str, int | None, dict[str, int]]:
    """Key and length of the DNA input, and the sizes of those that are held at 0."""
    shapes = {key: _shape(graph.nodes[key].options) for key in graph.inputs}
    dna = [key for key, shape in shapes.items() if len(shape) == 2 and shape[1] == SYMBOLS]
    others = {key: shape for key, shape in shapes.items() if key not in dna}
    if len(dna) != 1 or (others and not hold) or any(len(shape) != 1 for shape in others.values()):
        raise GeneqError(
            "The network must have one input, one-hot DNA of shape (length, 4)",
            value=", ".join(f"{key} {shape}" for key, shape in shapes.items()),
            fix="Write a python: oracle for this network (docs/oracles.md)",
        )
    return dna[0], shapes[dna[0]][0], {key: shape[0] for key, shape in others.items()}


def _shape(options: dict) -> tuple:
    """Shape of an input without the axis of the batch."""
    shape = options.get("batch_shape") or options.get("batch_input_shape") or ()
    return tuple(shape[1:])


def _targets(outputs: dict[str, torch.Tensor]) -> list[str]:
    """A name per output."""
    if len({(x.ndim, x.shape[-1] if x.ndim > 2 else 1) for x in outputs.values()}) > 1:
        raise GeneqError("The network's outputs have different numbers of positions",
                         value=", ".join(outputs))  # fmt: skip
    return [
        key if x.shape[1] == 1 else f"{key}_{unit}"
        for key, x in outputs.items()
        for unit in range(x.shape[1])
    ]
