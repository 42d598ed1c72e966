"""Published networks give the scores that Keras gives, and other files are refused."""

import itertools
import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from geneq import cli, encoding
from geneq.artifacts import GENES
from geneq.errors import GeneqError
from geneq.genome import Genome
from geneq.libraries import SaturationLibrary
from geneq.oracles import load_oracle
from geneq.oracles.feeding import on_device
from twins import network as twin

MODELS = Path(__file__).parents[2] / "shared/data/models"
SEED = 20

pytestmark = pytest.mark.usefixtures("one_thread")


def affine(rng, *shape: int) -> dict[str, np.ndarray]:
    """Random weights that keep the size of what they are applied to."""
    scale = (2 / np.prod(shape[:-1])) ** 0.5
    kernel = rng.normal(0, scale, shape).astype(np.float32)
    return {"kernel": kernel, "bias": rng.normal(0, 0.1, shape[-1]).astype(np.float32)}


def norm(rng, size: int) -> dict[str, np.ndarray]:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return {name: rng.uniform(0.5, 1.5, size).astype(np.float32) for name in names}


def deepstarr_layers() -> dict[str, dict[str, np.ndarray]]:
    rng, layers = np.random.default_rng(SEED), {}
    for i, shape in enumerate([(7, 4, 256), (3, 256, 60), (5, 60, 60), (3, 60, 120)]):
        layers |= {f"conv{i}": affine(rng, *shape), f"norm{i}": norm(rng, shape[-1])}
    for i, shape in enumerate([(1800, 256), (256, 256)]):
        layers |= {f"dense{i}": affine(rng, *shape), f"dense_norm{i}": norm(rng, 256)}
    return layers | {"dev": affine(rng, 256, 1), "hk": affine(rng, 256, 1)}


def xpresso_layers() -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(SEED)
    shapes = {
        "conv0": (6, 4, 128), "conv1": (9, 128, 32),
        "dense0": (1126, 64), "dense1": (64, 2), "dense2": (2, 1),
    }  # fmt: skip
    return {name: affine(rng, *shape) for name, shape in shapes.items()}


def xpresso_config() -> dict:
    """As Keras 2 wrote it, half-life features beside the promoter."""
    layers: list[dict] = []

    def add(kind: str, name: str, *after: str, **options) -> None:
        inbound = [[[one, 0, 0, {}] for one in after]] if after else []
        layers.append(
            {"class_name": kind, "config": {"name": name, **options}, "inbound_nodes": inbound}
        )

    add("InputLayer", "promoter", batch_input_shape=[None, 10_500, 4])
    add("InputLayer", "halflife", batch_input_shape=[None, 6])
    add("Conv1D", "conv0", "promoter", padding="same", activation="relu")
    add("MaxPooling1D", "pool0", "conv0", pool_size=[30], strides=[30])
    add("Conv1D", "conv1", "pool0", padding="same", activation="relu")
    add("MaxPooling1D", "pool1", "conv1", pool_size=[10], strides=[10])
    add("Flatten", "flat", "pool1")
    add("Concatenate", "both", "flat", "halflife")
    add("Dense", "dense0", "both", activation="relu")
    add("Dense", "dense1", "dense0", activation="relu")
    add("Dense", "dense2", "dense1")
    ends = {"input_layers": [["promoter", 0, 0], ["halflife", 0, 0]],
            "output_layers": [["dense2", 0, 0]]}  # fmt: skip
    return {"class_name": "Model", "config": {"layers": layers, **ends}}


def save_xpresso(path: Path) -> Path:
    save(xpresso_layers(), path, "model_weights")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(xpresso_config())
    return path


def save(layers: dict[str, dict[str, np.ndarray]], path: Path, group: str = "/") -> Path:
    """Write weights as Keras does, with a layer that has none between."""
    with h5py.File(path, "w") as file:
        root = file.require_group(group)
        root.attrs["layer_names"] = [b"input", *(name.encode() for name in layers)]
        root.create_group("input").attrs["weight_names"] = np.array([], "S1")
        for name, weights in layers.items():
            layer = root.create_group(name)
            layer.attrs["weight_names"] = [f"{name}/{key}:0".encode() for key in weights]
            for key, value in weights.items():
                layer[f"{name}/{key}:0"] = value
    return path


def sequences(n: int, length: int) -> np.ndarray:
    """Random DNA, one symbol in 20 unknown."""
    rng = np.random.default_rng(SEED)
    tokens = rng.integers(0, 4, (n, length)).astype(np.uint8)
    tokens[rng.random(tokens.shape) < 0.05] = 4
    return tokens


def test_deepstarr_scores_as_its_twin(tmp_path):
    layers = deepstarr_layers()
    oracle = load_oracle(f"deepstarr:{save(layers, tmp_path / 'w.h5')}")
    tokens = sequences(3, 249)
    expected = [twin.deepstarr(row, layers) for row in tokens]
    np.testing.assert_allclose(oracle.predict(tokens), expected, atol=1e-4)
    assert oracle.targets == ["dev", "hk"]
    assert oracle.length == 249


def test_xpresso_scores_as_its_twin(tmp_path):
    layers = xpresso_layers()
    oracle = load_oracle(f"xpresso:{save_xpresso(tmp_path / 'w.h5')}")
    tokens = sequences(2, 10_500)
    expected = [twin.xpresso(row, layers) for row in tokens]
    np.testing.assert_allclose(oracle.predict(tokens, anchor=7000), expected, atol=1e-4)


def test_the_user_reads_what_was_recognised_in_weights_of_xpresso(tmp_path, capsys):
    """Weights of human and of mouse look the same: the species is the user's to know."""
    wild_type = "ACGTG" * 2100
    recipe = SaturationLibrary(wild_type, windows=[(7000, 7001)])
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    words = ["--oracle", f"xpresso:{save_xpresso(tmp_path / 'w.h5')}", "--threads", 1]
    words += ["--recipe", tmp_path / "recipe.json", "--out", tmp_path / "out"]
    assert cli.main(["score", *map(str, words)]) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("xpresso:w.h5: 10,500 nt; TSS at index 7,000; targets: expression; ")
    assert "6 mRNA half-life features, held at 0 (their mean)" in said
    assert said.endswith("the file does not say which species it was trained on")


def test_scores_do_not_depend_on_the_batch(tmp_path):
    oracle = load_oracle(f"deepstarr:{save(deepstarr_layers(), tmp_path / 'w.h5')}")
    tokens = sequences(70, 249)
    one_by_one = np.concatenate([oracle.predict(tokens[i : i + 1]) for i in range(70)])
    np.testing.assert_allclose(oracle.predict(tokens), one_by_one, atol=1e-5)
    assert oracle.predict(tokens[:0]).shape == (0, 2)


def test_scores_do_not_depend_on_the_threads(tmp_path):
    oracle = load_oracle(f"deepstarr:{save(deepstarr_layers(), tmp_path / 'w.h5')}")
    tokens = sequences(100, 249)
    one = oracle.predict(tokens)
    torch.set_num_threads(3)
    np.testing.assert_array_equal(oracle.predict(tokens), one)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_reduced_precision_is_close(tmp_path, precision):
    weights = save(deepstarr_layers(), tmp_path / "w.h5")
    full, reduced = (
        load_oracle(f"deepstarr:{weights}", precision=name).predict(sequences(100, 249))
        for name in ("float32", precision)
    )
    error = np.sqrt(np.mean((full - reduced) ** 2, 0)) / full.std(0)
    assert reduced.dtype == np.float32
    assert (error > 0).all() and (error < 0.05).all()


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_batches_reach_the_device_whole_and_in_order(where):
    if where == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    tokens = sequences(1000, 64)
    # Sizes rise and fall, so that buffers are made anew and used again; one lies apart in memory.
    cuts = [0, 10, 300, 310, 900, 1000]
    parts = [tokens[a:b] for a, b in itertools.pairwise(cuts)] + [tokens[::2], tokens[:0]]
    arrived = [(part.sum(), part) for part in on_device(iter(parts), torch.device(where))]
    assert len(arrived) == len(parts)
    for (total, part), sent in zip(arrived, parts, strict=True):
        assert part.device.type == where and total == sent.sum()
        np.testing.assert_array_equal(part.cpu().numpy(), sent)


def test_the_hash_tells_weights_apart(tmp_path):
    layers = deepstarr_layers()
    first = load_oracle(f"deepstarr:{save(layers, tmp_path / 'a.h5')}")
    again = load_oracle(f"deepstarr:{save(layers, tmp_path / 'b.h5')}")
    layers["hk"]["bias"] += 1
    other = load_oracle(f"deepstarr:{save(layers, tmp_path / 'c.h5')}")
    assert first.hash == again.hash != other.hash


def test_the_network_can_be_differentiated(tmp_path):
    oracle = load_oracle(f"deepstarr:{save(deepstarr_layers(), tmp_path / 'w.h5')}")
    x = torch.rand(2, 4, 249, requires_grad=True)
    oracle.module(x).sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.skipif(not MODELS.exists(), reason="the published weights are not here")
def test_deepstarr_agrees_with_keras():
    oracle = load_oracle(f"deepstarr:{MODELS / 'deepstarr.model.h5'}")
    golden = np.load(MODELS / "deepstarr_golden.npz")
    expected = np.stack([golden["dev"], golden["hk"]], 1)
    np.testing.assert_allclose(oracle.predict(golden["tokens"]), expected, atol=1e-5)


@pytest.mark.skipif(not MODELS.exists(), reason="the published weights are not here")
def test_deepstarr_agrees_with_keras_in_reduced_precision():
    oracle = load_oracle(f"deepstarr:{MODELS / 'deepstarr.model.h5'}", precision="bfloat16")
    golden = np.load(MODELS / "deepstarr_golden.npz")
    expected = np.stack([golden["dev"], golden["hk"]], 1)
    error = np.sqrt(np.mean((oracle.predict(golden["tokens"]) - expected) ** 2, 0))
    assert (error < 0.02 * expected.std(0)).all()


@pytest.mark.skipif(not MODELS.exists(), reason="the published weights are not here")
def test_xpresso_reads_the_strand_of_the_gene(tmp_path):
    data, out = MODELS.parent, tmp_path / "genes"
    files = ["--fasta", data / "human_mini/genome.fa.gz", "--gtf", data / "human_mini/genes.gtf"]
    options = ["--genome", "mini", *files, "--bin_edges=-7000,3500", "--out", out, "--threads", 1]
    assert cli.main(["genes", *map(str, options)]) == 0
    blood = pd.read_csv(data / "human_promoters/blood_bulk.tsv.gz", sep="\t", index_col=0)
    genes = GENES.read(out / "genes.parquet").query("gene_id in @blood.index")
    columns = (genes[name].to_numpy() for name in ("chrom", "tss", "strand"))
    tokens = Genome(out).windows(*columns, -7000, 3500)
    measured = np.log10(blood.loc[genes["gene_id"]] + 0.1).mean(axis=1)
    oracle = load_oracle(f"xpresso:{MODELS / 'xpresso_human.h5'}")
    right, wrong = (
        np.corrcoef(oracle.predict(strand)[:, 0], measured)[0, 1]
        for strand in (tokens, encoding.reverse_complement(tokens))
    )
    assert len(genes) > 100 and right > 0.5 and wrong < 0.2


def broken(change) -> dict[str, dict[str, np.ndarray]]:
    layers = deepstarr_layers()
    change(layers)
    return layers


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (xpresso_layers(), "This is not DeepSTARR: '5 layers with weights, not 14'"),
        (broken(lambda w: w.pop("hk")), "13 layers with weights, not 14"),
        (broken(lambda w: w.update(more=w["hk"])), "15 layers with weights, not 14"),
        (broken(lambda w: w["conv0"].update(affine(np.random.default_rng(1), 6, 4, 256))),
         r"Layer conv0 .* another shape .*\(6, 4, 256\), expected 7 wide, 256 filters"),
        (broken(lambda w: w["norm0"].pop("moving_mean")), "Layer norm0 .* has no moving_mean"),
        (broken(lambda w: w["dense0"].update(affine(np.random.default_rng(1), 1600, 256))),
         "Layer dense0 of type Dense does not fit its input"),
    ],
)  # fmt: skip
def test_other_weights_are_refused(tmp_path, layers, message):
    path = save(layers, tmp_path / "w.h5")
    with pytest.raises(GeneqError, match=message):
        load_oracle(f"deepstarr:{path}")


def test_other_networks_are_refused(tmp_path):
    file = save_xpresso(tmp_path / "w.h5")
    with pytest.raises(GeneqError, match=r"not DeepSTARR: .*one input.*halflife.*Use keras: for"):
        load_oracle(f"deepstarr:{file}")
    with pytest.raises(GeneqError, match=r"one input, one-hot DNA .* 'promoter .*python: oracle"):
        load_oracle(f"keras:{file}")
    weights = save(xpresso_layers(), tmp_path / "weights.h5")
    with pytest.raises(GeneqError, match=r"weights but no configuration.*the authors published"):
        load_oracle(f"xpresso:{weights}")
    other = xpresso_config()
    other["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 10_530, 4]
    with h5py.File(file, "r+") as opened:
        opened.attrs["model_config"] = json.dumps(other)
    with pytest.raises(GeneqError, match="not Xpresso: 'an input of 10,530 nt, not 10,500'"):
        load_oracle(f"xpresso:{file}")


def test_chromosomes_that_deepstarr_was_not_trained_on(tmp_path):
    oracle = load_oracle(f"deepstarr:{save(deepstarr_layers(), tmp_path / 'a.h5')}")
    assert oracle.held_out == ("chr2R",)


def test_other_sequences_are_refused(tmp_path):
    deepstarr = load_oracle(f"deepstarr:{save(deepstarr_layers(), tmp_path / 'a.h5')}")
    with pytest.raises(GeneqError, match="takes sequences of 249 nt: '250 nt'"):
        deepstarr.predict(sequences(2, 250))
    xpresso = load_oracle(f"xpresso:{save_xpresso(tmp_path / 'b.h5')}")
    with pytest.raises(GeneqError, match="has the TSS at index 7000: 5250"):
        xpresso.predict(sequences(1, 10_500), anchor=5250)
