"""Reference implementation of DeepBind: one window, strand, position, detector at a time.

Imports nothing of geneq, so that both cannot have the same bug. Parameters are those of the file,
as lists of numbers: detectors[position][base][detector].
"""

import numpy as np


def columns(tokens) -> list[np.ndarray]:
    """A vector over A, C, G, T for each base; N is 0.25 of each."""
    return [np.full(4, 0.25) if t == 4 else np.eye(4)[t] for t in tokens]


def one_window(tokens, net: dict) -> float:
    """The score of one strand of one window, all of it within reach of the detectors."""
    detectors = np.asarray(net["detectors"], float)
    width, _, count = detectors.shape
    nothing = [np.full(4, 0.25)] * (width - 1)
    padded = nothing + columns(tokens) + nothing
    features = []
    for d in range(count):
        found = []
        for start in range(len(padded) - width + 1):
            total = net["thresholds"][d]
            for i in range(width):
                for base in range(4):
                    total += padded[start + i][base] * detectors[i, base, d]
            found.append(max(0.0, total))
        features.append(max(found))
        if net["has_avg_pooling"]:
            features.append(sum(found) / len(found))
    if net["num_hidden"] == 0:
        return dense(features, net["weights1"], net["biases1"], 0)
    hidden = [max(0.0, dense(features, net["weights1"], net["biases1"], h))
              for h in range(net["num_hidden"])]  # fmt: skip
    return sum(h * w for h, w in zip(hidden, net["weights2"], strict=True)) + net["biases2"][0]


def dense(features, weights, biases, unit: int) -> float:
    return sum(f * row[unit] for f, row in zip(features, weights, strict=True)) + biases[unit]


def other_strand(tokens) -> list[int]:
    return [4 if t == 4 else 3 - t for t in reversed(tokens)]


def window(tokens, net: dict) -> float:
    """The score of a window: the larger one of both strands for networks of DNA."""
    strands = [list(tokens)]
    if net["reverse_complement"]:
        strands.append(other_strand(list(tokens)))
    return max(one_window(strand, net) for strand in strands)


def sequence(tokens, net: dict) -> float:
    """The published program's score: the maximum over windows of int(1.5 width) bases."""
    size = int(1.5 * len(net["detectors"]))
    starts = range(max(1, len(tokens) - size + 1))
    return max(window(tokens[start : start + size], net) for start in starts)
