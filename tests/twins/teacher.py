"""The network of teacher.py gene by gene, as its docstring has it."""

import math

import numpy as np

ACTIVATIONS = {
    "relu": lambda u: max(u, 0.0),
    "gelu": lambda u: 0.5 * u * (1 + math.erf(u / math.sqrt(2))),
    "tanh": math.tanh,
    "softplus": lambda u: math.log1p(math.exp(u)),
}


def predict(teacher, x: np.ndarray) -> np.ndarray:
    """float32[n, bins, classes] → float64[n, cell types] by a TrainedTeacher."""
    weights = {k: v.double().numpy() for k, v in teacher.network.state_dict().items()}
    return np.array([_gene(teacher, weights, gene.astype(float)) for gene in x])


def _gene(teacher, weights: dict, x: np.ndarray) -> np.ndarray:
    scaling, architecture = teacher.scaling, teacher.network.architecture
    x = (x - scaling.x_mean) / scaling.x_sd
    s = [weights["gate"][c] * (x[:, c] @ _profile(weights, c)) for c in range(x.shape[1])]
    members = [_member(architecture, weights, s, m) for m in range(architecture.members)]
    return np.mean(members, axis=0) * scaling.y_sd + scaling.y_mean


def _member(architecture, weights: dict, s: list[float], m: int) -> np.ndarray:
    act = ACTIVATIONS[architecture.nonlinearity]
    inputs = list(s)
    if architecture.hidden == "dense":
        units = s @ weights["hidden.weight"][m] + weights["hidden.bias"][m, 0]
        inputs += [act(v) for v in units]
    if architecture.hidden == "additive":
        slope, shift = weights["hidden.slope"][m, 0], weights["hidden.shift"][m, 0]
        units = range(architecture.width)
        inputs += [act(s[c] * slope[c, u] + shift[c, u]) for c in range(len(s)) for u in units]
    if architecture.interactions:
        left, right = weights["left.weight"][m].T, weights["right.weight"][m].T
        inputs += [(row @ s) * (other @ s) for row, other in zip(left, right, strict=True)]
    return inputs @ weights["head.weight"][m] + weights["head.bias"][m, 0]


def _profile(weights: dict, c: int) -> np.ndarray:
    profile = 0.0
    if "profile" in weights:
        profile = profile + weights["profile"][:, 0]
    if "own_profile" in weights:
        profile = profile + weights["own_profile"][:, c]
    return profile / np.linalg.norm(profile)
