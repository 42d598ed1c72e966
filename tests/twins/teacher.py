"""The network of teacher.py gene by gene, as its docstring has it.

Imports nothing of geneq, so that both cannot have the same bug.
"""

import math

import numpy as np

ACTIVATIONS = {
    "silu": lambda u: u * sigmoid(u),
    "tanh": math.tanh,
    "softplus": lambda u: softplus(u),
    "relu": lambda u: max(u, 0.0),
}
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)


def predict(teacher, x: np.ndarray) -> np.ndarray:
    """Scaled columns float32[n, columns] → float64[n, cell types] by a TrainedTeacher."""
    weights = _weights(teacher)
    return np.array([_gene(teacher, weights, gene) for gene in x.astype(float)])


def variables(teacher, x: np.ndarray) -> np.ndarray:
    """Scaled columns float32[n, columns] → float64[n, variables]."""
    weights = _weights(teacher)
    return np.array([_variables(teacher, weights, gene) for gene in x.astype(float)])


def _weights(teacher) -> dict:
    return {k: v.double().numpy() for k, v in teacher.network.state_dict().items()}


def _gene(teacher, weights: dict, x: np.ndarray) -> np.ndarray:
    scaling, a = teacher.scaling, teacher.network.architecture
    z = _variables(teacher, weights, x)
    kept = zip(weights["gate"], weights["kept"], z, strict=True)
    s = [gate * is_kept * value for gate, is_kept, value in kept]
    members = [_member(teacher, weights, s, m) for m in range(a.members)]
    if a.link == "softplus":
        zero = -scaling.y_mean / scaling.y_sd
        members = [[o + softplus(v - o) for v, o in zip(y, zero, strict=True)] for y in members]
    return np.mean(members, axis=0) * scaling.y_sd + scaling.y_mean


# --- variables ------------------------------------------------------------------------------------


def _variables(teacher, weights: dict, x: np.ndarray) -> list[float]:
    x = (x - teacher.scaling.x_mean) / teacher.scaling.x_sd
    a, first, z = teacher.network.architecture, 0, []
    for i, shape in enumerate(teacher.network.shapes):
        for p in range(_number(a, shape)):
            for c in range(shape.classes):
                profile = _profile(a.pooling, weights, i, shape, c, p)
                places = [first + b * shape.classes + c for b in range(shape.bins)]
                z.append(sum(w * x[j] for w, j in zip(profile, places, strict=True)))
        first += shape.bins * shape.classes
    for k in range(a.programmes):
        z.append(sum(weights["programmes"][:, k] * x))
    return z


def _number(a, shape) -> int:
    """Profiles of each class."""
    if shape.bins == 1:
        return 1
    return 2 if a.pooling == "promoter_distal" else a.profiles


def _profile(pooling: str, weights: dict, block: int, shape, c: int, p: int) -> list[float]:
    common, own, kernel = (
        weights.get(f"pooling.{block}.{name}") for name in ("common", "own", "kernel")
    )
    if shape.bins == 1:
        return unit(own[:, c, p])
    if pooling == "shared":
        return unit(common[:, 0, p])
    if pooling == "partial":
        return unit(common[:, 0, p] + own[:, c, p])
    values = own[:, c, p]
    if pooling == "attention":
        values = [math.exp(v) / sum(math.exp(u) for u in values) for v in values]
    elif pooling == "convolution":
        padded = [0.0, *values, 0.0]
        values = [sum(kernel[k] * padded[b + k] for k in range(3)) for b in range(shape.bins)]
    elif pooling == "decay":
        curves = decays(shape.centres, shape.bins)
        values = sum(v * np.array(curve) for v, curve in zip(values, curves, strict=True))
    elif pooling == "promoter_distal":
        is_read = promoter(shape.centres, shape.bins)[p]
        values = [v if read else 0.0 for v, read in zip(values, is_read, strict=True)]
    return unit(values)


def unit(values) -> list[float]:
    length = math.sqrt(sum(v * v for v in values))
    return [v / length for v in values]


def decays(centres, bins: int) -> list[list[float]]:
    """Curves over bins: upstream of the TSS, then downstream; without a TSS one that is even."""
    if centres is None:
        return [unit([1.0] * bins)]
    curves = []
    for is_here in (lambda nt: nt < 0, lambda nt: nt >= 0):
        for rate in RATES:
            curve = [math.exp(-rate * abs(nt) / 200) if is_here(nt) else 0.0 for nt in centres]
            if any(curve):
                curves.append(unit(curve))
    return curves


def promoter(centres, bins: int) -> tuple[list[bool], list[bool]]:
    """Which bins the profile of the promoter reads, and which the distal one."""
    near = [abs(nt) <= 250 for nt in centres or [0.0] * bins]
    if all(near) or not any(near):
        return [True] * bins, [True] * bins
    return near, [not is_near for is_near in near]


# --- members --------------------------------------------------------------------------------------


def _member(teacher, weights: dict, s: list[float], m: int) -> list[float]:
    a = teacher.network.architecture
    encoded = [part for v, value in enumerate(s) for part in _encoded(a, weights, v, value)]
    y = weights["constant"][m, 0] + np.dot(encoded, weights["heads.encoded.weight"][m])
    if a.hidden != "none":
        units = _hidden(a, weights, s if a.hidden == "additive" else encoded, m)
        y = y + np.dot(units, weights["heads.hidden.weight"][m])
    for k in range(a.products):
        y = y + _product(teacher, weights, s, m, k) * weights["heads.products.weight"][m, k]
    return list(y)


def _encoded(a, weights: dict, variable: int, value: float) -> list[float]:
    if a.encoding == "piecewise":
        return [value, *(max(value - knot, 0.0) for knot in (-1.5, -0.5, 0.5, 1.5))]
    if a.encoding == "periodic":
        angles = [2 * math.pi * f * value for f in weights["encoding.frequency"][variable]]
        return [value, *map(math.sin, angles), *map(math.cos, angles)]
    return [value]


def _hidden(a, weights: dict, values: list[float], m: int) -> list[float]:
    act = ACTIVATIONS[a.nonlinearity]
    if a.hidden == "additive":
        slope, shift = weights["hidden.0.slope"][m, 0], weights["hidden.0.shift"][m, 0]
        units = [
            act(value * slope[i, u] + shift[i, u])
            for i, value in enumerate(values)
            for u in range(max(1, a.width // 8))
        ]
    else:
        units = _layer(act, weights, 0, values, m)
    for layer in range(1, a.depth):
        units = _layer(act, weights, layer, units, m)
    return units


def _layer(act, weights: dict, layer: int, values: list[float], m: int) -> list[float]:
    weight, bias = weights[f"hidden.{layer}.weight"][m], weights[f"hidden.{layer}.bias"][m, 0]
    return [
        act(sum(v * w for v, w in zip(values, weight[:, u], strict=True)) + bias[u])
        for u in range(len(bias))
    ]


def _product(teacher, weights: dict, s: list[float], m: int, k: int) -> float:
    """The product of two weighted sums; of promoters' variables and a gate of the distal ones."""
    a, profile = teacher.network.architecture, []
    for shape in teacher.network.shapes:
        n = _number(a, shape)
        profile += [p if n > 1 else "all" for p in range(n) for _ in range(shape.classes)]
    profile += ["all"] * a.programmes
    is_split = a.pooling == "promoter_distal"
    left = right = 0.0
    for v, value in enumerate(s):
        if not is_split or profile[v] in (0, "all"):
            left += weights["left.weight"][m, v, k] * value
        if not is_split or profile[v] in (1, "all"):
            right += weights["right.weight"][m, v, k] * value
    return left * (sigmoid(right) if is_split else right)


def sigmoid(u: float) -> float:
    return 1 / (1 + math.exp(-u)) if u > -700 else 0.0


def softplus(u: float) -> float:
    return max(u, 0.0) + math.log1p(math.exp(-abs(u)))
