"""Reference implementation of Keras networks: loops over positions, weights as in Keras."""

import numpy as np


def one_hot(tokens) -> np.ndarray:
    """[length, 4]; N is all zero."""
    hot = np.zeros((len(tokens), 4))
    for position, token in enumerate(tokens):
        if token < 4:
            hot[position, token] = 1
    return hot


def same_convolution(x, kernel, bias) -> np.ndarray:
    """[length, inputs] → [length, outputs]: zeros on both sides, the odd one on the right."""
    width = len(kernel)
    left = (width - 1) // 2
    padded = np.vstack([np.zeros((left, x.shape[1])), x, np.zeros((width, x.shape[1]))])
    windows = [padded[start : start + width] for start in range(len(x))]
    return np.array([np.tensordot(window, kernel, 2) + bias for window in windows])


def normalised(x, gamma, beta, moving_mean, moving_variance) -> np.ndarray:
    return (x - moving_mean) / np.sqrt(moving_variance + 1e-3) * gamma + beta


def max_pool(x, size: int) -> np.ndarray:
    """The largest of every `size` positions; the remainder at the end is dropped."""
    return np.array([x[i : i + size].max(0) for i in range(0, len(x) - size + 1, size)])


def average_pool(x, size: int, stride: int) -> np.ndarray:
    """Means of windows centred as padding "same" does it, over the positions that exist."""
    places = -(-len(x) // stride)
    left = max((places - 1) * stride + size - len(x), 0) // 2
    starts = [place * stride - left for place in range(places)]
    return np.array([x[max(start, 0) : start + size].mean(0) for start in starts])


def relu(x) -> np.ndarray:
    return np.maximum(x, 0)


def deepstarr(tokens, layers: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """(dev, hk) of a sequence of 249 tokens; weights by layer name as in `deepstarr_layers`."""
    x = one_hot(tokens)
    for i in range(4):
        x = same_convolution(x, **layers[f"conv{i}"])
        x = max_pool(relu(normalised(x, **layers[f"norm{i}"])), 2)
    x = x.reshape(-1)
    for i in range(2):
        x = x @ layers[f"dense{i}"]["kernel"] + layers[f"dense{i}"]["bias"]
        x = relu(normalised(x, **layers[f"dense_norm{i}"]))
    return np.concatenate([x @ layers[h]["kernel"] + layers[h]["bias"] for h in ("dev", "hk")])


def xpresso(tokens, layers: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """Expression of a sequence of 10,500 tokens; the half-life features are 0."""
    x = max_pool(relu(same_convolution(one_hot(tokens), **layers["conv0"])), 30)
    x = max_pool(relu(same_convolution(x, **layers["conv1"])), 10)
    x = np.concatenate([x.reshape(-1), np.zeros(6)])
    for i in range(2):
        x = relu(x @ layers[f"dense{i}"]["kernel"] + layers[f"dense{i}"]["bias"])
    return x @ layers["dense2"]["kernel"] + layers["dense2"]["bias"]
