"""keras: reads convolutional networks from the files of Keras 2 and 3 and scores as Keras does."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geneq import cli
from geneq.errors import GeneqError
from geneq.libraries import RandomLibrary
from geneq.mave import Mave
from geneq.oracles import load_oracle
from geneq.oracles.attribution import attribute, available
from geneq.oracles.keras import open_keras
from geneq.oracles.keras.published import deepstarr_config
from twins import network as twin

os.environ["KERAS_BACKEND"] = "torch"
LENGTH, SEED = 40, 7

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),
]


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras", reason="keras is not installed")


def sequences(n: int = 5, length: int = LENGTH) -> np.ndarray:
    """Random DNA with Ns."""
    rng = np.random.default_rng(SEED)
    tokens = rng.integers(0, 4, (n, length)).astype(np.uint8)
    tokens[rng.random(tokens.shape) < 0.05] = 4
    return tokens


def one_hot(tokens: np.ndarray) -> np.ndarray:
    """[n, length, 4], as Keras reads it."""
    return np.eye(5, dtype=np.float32)[tokens][..., :4]


def randomised(model):
    """The model with random weights, also of batch normalisation."""
    rng = np.random.default_rng(SEED)
    model.set_weights([drawn(rng, weights.shape) for weights in model.get_weights()])
    return model


def drawn(rng, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep the size of what they are applied to."""
    if len(shape) == 1:
        return rng.uniform(0.5, 1.5, shape)
    return rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape)


def predicted(model, tokens: np.ndarray) -> np.ndarray:
    """What Keras predicts, outputs side by side."""
    found = model(one_hot(tokens), training=False)
    found = found if isinstance(found, list | tuple) else [found]
    return np.concatenate([part.detach().cpu().numpy() for part in found], -1)


def saved(model, folder: Path) -> list[Path]:
    """The model in every form that is read."""
    paths = [folder / "model.h5", folder / "archive.keras", folder / "bare.weights.h5"]
    for path in paths[:2]:
        model.save(path)
    model.save_weights(paths[2])
    (folder / "bare.json").write_text(model.to_json())
    return paths


def assert_read_as_keras_does(model, folder: Path, length: int = LENGTH) -> None:
    tokens = sequences(length=length)
    wanted = predicted(randomised(model), tokens)
    assert np.isfinite(wanted).all()
    for path in saved(model, folder):
        found = open_keras(path).predict(tokens)
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=1e-5, err_msg=path.name)


# --- layers -----------------------------------------------------------------------------------


def branched(keras, branches: dict[str, list]):
    """A model with an output per branch, each the flat end of its layers after a convolution."""
    layers = keras.layers
    start = layers.Input((LENGTH, 4))
    middle = layers.Conv1D(6, 3, padding="same", activation="tanh")(start)
    ends = []
    for name, chosen in branches.items():
        x = middle
        for layer in chosen:
            x = layer(x)
        ends.append(layers.Dense(2, name=name)(layers.Flatten()(x)))
    return keras.Model(start, ends)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_convolutions(keras, tmp_path, padding):
    more = [{}, {"strides": 3}, {"dilation_rate": 3}, {"groups": 2, "use_bias": False}]
    branches = {
        f"width{width}_{number}": [keras.layers.Conv1D(4, width, padding=padding, **options)]
        for width in (1, 4, 5)
        for number, options in enumerate(more)
    }
    assert_read_as_keras_does(branched(keras, branches), tmp_path)


SIZES = [(2, None), (3, 3), (3, 2), (4, 5), (1, 2), (40, 1)]


@pytest.mark.parametrize(
    ("kind", "padding"),
    [("MaxPooling1D", "valid"), ("MaxPooling1D", "same"), ("AveragePooling1D", "valid")],
)
def test_pooling(keras, tmp_path, kind, padding):
    branches = {
        f"size{size}_{strides}": [getattr(keras.layers, kind)(size, strides, padding)]
        for size, strides in SIZES
    }
    assert_read_as_keras_does(branched(keras, branches), tmp_path)


@pytest.mark.parametrize(("size", "strides"), SIZES)
def test_average_pooling_does_not_count_padding(tmp_path, size, strides):
    """As with TensorFlow and JAX; on torch, Keras repeats the ends where padding is uneven."""
    options = {"pool_size": [size], "strides": strides and [strides], "padding": "same"}
    pool = layer("AveragePooling1D", "pool", batch_input_shape=[None, LENGTH, 4], **options)
    path = keras2(tmp_path / "pool.h5", {"class_name": "Sequential", "config": [pool]}, {})
    wanted = [twin.average_pool(x, size, strides or size) for x in one_hot(sequences())]
    np.testing.assert_allclose(open_keras(path).predict(sequences()), wanted, atol=1e-6)


ACTIVATIONS = [
    "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "tanh", "softplus",
    "softsign", "silu", "mish", "softmax", "exponential",
]  # fmt: skip


def test_activations(keras, tmp_path):
    layers = keras.layers
    branches = {
        name: [layers.Conv1D(6, 3, activation=name), layers.Dense(4), layers.Activation(name),
               layers.GlobalAveragePooling1D(), layers.Dense(3, activation=name)]
        for name in ACTIVATIONS
    }  # fmt: skip
    assert_read_as_keras_does(branched(keras, branches), tmp_path)


def test_activation_layers(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((LENGTH, 4)), layers.Conv1D(6, 3), layers.LeakyReLU(), layers.Conv1D(6, 3),
        layers.ELU(0.5), layers.Conv1D(6, 3), layers.ReLU(max_value=1.5), layers.Conv1D(6, 3),
        layers.ReLU(negative_slope=0.2), layers.Conv1D(6, 3), layers.Softmax(), layers.ReLU(),
        layers.GlobalMaxPooling1D(keepdims=True), layers.Flatten(), layers.Dense(2),
    ])  # fmt: skip
    assert_read_as_keras_does(model, tmp_path)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.1}])
@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_batch_normalisation(keras, tmp_path, options, activation, use_bias):
    """Before, after and between the layers that it is folded into."""
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((LENGTH, 4)), layers.BatchNormalization(**options),
        layers.Conv1D(6, 3, use_bias=use_bias, activation=activation),
        layers.BatchNormalization(**options), layers.MaxPooling1D(3),
        layers.BatchNormalization(**options), layers.Dense(5, use_bias=use_bias),
        layers.BatchNormalization(**options), layers.Flatten(),
        layers.Dense(4, use_bias=use_bias), layers.BatchNormalization(**options),
    ])  # fmt: skip
    assert_read_as_keras_does(model, tmp_path)


def test_shapes(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((LENGTH, 4)), layers.ZeroPadding1D(3), layers.Conv1D(6, 5),
        layers.Cropping1D((1, 4)), layers.Permute((2, 1)), layers.Dense(8, activation="tanh"),
        layers.Permute((2, 1)), layers.Reshape((4, 12)), layers.Conv1D(3, 2),
        layers.Reshape((-1,)), layers.Dense(6), layers.Reshape((3, 2)), layers.Flatten(),
        layers.Dense(2),
    ])  # fmt: skip
    assert_read_as_keras_does(model, tmp_path)


def test_layers_of_training_are_passed_over(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((LENGTH, 4)), layers.GaussianNoise(0.5), layers.Conv1D(6, 3),
        layers.SpatialDropout1D(0.5), layers.GaussianDropout(0.5), layers.AlphaDropout(0.5),
        layers.BatchNormalization(), layers.ActivityRegularization(), layers.Flatten(),
        layers.Dropout(0.5), layers.Dense(1), layers.Dropout(0.5),
    ])  # fmt: skip
    assert_read_as_keras_does(model, tmp_path)


# --- whole networks ---------------------------------------------------------------------------


LAYER = st.sampled_from([
    ("Conv1D", {"filters": 6, "kernel_size": 3, "activation": "relu"}),
    ("Conv1D", {"filters": 4, "kernel_size": 4, "padding": "same"}),
    ("Conv1D", {"filters": 4, "kernel_size": 2, "padding": "causal", "dilation_rate": 2}),
    ("Conv1D", {"filters": 6, "kernel_size": 5, "strides": 2, "use_bias": False}),
    ("BatchNormalization", {}),
    ("Activation", {"activation": "relu"}),
    ("Activation", {"activation": "tanh"}),
    ("LeakyReLU", {}),
    ("MaxPooling1D", {"pool_size": 2}),
    ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("AveragePooling1D", {"pool_size": 3, "strides": 2}),
    ("Dropout", {"rate": 0.3}),
    ("Dense", {"units": 5, "activation": "elu"}),
])  # fmt: skip
END = st.sampled_from(["Flatten", "GlobalMaxPooling1D", "GlobalAveragePooling1D"])


@settings(max_examples=25)
@given(chosen=st.lists(LAYER, min_size=1, max_size=9), end=END)
def test_random_sequential_networks(keras, tmp_path_factory, chosen, end):
    layers = [getattr(keras.layers, kind)(**options) for kind, options in chosen]
    last = [getattr(keras.layers, end)(), keras.layers.Dense(2)]
    try:
        model = keras.Sequential([keras.layers.Input((LENGTH, 4)), *layers, *last])
    except ValueError:  # no positions are left
        assume(False)
    assert_read_as_keras_does(model, tmp_path_factory.mktemp("random"))


BRANCH = st.sampled_from(["residual", "concatenate", "positions", "multiply", "shared", "pooled"])


@settings(max_examples=15)
@given(chosen=st.lists(BRANCH, min_size=1, max_size=4), heads=st.integers(1, 3))
def test_random_functional_networks(keras, tmp_path_factory, chosen, heads):
    layers = keras.layers
    start = layers.Input((LENGTH, 4))
    x = layers.Conv1D(6, 5, padding="same", activation="relu")(start)
    for name in chosen:
        one = layers.Conv1D(6, 3, padding="same")(x)
        if name == "residual":
            x = layers.Activation("relu")(layers.Add()([x, layers.BatchNormalization()(one)]))
        elif name == "concatenate":
            x = layers.Conv1D(6, 1)(layers.Concatenate()([x, one, x]))
        elif name == "positions":
            x = layers.Concatenate(axis=1)([one, layers.Activation("relu")(one)])
        elif name == "multiply":
            gate = layers.GlobalAveragePooling1D(keepdims=True)(one)
            x = layers.Multiply()([x, layers.Dense(6, activation="sigmoid")(gate)])
        elif name == "shared":
            same = layers.Conv1D(6, 3, padding="same", activation="relu")
            x = layers.Average()([same(x), same(one)])
        else:
            pooled = layers.MaxPooling1D(2, strides=1, padding="same")(x)
            x = layers.Subtract()([layers.Maximum()([pooled, one]), x])
    flat = layers.Flatten()(x)
    ends = [layers.Dense(1 + number, name=f"head{number}")(flat) for number in range(heads)]
    assert_read_as_keras_does(keras.Model(start, ends), tmp_path_factory.mktemp("random"))


def test_an_activation_may_be_used_before_and_after(keras, tmp_path):
    """The input of a ReLU is used again, so it must not be overwritten."""
    layers = keras.layers
    start = layers.Input((LENGTH, 4))
    x = layers.Conv1D(6, 3, padding="same")(start)
    flat = layers.Flatten()(x)
    joined = layers.Concatenate()([layers.ReLU()(flat), layers.Flatten()(layers.ReLU()(x)), flat])
    assert_read_as_keras_does(keras.Model(start, layers.Dense(1)(joined)), tmp_path)


def test_networks_of_any_length(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential([
        layers.Input((None, 4)), layers.Conv1D(6, 5, strides=2, padding="same", activation="relu"),
        layers.GlobalMaxPooling1D(), layers.Dense(2),
    ])  # fmt: skip
    for length in (11, 64):
        assert_read_as_keras_does(model, tmp_path, length)
    assert open_keras(tmp_path / "model.h5").length is None


def test_profiles(keras, tmp_path):
    layers = keras.layers
    start = layers.Input((LENGTH, 4))
    x = layers.MaxPooling1D(4)(layers.Conv1D(6, 5, padding="same")(start))
    model = keras.Model(start, [layers.Dense(1, name="plus")(x), layers.Dense(2, name="minus")(x)])
    assert_read_as_keras_does(model, tmp_path)
    oracle = open_keras(tmp_path / "model.h5")
    assert oracle.targets == ["plus", "minus_0", "minus_1"]
    assert oracle.predict(sequences()).shape == (5, 10, 3)


# --- what users get ---------------------------------------------------------------------------


@pytest.fixture
def model_file(keras, tmp_path) -> Path:
    layers = keras.layers
    start = layers.Input((LENGTH, 4))
    x = layers.MaxPooling1D(2)(layers.Conv1D(6, 5, activation="relu")(start))
    x = layers.Flatten()(x)
    model = keras.Model(start, [layers.Dense(1, name="on")(x), layers.Dense(1, name="off")(x)])
    randomised(model).save(tmp_path / "model.h5")
    return tmp_path / "model.h5"


def test_a_library_is_scored_and_the_network_described(model_file, tmp_path, capsys):
    (tmp_path / "recipe.json").write_text(RandomLibrary("ACGT" * 10, n=50).to_json())
    words = ["--oracle", f"keras:{model_file}", "--recipe", tmp_path / "recipe.json"]
    assert cli.main(["score", *map(str, words), "--out", str(tmp_path), "--threads", "1"]) == 0
    said = capsys.readouterr().out
    assert "keras:model.h5: 40 nt; targets: on, off; 6 layers, 344 parameters\n" in said
    assert Mave.load(tmp_path / "mave.parquet").targets == ["on", "off"]


def test_what_a_file_does_not_say_can_be_given(model_file):
    oracle = open_keras(model_file, targets=["a", "b"], tss=20, held_out=["chr8"])
    assert (oracle.targets, oracle.tss, oracle.held_out) == (["a", "b"], 20, ["chr8"])
    with pytest.raises(GeneqError, match="not have the expected outputs: 'on, off for a'"):
        open_keras(model_file, targets=["a"])


def test_attribution_by_every_method(model_file):
    oracle = open_keras(model_file)
    wild_type = "".join(np.random.default_rng(1).choice(list("ACGT"), LENGTH))
    reference = sequences(1) % 4
    found = {name: attribute(oracle, wild_type, name, 1, reference) for name in available(oracle)}
    assert list(found) == ["ism", "saliency", "integrated_gradients", "deeplift"]
    assert np.corrcoef(found["ism"].ravel(), found["deeplift"].ravel())[0, 1] > 0.5


def test_the_hash_depends_on_weights_and_on_wiring(keras, tmp_path):
    layers, hashes = keras.layers, []
    for first, second in [(0, 1), (1, 0), (0, 1)]:
        start = layers.Input((LENGTH, 4), name="start")
        both = [layers.Conv1D(4, 3, name=f"c{number}") for number in range(2)]
        ends = [both[number](start) for number in range(2)]
        x = layers.Subtract(name="s")([ends[first], ends[second]])
        x = layers.Dense(1, name="y")(layers.GlobalMaxPooling1D(name="g")(x))
        randomised(keras.Model(start, x)).save(tmp_path / "model.h5")
        hashes.append(open_keras(tmp_path / "model.h5").hash)
    assert hashes[0] == hashes[2] != hashes[1]
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        file["model_weights/y/y/bias"][0] += 1
    assert open_keras(tmp_path / "model.h5").hash not in hashes


# --- files of Keras 2, written by hand --------------------------------------------------------


def layer(kind: str, name: str, after: str | None = None, **options) -> dict:
    inbound = [[[after, 0, 0, {}]]] if after else []
    return {"class_name": kind, "config": {"name": name, **options}, "inbound_nodes": inbound}


def keras2(path: Path, config: dict | None, weights: dict[str, dict[str, np.ndarray]], split=False):
    """A file as Keras 2 writes it; split: the list of layers in parts, as if it were long."""
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        root = file.create_group("model_weights") if config is not None else file
        names = np.array([name.encode() for name in weights])
        parts = {f"layer_names{i}": [name] for i, name in enumerate(names)}
        for key, value in (parts if split else {"layer_names": names}).items():
            root.attrs[key] = value
        for name, arrays in weights.items():
            group = root.create_group(name)
            paths = [f"{name}_1/{key}:0" for key in arrays]
            group.attrs["weight_names"] = np.array([path.encode() for path in paths], "S40")
            for key, array in arrays.items():
                group[f"{name}_1/{key}:0"] = array
    return path


def small(*extra: dict) -> dict:
    """Maximum over positions of one channel: the number of A, C, G or T that fits a filter best."""
    return {"class_name": "Sequential", "config": [
        layer("Conv1D", "conv", filters=1, kernel_size=[2], batch_input_shape=[None, 6, 4],
              activation="relu"),
        *extra,
        layer("GlobalMaxPooling1D", "best"),
    ]}  # fmt: skip


# "AC" is worth 3.5, every other A at the first place or C at the second 1.5 or 2.
KERNEL = np.zeros((2, 4, 1), np.float32)
KERNEL[0, 0], KERNEL[1, 1] = 1.5, 2
SMALL = {"conv": {"kernel": KERNEL, "bias": np.array([0.25], np.float32)}, "best": {}}
TOKENS = np.array([[2, 2, 0, 1, 2, 2], [2, 1, 2, 2, 2, 0], [4, 4, 4, 4, 4, 4]], np.uint8)
SCORES = [[3.75], [2.25], [0.25]]


@pytest.mark.parametrize("split", [False, True])
def test_files_of_keras_2(tmp_path, split):
    path = keras2(tmp_path / "old.h5", small(), SMALL, split)
    np.testing.assert_allclose(open_keras(path).predict(TOKENS), SCORES)


def test_weights_of_keras_2_with_a_configuration_beside_them(tmp_path):
    path = keras2(tmp_path / "old.model.h5", None, SMALL)
    with pytest.raises(GeneqError, match=r"no configuration.*old\.model\.h5.*as old\.model\.json"):
        open_keras(path)
    (tmp_path / "old.model.json").write_text(json.dumps(small()))
    np.testing.assert_allclose(open_keras(path).predict(TOKENS), SCORES)


def test_numbers_that_keras_2_wrote_as_arrays(tmp_path):
    leaky = layer("LeakyReLU", "leaky", alpha={"type": "ndarray", "value": 0.5})
    less = {"conv": {"kernel": KERNEL, "bias": np.array([-8], np.float32)}}
    config = small(leaky)
    del config["config"][0]["config"]["activation"]
    path = keras2(tmp_path / "old.h5", config, less)
    np.testing.assert_allclose(open_keras(path).predict(TOKENS), [[-2.25], [-3], [-4]])


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (layer("LSTM", "memory"), "Layer memory of type LSTM is not one of the types .* Conv1D"),
        (
            layer("Lambda", "code"),
            "Layer code of type Lambda contains Python code, which",
        ),
        (layer("Conv2D", "wide"), "Layer wide of type Conv2D is not"),
        (layer("Functional", "inner", layers=[]), "Layer inner of type Functional is not one"),
        (layer("Activation", "a", activation="hard_sigmoid"), "Layer a .* read, hard_sigmoid"),
        (layer("ReLU", "r", threshold=1), "Layer r of type ReLU has a threshold"),
        (layer("Softmax", "s", axis=1), "Layer s of type Softmax is not over the channels"),
        (layer("MaxPooling1D", "p", pool_size=9), "Layer p of .* fit its input: '5 positions are"),
        (layer("MaxPooling1D", "p", data_format="channels_first"), "Layer p .* channels first"),
        (layer("Conv1D", "c", padding="full"), "Layer c of type Conv1D has no kernel"),
        (layer("Reshape", "r", target_shape=[5, 1, 1]), "Layer r of type Reshape makes 3 axes"),
        (layer("BatchNormalization", "n"), "Layer n of type BatchNormalization has no moving_mean"),
    ],
    ids=str,
)
def test_layers_that_are_not_read_are_named(tmp_path, extra, message):
    path = keras2(tmp_path / "old.h5", small(extra), SMALL)
    with pytest.raises(GeneqError, match=rf"{message}.*old\.h5"):
        open_keras(path)


def changed(**options) -> dict:
    config = small()
    config["config"][0]["config"] |= options
    return config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (changed(filters=2), r"Layer conv .*another shape.*\(2, 4, 1\), expected 2 wide, 2 filt"),
        (changed(kernel_size=[3]), r"Layer conv .* expected 3 wide, 1 filters"),
        (changed(batch_input_shape=[None, 6, 5]), r"one input, .*: 'input \(6, 5\)'"),
        (changed(batch_input_shape=[None, 6, 4, 1]), r"one input, .*: 'input \(6, 4, 1\)'"),
        (changed(batch_input_shape=None), r"one input, .*: 'input \(\)'"),
        (changed(padding="full"), "Layer conv of type Conv1D has padding 'full'"),
        (changed(groups=2), "Layer conv of type Conv1D"),
        ({"class_name": "Sequential", "config": []}, "configuration is incomplete"),
        ({"class_name": "Model", "config": {"layers": [{}]}}, "configuration is incomplete"),
        ({"class_name": "Model"}, "no class_name and config"),
        ([1], "no class_name and config"),
    ],
    ids=str,
)
def test_configurations_that_cannot_be_right_are_refused(tmp_path, config, message):
    path = keras2(tmp_path / "old.h5", config, SMALL)
    with pytest.raises(GeneqError, match=rf"{message}.*old\.h5"):
        open_keras(path)


def places(found, path=()) -> list[tuple]:
    """Paths to every part of a JSON document."""
    if isinstance(found, dict | list):
        keys = found.keys() if isinstance(found, dict) else range(len(found))
        return [path, *(place for key in keys for place in places(found[key], (*path, key)))]
    return [path]


JUNK = st.sampled_from([None, -1, 0, 10**6, 0.5, "", "none", [], [[]], {}, [None, 6, 4], True])


@settings(max_examples=150)
@given(place=st.integers(0, 10**6), junk=JUNK, functional=st.booleans())
def test_any_broken_configuration_ends_in_one_error(tmp_path_factory, place, junk, functional):
    config = json.loads(json.dumps(deepstarr_config("abcdefghijklmn") if functional else small()))
    path = places(config)[1:][place % (len(places(config)) - 1)]
    parent = config
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = junk
    file = keras2(tmp_path_factory.mktemp("broken") / "old.h5", config, SMALL)
    try:
        open_keras(file)
    except GeneqError as error:
        assert "old.h5" in str(error)


def test_wrong_graphs_are_refused(tmp_path):
    start = layer("InputLayer", "start", batch_input_shape=[None, 6, 4])
    ends = {"input_layers": [["start", 0, 0]], "output_layers": [["b", 0, 0]]}
    for a, b, message in [
        ("b", "a", "layers form a cycle: '[ab]'"),
        ("start", "none", "no such layer: 'none'"),
    ]:
        layers = [start, layer("Flatten", "a", a), layer("Flatten", "b", b)]
        config = {"class_name": "Model", "config": {"layers": layers, **ends}}
        path = keras2(tmp_path / "old.h5", config, SMALL)
        with pytest.raises(GeneqError, match=message):
            open_keras(path)


def test_other_files_are_refused(tmp_path):
    whole = keras2(tmp_path / "whole.h5", small(), SMALL).read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["X"] = [1, 2]
    with h5py.File(tmp_path / "words.h5", "w") as file:
        file.attrs["model_config"] = "no JSON"
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
    keras2(tmp_path / "text_weights.h5", small(), {"conv": {"kernel": np.array([b"a"])}})
    for name, message in [
        ("none.h5", "File not found"),
        ("cut.h5", "Not a Keras network, or an incomplete file"),
        ("empty.h5", "Not a Keras network"),
        ("text.h5", "Not a Keras network"),
        ("other.h5", "Not a Keras network.*layer_names"),
        ("words.h5", "configuration is not JSON"),
        ("other.keras", "Not a Keras network.*config.json"),
        ("text_weights.h5", "not numbers"),
    ]:
        with pytest.raises(GeneqError, match=message) as caught:
            load_oracle(f"keras:{tmp_path / name}")
        assert name in str(caught.value)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    weights = {"conv": {**SMALL["conv"], "bias": np.array([np.nan], np.float32)}}
    path = keras2(tmp_path / "old.h5", small(), weights)
    with pytest.raises(GeneqError, match="Layer conv has weights that are not finite"):
        open_keras(path)


def test_a_file_of_weights_alone_needs_its_configuration(keras, tmp_path):
    model = keras.Sequential([keras.layers.Input((LENGTH, 4)), keras.layers.Conv1D(1, LENGTH)])
    path = saved(model, tmp_path)[2]
    shutil.move(tmp_path / "bare.json", tmp_path / "away.json")
    with pytest.raises(GeneqError, match=r"without the network's configuration.*bare\.json"):
        open_keras(path)
