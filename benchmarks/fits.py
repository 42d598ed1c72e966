"""Surrogates fitted beside squid-nn: parts of surrogate.py, and the processes that it starts.

Every fit runs in a separate process, which reads a library's recipe, scores and split from a file;
its peak memory is that of the whole process, so PyTorch is imported only where it is used. squid-nn
runs once, with its defaults, and draws the split (60 % training, 20 % validation, 20 % test);
without it, such a split is drawn here. r² is the squared correlation of scores and predictions in
the test rows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from figures import Figure, Figures, at_most, module_of, version
from geneq import surrogates
from geneq.libraries import Library, RandomLibrary
from geneq.libraries.fasta import fasta_records

SEED = 1
RATE = 0.1
WINDOW = (95, 155)
# Rows of the largest library.
MANY = 100_000
# squid-nn's pairwise model in the window stopped after so many epochs in a full run, with this r²:
# here two epochs of it are run, and their time is multiplied.
PAIRWISE_EPOCHS, PAIRWISE_R2 = 39, 0.910
TIMED_EPOCHS = 2
# Pairs of positions that are planted, and the variance of their effects beside that of the single.
PLANTED, SHARE = 60, 0.3
MAPS = {
    "additive": surrogates.Additive(),
    "pairwise60": surrogates.Pairwise(window=WINDOW),
    "pairwise249": surrogates.Pairwise(),
}


# --- in a process of its own ------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("who", choices=RUNS)
    parser.add_argument("map", choices=MAPS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=500)
    args = parser.parse_args()
    data = np.load(args.file)
    library = Library.from_json(str(data["recipe"]))
    print(json.dumps(RUNS[args.who](args, library, data) | {"peak": peak()}))


def ours(args: argparse.Namespace, library: Library, data) -> dict:
    """Seconds of the fastest of so many fits, with the mutations from the recipe."""
    seconds = []
    for _ in range(args.times):
        start = time.perf_counter()
        wild_type = library.tokens(0, 1)[0]
        arrays = surrogates.Arrays(wild_type, library.mutations(), data["y"])
        surrogate = surrogates.fit(arrays, MAPS[args.map], split=data["split"], threads=2)
        seconds.append(time.perf_counter() - start)
    test = np.flatnonzero(data["split"] == 2)
    predicted = surrogate.predict(library.tokens()[test], threads=2)[:, 0]
    found = {"seconds": min(seconds), "r2": r2(data["y"][test], predicted)}
    if "planted" in data:
        n = surrogate.layout.n_additive
        fitted, planted = surrogate.outputs[0].theta[n:], data["planted"]
        there = planted != 0
        found["planted"] = float(np.corrcoef(fitted[there], planted[there])[0, 1])
        found["all"] = float(np.corrcoef(fitted, planted)[0, 1])
    return found


def starts(args: argparse.Namespace, library: Library, data) -> dict:
    """The least correlation of additive effects between fits from ten starts, nine of them random.

    And that of the predictions of all rows.
    """
    tokens, found = library.tokens(), []
    arrays = surrogates.Arrays(tokens[0], library.mutations(), data["y"])
    for seed in (None, *range(1, 10)):
        surrogate = surrogates.fit(
            arrays, MAPS[args.map], split=data["split"], threads=2, start_seed=seed
        )
        effects = surrogate.effects().additive(library.length).ravel()
        found.append((effects, surrogate.predict(tokens, threads=2)[:, 0]))
    least = (float(np.corrcoef(one).min()) for one in zip(*found, strict=True))
    return dict(zip(("effects", "predictions"), least, strict=True))


def locus(args: argparse.Namespace, library: Library, data) -> dict:
    """Seconds of a whole locus, the fastest of so many: library, scores and fit."""
    from deepstarr import deepstarr
    from geneq.oracles.scoring import score

    oracle, seconds = deepstarr(args.models), []
    for _ in range(args.times):
        start = time.perf_counter()
        mave = score(library, oracle, ["dev"] if "dev" in oracle.targets else None, threads=2)
        surrogates.fit(mave.of_targets(mave.targets[:1]), MAPS[args.map], threads=2)
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds)}


def squid_locus(args: argparse.Namespace, library: Library, data) -> dict:
    """Seconds in which squid-nn makes and scores a library, as in its DeepSTARR example.

    The network has random weights, which take as long.
    """
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "TQDM_DISABLE": "1"}
    from deepstarr import keras_network

    mutagenizer = module_of("squid-nn", "squid/mutagenizer.py").RandomMutagenesis(RATE, seed=SEED)
    predictor = module_of("squid-nn", "squid/predictor.py").ScalarPredictor
    network, wild_type = keras_network(), library.one_hot("float32", stop=1)[0]
    network.predict_on_batch(np.repeat(wild_type[None], 512, axis=0))
    start = time.perf_counter()
    hot = mutagenizer(wild_type, library.n_rows)
    predictor(network.predict_on_batch, task_idx=0, batch_size=512)(hot)
    return {"seconds": time.perf_counter() - start}


def squid(args: argparse.Namespace, library: Library, data) -> dict:
    """Seconds and epochs of squid-nn's fit; the split that it drew goes into the file."""
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TQDM_DISABLE": "1"}
    zoo = module_of("squid-nn", "squid/surrogate_zoo.py")
    first, end = WINDOW if args.map == "pairwise60" else (0, library.length)
    hot = library.one_hot("float32")[:, first:end]
    np.random.seed(SEED)
    gpmap = "additive" if args.map == "additive" else "pairwise"
    model = zoo.SurrogateMAVENN(hot.shape, 1, gpmap=gpmap)
    start = time.perf_counter()
    fitted, table = model.train(hot, data["y"][:, None], epochs=args.epochs, verbose=0)
    seconds = time.perf_counter() - start
    # Rows that are there twice are left out by squid-nn.
    split = np.zeros(len(hot), np.int8)
    named = table["set"].map({"training": 0, "validation": 1, "test": 2})
    split[table.index.to_numpy()] = named
    np.savez(args.file, **{**data, "split": split})
    test = split == 2
    predicted = fitted.x_to_yhat(table["x"][named == 2])
    return {
        "seconds": seconds, "epochs": len(fitted.history["loss"]), "r2": r2(data["y"][test],
        predicted),
    }  # fmt: skip


RUNS = {run.__name__: run for run in (ours, starts, locus, squid, squid_locus)}


def r2(y: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.corrcoef(y, predicted)[0, 1] ** 2)


def peak() -> float:
    """MB that this process had in memory at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


# --- what starts it ---------------------------------------------------------------------------


def started(who: str, map: str, file: Path, **options: int | Path) -> dict | None:
    """What a process of `main` says; None where squid-nn is not installed whole."""
    if who.startswith("squid") and not (version("squid-nn") and version("mavenn")):
        return None
    more = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-W", "ignore", __file__, who, map, str(file), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def wild_type(models: Path) -> str:
    file = models / "deepstarr_example.fa"
    if file.exists():
        return next(fasta_records(file))[1].decode()
    return "".join(np.random.default_rng(SEED).choice(list("ACGT"), 249))


def written(folder: Path, library: Library, y: np.ndarray, **more: np.ndarray) -> Path:
    """A file with a library, its scores and a split."""
    split = np.random.default_rng(SEED).choice(3, len(y), p=[0.6, 0.2, 0.2]).astype(np.int8)
    path = folder / "mave.npz"
    np.savez(path, recipe=library.to_json(), y=y, split=split, **more)
    return path


def scored(library: Library, models: Path) -> np.ndarray:
    """The dev scores of a library."""
    from deepstarr import deepstarr
    from geneq.oracles.scoring import score

    return score(library, deepstarr(models)).y[:, 0]


# --- figures ----------------------------------------------------------------------------------


def additive(quick: bool, models: Path) -> Figures:
    """The additive model, 20,000 rows; with library and scores, the whole locus."""
    library = RandomLibrary(wild_type(models), n=20_000, rate=RATE, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder), library, scored(library, models))
        peer = None if quick else started("squid", "additive", file)
        before = None if quick else started("squid_locus", "additive", file)
        found = started("ours", "additive", file, times=5)
        whole = started("locus", "additive", file, times=1 if quick else 3, models=models)
        least = started("starts", "additive", file)
    both = peer and peer["seconds"] + before["seconds"]
    return {
        "additive_fit": beside(found["seconds"], peer and peer["seconds"], 100),
        "additive_r2": share(found["r2"], 0.795, peer and peer["r2"]),
        "additive_memory": at_most(500, found["peak"], "MB"),
        "locus_end_to_end": beside(whole["seconds"], both, 20),
        "locus_memory": Figure(whole["peak"], "MB"),
        **agreement("additive", least),
    }


def pairwise60(quick: bool, models: Path) -> Figures:
    """Pairs in a window of 60, which alone is mutated, 20,000 rows."""
    library = RandomLibrary(wild_type(models), n=20_000, rate=RATE, seed=SEED, windows=[WINDOW])
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder), library, scored(library, models))
        peer = None if quick else started("squid", "pairwise60", file, epochs=TIMED_EPOCHS)
        found = started("ours", "pairwise60", file, times=3)
        least = started("starts", "pairwise60", file)
    seconds = peer and peer["seconds"] / peer["epochs"] * PAIRWISE_EPOCHS
    return {
        "pairwise60_fit": beside(found["seconds"], seconds, 200),
        "pairwise60_r2": share(found["r2"], PAIRWISE_R2, peer and PAIRWISE_R2),
        "pairwise60_memory": at_most(1000, found["peak"], "MB"),
        **agreement("pairwise60", least),
    }


def pairwise249(quick: bool, models: Path) -> Figures:
    """All pairs of 249 positions beside the additive model, and a landscape with planted pairs."""
    rows = MANY // (5 if quick else 1)
    library = RandomLibrary(wild_type(models), n=rows, rate=RATE, seed=SEED)
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder), library, scored(library, models))
        plain, found = (started("ours", map, file) for map in ("additive", "pairwise249"))
        y, planted = landscape(library)
        simulated = started(
            "ours", "pairwise249", written(Path(folder), library, y, planted=planted)
        )
    return {
        "pairwise249_fit": at_most(60, found["seconds"], "s"),
        "pairwise249_r2": Figure(
            found["r2"], "r²", plain["r2"], found["r2"] - plain["r2"], 0.05,
            "the additive model; the ratio is the gain",
        ),
        "pairwise249_memory": at_most(2000, found["peak"], "MB"),
        "pairwise249_recovery": Figure(
            simulated["planted"], "r", None, simulated["planted"] / 0.9, 1.0,
            "planted effects of pairs, at least 0.9",
        ),
        "pairwise249_recovery_all": Figure(simulated["all"], "r", beside="effects of all pairs"),
        "pairwise249_recovery_fit": Figure(simulated["seconds"], "s"),
    }  # fmt: skip


def landscape(library: Library) -> tuple[np.ndarray, np.ndarray]:
    """Scores of single effects and few pairs behind a saturating curve, and the pairs' effects.

    The noise grows with the signal.
    """
    rng, mutations = np.random.default_rng(SEED), library.mutations()
    layout = surrogates.Pairwise().layout(library.tokens(0, 1)[0], 4)
    design = layout.design(layout.rows(mutations, library.n_rows), mutations)
    n, theta = layout.n_additive, rng.normal(size=layout.size)
    pairs = rng.choice(layout.groups.max() + 1, PLANTED, replace=False)
    theta[n:] *= np.isin(layout.groups, pairs)
    single = design.phi(np.where(np.arange(len(theta)) < n, theta, 0))
    both = design.phi(np.where(np.arange(len(theta)) < n, 0, theta))
    theta[n:] *= np.sqrt(SHARE) * single.std() / both.std()
    latent = single + both * np.sqrt(SHARE) * single.std() / both.std()
    curve = 1 / (1 + np.exp(-1.5 * (latent - latent.mean()) / latent.std()))
    return curve + 0.1 * curve * rng.standard_normal(len(curve)), theta[n:]


def agreement(map: str, least: dict) -> Figures:
    """The least correlations between ten starts."""
    said = "least of ten starts"
    return {
        f"{map}_starts": Figure(
            least["effects"], "r", None, least["effects"] / 0.999, 1.0,
            f"{said}, additive effects: at least 0.999",
        ),
        f"{map}_starts_predictions": Figure(least["predictions"], "r", beside=f"{said}, ŷ"),
    }  # fmt: skip


def beside(seconds: float, peer: float | None, floor: float) -> Figure:
    if peer is None:
        return Figure(seconds, "s")
    return Figure(seconds, "s", peer, peer / seconds, floor, "squid-nn")


def share(value: float, wanted: float, peer: float | None) -> Figure:
    """An r² beside that of squid-nn; the ratio is to what is wanted."""
    return Figure(value, "r²", peer, value / wanted, 1.0, f"squid-nn; at least {wanted:g}")


PARTS = (additive, pairwise60, pairwise249)


if __name__ == "__main__":
    main()
