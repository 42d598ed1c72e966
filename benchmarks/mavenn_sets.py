"""MAVE-NN's own data sets, fitted by geneq and by MAVE-NN.

Measurements of published experiments, in the split of their column `set`; sortseq, which has counts
in ten bins, by its mean bin, somewhere within that bin. Maps and noise (skewed t of order 2) are
those of MAVE-NN's tutorials, as are its learning rates, batches and early stopping; its order is
that of shapes too, so geneq fits twice: as by default, with shapes that stay, and (_shapes) of the
same order, with what validation rows gain by it (_shapes_valid). For gb1 MAVE-NN is
the model in its wheel, and its time that of one epoch times the epochs in its history. r² is the
squared correlation of y and predictions, I_var the information that noise model and map account
for, both in test rows and with the same estimate of the entropy of y.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pandas as pd

from figures import Figure, Figures, machine, print_table, version, write_json
from geneq import surrogates
from geneq.mave import Mave
from geneq.surrogates.quality import variational_information

MAPS = {
    "additive": surrogates.Additive(),
    "neighbor": surrogates.Neighbour(),
    "pairwise": surrogates.Pairwise(),
}
# Amino acids and the stop.
PROTEIN = "symbols:ACDEFGHIKLMNPQRSTVWY*"
PARTS = {"training": 0, "validation": 1, "test": 2}
SPLICING = {"learning_rate": 1e-3, "epochs": 1000, "batch_size": 200, "early_stopping_patience": 10}
SCANNING = {"learning_rate": 1e-3, "epochs": 500, "batch_size": 64, "early_stopping_patience": 25}


@dataclass(frozen=True)
class Set:
    """A data set and a model of it. alphabet: by the names of geneq and of MAVE-NN."""

    name: str
    map: str
    alphabet: tuple[str, str]
    training: dict
    ready: str | None = None


SETS = {
    "mpsa": Set("mpsa", "pairwise", ("rna", "rna"), SPLICING | {"batch_size": 50}),
    "mpsa_neighbour": Set("mpsa", "neighbor", ("rna", "rna"), SPLICING),
    "mpsa_additive": Set("mpsa", "additive", ("rna", "rna"), SPLICING),
    "amyloid": Set("amyloid", "additive", (PROTEIN, "protein*"), SCANNING),
    "tdp43": Set("tdp43", "additive", (PROTEIN, "protein*"), SCANNING),
    "sortseq": Set("sortseq", "additive", ("dna", "dna"), SPLICING),
    "gb1": Set("gb1", "additive", ("protein", "protein"), SCANNING, "gb1_ge_additive"),
}
QUICK = ("mpsa_additive", "amyloid")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS), help="which of them (all)")
    parser.add_argument("--quick", action="store_true", help="two of them, without MAVE-NN")
    parser.add_argument("--alone", action="store_true", help="without MAVE-NN")
    parser.add_argument("--json", help="write the figures here too")
    parser.add_argument("--mavenn", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.mavenn:
        return theirs(SETS[args.sets[0]], args.mavenn)
    print(machine(("mavenn", "tensorflow-cpu")))
    figures: Figures = {}
    for name in QUICK if args.quick else args.sets:
        figures |= compared(name, args.quick or args.alone)
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def table(one: Set) -> pd.DataFrame:
    """sequence, y and set of every row."""
    path = distribution("mavenn").locate_file(f"mavenn/examples/datasets/{one.name}_data.csv.gz")
    read = pd.read_csv(path).rename(columns={"x": "sequence"})
    if "y" not in read:
        counts = read[[f"ct_{i}" for i in range(10)]].to_numpy(float)
        within = np.random.default_rng(1).uniform(-0.5, 0.5, len(read))
        read["y"] = counts @ np.arange(10) / counts.sum(axis=1) + within
    return read


def compared(name: str, alone: bool = False) -> Figures:
    """Seconds, r² and I_var of both, by shapes that stay and by shapes that change."""
    one = SETS[name]
    rows = table(one)
    test = (rows["set"] == "test").to_numpy()
    y = rows["y"].to_numpy()[test]
    peer = None if alone else measured(name, y)
    plain, shaped = (ours(one, rows, surrogates.SkewedT(2, order)) for order in (0, 2))
    gain = (plain["loss"] - shaped["loss"]) / np.log(2)
    return (
        shown(f"mavenn_{name}", plain, peer)
        | shown(f"mavenn_{name}_shapes", shaped, peer)
        | {f"mavenn_{name}_shapes_valid": Figure(gain, "bits")}
    )


def shown(figure: str, found: dict, peer: dict | None) -> Figures:
    seconds = found["seconds"]
    ratio = peer and peer["seconds"] / seconds
    return {
        f"{figure}_r2": share(found["r2"], peer and peer["r2"], "r²"),
        f"{figure}_i_var": share(found["i_var"], peer and peer["i_var"], "bits"),
        f"{figure}_fit": Figure(seconds, "s", peer and peer["seconds"], ratio, peer and 1.0,
                                "MAVE-NN"),
    }  # fmt: skip


def share(value: float, peer: float | None, unit: str) -> Figure:
    return Figure(value, unit, peer, peer and value / peer, peer and 1.0, "MAVE-NN")


def told(y: np.ndarray, predicted: np.ndarray, losses: np.ndarray, seconds: float) -> dict:
    r2 = float(np.corrcoef(y, predicted)[0, 1] ** 2)
    return {"r2": r2, "i_var": variational_information(losses, y).value, "seconds": seconds}


def ours(one: Set, rows: pd.DataFrame, noise: surrogates.SkewedT) -> dict:
    """By one thread, from the table of sequences on; and the loss of validation rows, in nats."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mave.csv"
        rows[["sequence", "y"]].to_csv(path, index=False)
        mave = Mave.read_table(path, one.alphabet[0])
    split = rows["set"].map(PARTS).to_numpy()
    start = time.perf_counter()
    surrogate = surrogates.fit(mave, MAPS[one.map], noise=noise, split=split)
    seconds = time.perf_counter() - start
    latent, y = surrogate.phi(mave.tokens), rows["y"].to_numpy()
    losses, test = surrogate.losses(latent, y[:, None])[:, 0], split == PARTS["test"]
    found = told(y[test], surrogate.curve(latent)[test, 0], losses[test], seconds)
    return found | {"loss": losses[split == PARTS["validation"]].mean()}


# --- MAVE-NN, in a process of its own -------------------------------------------------------------


def measured(name: str, y: np.ndarray) -> dict | None:
    if not (version("mavenn") and version("tensorflow-cpu")):
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test.npz"
        command = [sys.executable, "-W", "ignore", __file__, name, "--mavenn", str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = np.load(file)
        return told(y, found["predicted"], found["losses"], float(found["seconds"]))


def theirs(one: Set, file: Path) -> None:
    """Fit, or take the model that is ready, and write what it says of test rows."""
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TQDM_DISABLE": "1"}
    import mavenn
    import tensorflow

    rows = table(one)
    test = rows["set"] == "test"
    training, epochs = dict(one.training), None
    if one.ready:
        folder = distribution("mavenn").locate_file("mavenn/examples/models")
        ready = mavenn.load(str(folder / one.ready))
        epochs, training["epochs"] = len(ready.history["loss"]), 1
    tensorflow.keras.utils.set_random_seed(1)
    model = mavenn.Model(
        L=len(rows["sequence"][0]), alphabet=one.alphabet[1], gpmap_type=one.map,
        regression_type="GE", ge_noise_model_type="SkewedT", ge_heteroskedasticity_order=2,
    )  # fmt: skip
    model.set_data(
        x=rows["sequence"][~test].values, y=rows["y"][~test].values,
        validation_flags=(rows["set"][~test] == "validation").values, verbose=False,
    )  # fmt: skip
    start = time.perf_counter()
    model.fit(early_stopping=True, linear_initialization=False, verbose=False, **training)
    seconds = time.perf_counter() - start
    if one.ready:
        model, seconds = ready, seconds * epochs
    predicted = model.x_to_yhat(rows["sequence"][test].values)
    density = model.p_of_y_given_yhat(rows["y"][test].values, predicted, paired=True)
    np.savez(file, predicted=predicted, losses=-np.log(density), seconds=seconds)


if __name__ == "__main__":
    main()
