"""The configuration of a Keras network as a list of layers in the order of evaluation.

`read_graph` reads sequential and functional configurations of Keras 2 and 3. `simplified` rewrites
a graph into one with fewer and quicker layers that computes the same.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...errors import GeneqError
from .files import Stored, Weights, well_formed

__all__ = ["Graph", "Node", "number", "read_graph", "simplified"]

# Without effect on predictions.
TRAINING_ONLY = {
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise",
    "SpatialDropout1D",
}  # fmt: skip
# Of Keras, added to the variance in batch normalisation.
EPSILON = 1e-3


@dataclass(frozen=True)
class Node:
    """One use of a layer.

    key: name of its output. kind: class of the layer. options: its configuration. inputs: keys.
    arrays: its weights.
    """

    key: str
    kind: str
    name: str
    options: dict
    inputs: tuple[str, ...]
    arrays: Weights


@dataclass(frozen=True)
class Graph:
    """A network: nodes by key, every node after its inputs; keys of inputs and outputs."""

    nodes: dict[str, Node]
    inputs: list[str]
    outputs: list[str]

    def consumers(self) -> Counter[str]:
        """How often the output of each node is used; outputs of the network are used once more."""
        used = (key for node in self.nodes.values() for key in node.inputs)
        return Counter([*used, *self.outputs])


def number(value) -> float:
    """A number of a configuration; Keras 2 writes some as {"type": "ndarray", "value": …}."""
    return float(value["value"] if isinstance(value, dict) else value)


# --- reading ----------------------------------------------------------------------------------


def read_graph(stored: Stored, path: Path) -> Graph:
    """The graph of a network without layers that act in training only.

    Raises GeneqError if the configuration is incomplete, or nested.
    """
    assert stored.config is not None
    config = stored.config["config"]
    is_sequential = stored.config["class_name"] == "Sequential"
    with well_formed(path):
        graph = _sequential(config) if is_sequential else _functional(config)
        _check(graph)
        nodes = {
            key: replace(node, arrays=stored.weights.get(node.name, {}))
            for key, node in graph.nodes.items()
        }
        return _ordered(_without_training_only(replace(graph, nodes=nodes)), path)


def _check(graph: Graph) -> None:
    """Raises ValueError unless every node has a name, a type and inputs."""
    for key, node in graph.nodes.items():
        named = all(isinstance(text, str) and text for text in (key, node.kind, node.name))
        if not named or bool(node.inputs) == (node.kind == "InputLayer"):
            raise ValueError(f"{node.kind} {node.name} has inputs {', '.join(node.inputs)}")
    if not graph.inputs or not graph.outputs:
        raise ValueError("no inputs, or no outputs")


def _sequential(config: dict | list) -> Graph:
    # Before Keras 2.2.3 the configuration is the list of layers.
    layers = config["layers"] if isinstance(config, dict) else config
    first = layers[0]["config"]
    shape = first.get("batch_shape") or first.get("batch_input_shape")
    if not shape and isinstance(config, dict):
        shape = config.get("build_input_shape")
    source = Node("input", "InputLayer", "input", {"batch_shape": shape}, (), {})
    nodes, last = {source.key: source}, source.key
    for layer in layers:
        if layer["class_name"] != "InputLayer":
            node = _node(layer, layer["config"]["name"], (last,))
            nodes[node.key], last = node, node.key
    return Graph(nodes, [source.key], [last])


def _functional(config: dict) -> Graph:
    nodes = {}
    for layer in config["layers"]:
        name = layer.get("name") or layer["config"]["name"]
        uses = [tuple(_tensors(use)) for use in layer["inbound_nodes"]] or [()]
        for place, inputs in enumerate(uses):
            node = _node(layer, _key(name, place), inputs)
            nodes[node.key] = node
    ends = (list(_tensors(config[f"{end}_layers"])) for end in ("input", "output"))
    return Graph(nodes, *ends)


def _node(layer: dict, key: str, inputs: tuple[str, ...]) -> Node:
    options = layer["config"]
    return Node(key, layer["class_name"], options["name"], options, inputs, {})


def _key(name: str, place: int) -> str:
    """Name of the output of the use of a layer that is at this place among its uses."""
    return f"{name}@{place}" if place else name


def _tensors(found) -> Iterator[str]:
    """Keys of the tensors anywhere in a part of the configuration, in order.

    They are ["layer", use, output, …] in Keras 2, {"class_name": "__keras_tensor__", …} in Keras 3.
    """
    if isinstance(found, dict) and found.get("class_name") == "__keras_tensor__":
        found = found["config"]["keras_history"]
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list | tuple):
        return
    if len(found) >= 3 and isinstance(found[0], str) and isinstance(found[1], int):
        yield _key(found[0], found[1])
        return
    for part in found:
        yield from _tensors(part)


def _without_training_only(graph: Graph) -> Graph:
    skipped = {
        node.key: node.inputs[0] for node in graph.nodes.values() if node.kind in TRAINING_ONLY
    }

    def source(key: str) -> str:
        while key in skipped:
            key = skipped[key]
        return key

    nodes = {
        key: replace(node, inputs=tuple(map(source, node.inputs)))
        for key, node in graph.nodes.items()
        if key not in skipped
    }
    return Graph(nodes, graph.inputs, [source(key) for key in graph.outputs])


def _ordered(graph: Graph, path: Path) -> Graph:
    """The nodes that the outputs depend on, every one after its inputs."""
    needed, waiting = set(), list(graph.outputs)
    while waiting:
        key = waiting.pop()
        if key not in graph.nodes:
            raise GeneqError("The network's configuration has no such layer", value=key, file=path)
        if key not in needed:
            needed.add(key)
            waiting += graph.nodes[key].inputs
    ordered: dict[str, Node] = {}
    rest = {key: node for key, node in graph.nodes.items() if key in needed}
    while rest:
        ready = {key: node for key, node in rest.items() if ordered.keys() >= {*node.inputs}}
        if not ready:
            raise GeneqError("The network's layers form a cycle", value=next(iter(rest)),
                             file=path)  # fmt: skip
        ordered |= ready
        rest = {key: node for key, node in rest.items() if key not in ready}
    return Graph(ordered, [key for key in graph.inputs if key in ordered], graph.outputs)


# --- simplifying ------------------------------------------------------------------------------


def simplified(graph: Graph) -> Graph:
    """An equal graph for inference.

    Activations become separate nodes, batch normalisation is folded into the layer before it,
    and ReLU follows maximum pooling, which gives the same for fewer numbers.
    """
    return _relu_after_pooling(_folded(_with_activations(graph)))


def _with_activations(graph: Graph) -> Graph:
    nodes = {}
    for key, node in graph.nodes.items():
        activation = node.options.get("activation") or "linear"
        if node.kind not in ("Conv1D", "Dense") or activation == "linear":
            nodes[key] = node
            continue
        inner = f"{key}/linear"
        nodes[inner] = replace(node, key=inner)
        options = {"activation": activation}
        nodes[key] = Node(key, "Activation", node.name, options, (inner,), {})
    return replace(graph, nodes=nodes)


def _folded(graph: Graph) -> Graph:
    used = graph.consumers()
    nodes: dict[str, Node] = {}
    uses = Counter(node.name for node in graph.nodes.values() if node.arrays)
    for key, node in graph.nodes.items():
        before = nodes.get(node.inputs[0]) if node.inputs else None
        alone = before and used[before.key] == uses[before.name] == 1
        if before and alone and _can_fold(before, node):
            del nodes[before.key]
            node = replace(before, key=key, arrays=_normalised(before, node))
        nodes[key] = node
    return replace(graph, nodes=nodes)


def _can_fold(before: Node, norm: Node) -> bool:
    axes = {"Conv1D": (-1, 2), "Dense": (-1,)}.get(before.kind, ())
    return (
        norm.kind == "BatchNormalization"
        and axis(norm) in axes
        and "kernel" in before.arrays
        and {"moving_mean", "moving_variance"} <= norm.arrays.keys()
        and scale_and_shift(norm)[0].shape == before.arrays["kernel"].shape[-1:]
    )


def axis(node: Node) -> int:
    """The axis of a layer, which Keras writes as a number or as a list of one."""
    found = node.options.get("axis", -1)
    return found[0] if isinstance(found, list) else found


def _normalised(layer: Node, norm: Node) -> Weights:
    """Weights of the layer with the batch normalisation that follows it."""
    scale, shift = scale_and_shift(norm)
    bias = layer.arrays.get("bias", np.float32(0))
    return {"kernel": layer.arrays["kernel"] * scale, "bias": bias * scale + shift}


def scale_and_shift(norm: Node) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation as x · scale + shift, both float32[channels]."""
    mean, variance = norm.arrays["moving_mean"], norm.arrays["moving_variance"]
    epsilon = np.float32(norm.options.get("epsilon", EPSILON))
    scale = norm.arrays.get("gamma", np.float32(1)) / np.sqrt(variance + epsilon)
    return scale, norm.arrays.get("beta", np.float32(0)) - mean * scale


def _relu_after_pooling(graph: Graph) -> Graph:
    used, nodes = graph.consumers(), dict(graph.nodes)
    for pool in graph.nodes.values():
        before = nodes[pool.inputs[0]] if pool.kind == "MaxPooling1D" else None
        if before and used[before.key] == 1 and before.options.get("activation") == "relu":
            # They change places: keys stay where they are.
            nodes[before.key] = replace(pool, key=before.key, inputs=before.inputs)
            nodes[pool.key] = replace(before, key=pool.key, inputs=pool.inputs)
    return replace(graph, nodes=nodes)
