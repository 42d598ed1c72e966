"""DeepSTARR and a library for it, which several benchmarks use.

The network has the weights in the folder of models if they are there, and random ones otherwise.
"""

from pathlib import Path

import numpy as np

from geneq.libraries import RandomLibrary
from geneq.libraries.fasta import fasta_records
from geneq.oracles import load_oracle
from geneq.oracles.keras.files import Stored
from geneq.oracles.keras.network import oracle_of
from geneq.oracles.keras.published import deepstarr_config
from geneq.oracles.network import NetworkOracle

SEED = 1
RATE = 0.1
MODELS = Path(__file__).parents[2] / "shared/data/models"
# Of its layers: width, channels in, channels out; then channels in and out.
CONVOLUTIONS = [(7, 4, 256), (3, 256, 60), (5, 60, 60), (3, 60, 120)]
DENSE = [(1800, 256), (256, 256), (256, 2)]
# Layers with weights: each but the two heads is followed by batch normalisation.
WEIGHTED = [shape for layer in CONVOLUTIONS + DENSE[:-1] for shape in (layer, layer[-1:])]
WEIGHTED += [(256, 1), (256, 1)]


def library(models: Path, rows: int) -> RandomLibrary:
    """DeepSTARR's example sequence, mutated."""
    file = models / "deepstarr_example.fa"
    if file.exists():
        wild_type = next(fasta_records(file))[1].decode()
    else:
        wild_type = "".join(np.random.default_rng(SEED).choice(list("ACGT"), 249))
    return RandomLibrary(wild_type, n=rows, rate=RATE, seed=SEED)


def deepstarr(models: Path, precision: str = "float32") -> NetworkOracle:
    file = models / "deepstarr.model.h5"
    if file.exists():
        return load_oracle(f"deepstarr:{file}", precision=precision)
    names = [f"layer{number}" for number in range(len(WEIGHTED))]
    weights = dict(zip(names, map(random_weights, WEIGHTED), strict=True))
    oracle = oracle_of(Stored(deepstarr_config(names), weights), "random", file, ["dev", "hk"])
    oracle.precision = precision
    return oracle


def random_weights(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Of a convolution or dense layer; one axis: of batch normalisation that does nothing."""
    if len(shape) == 1:
        ones, zeros = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        return {"gamma": ones, "beta": zeros, "moving_mean": zeros, "moving_variance": ones}
    kernel = np.random.default_rng(SEED).normal(0, np.prod(shape[:-1]) ** -0.5, shape)
    return {"kernel": kernel.astype(np.float32), "bias": np.zeros(shape[-1], np.float32)}


def keras_network():
    """DeepSTARR as its authors wrote it."""
    from keras import Input, Model, layers

    x = start = Input((249, 4))
    for width, _, channels in CONVOLUTIONS:
        x = layers.Conv1D(channels, width, padding="same")(x)
        x = layers.MaxPooling1D(2)(layers.Activation("relu")(layers.BatchNormalization()(x)))
    x = layers.Flatten()(x)
    for _, channels in DENSE[:-1]:
        x = layers.BatchNormalization()(layers.Dense(channels)(x))
        x = layers.Dropout(0.4)(layers.Activation("relu")(x))
    return Model(start, [layers.Dense(1)(x), layers.Dense(1)(x)])
