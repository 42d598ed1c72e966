"""Files of every stage cut short anywhere: one clear error that names the file, or all of it."""

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from geneq import artifacts
from geneq.equations import Equation
from geneq.errors import GeneqError
from geneq.features import Block, Features
from geneq.genome import Genome, index_fasta
from geneq.imported import read_scores
from geneq.libraries import RandomLibrary, open_library
from geneq.libraries.files import read_recipe
from geneq.locus import Locus
from geneq.mave import Mave
from geneq.oracles.keras.files import read_keras
from geneq.oracles.meme import read_meme
from geneq.oracles.sei.files import load_weights
from geneq.stages.genes.annotation import read_gtf
from geneq.stages.pseudobulk import pseudobulk
from geneq.surrogates import Surrogate, fit
from geneq.tally import Tally
from geneq.teacher import TrainedTeacher
from geneq.vcf import read_vcf
from planted import gene_table
from test_equations import written
from test_pseudobulk import draw_counts, write_h5ad
from test_teacher import made

pytestmark = pytest.mark.usefixtures("one_thread")

CUTS = 24  # of each file
LIBRARY = RandomLibrary("ACGTTGCAACGGTACATGTC", n=200, rate=0.1, seed=7)
MEME = "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF a\nletter-probability matrix: w= 2\n" + (
    " 0.25 0.25 0.25 0.25\n" * 2
)
GTF = "".join(
    f'chr1\tx\tgene\t{i + 1}\t{i + 9}\t.\t+\t.\tgene_id "g{i}"; gene_name "n{i}";\n'
    for i in range(9)
)
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(
    f"chr1\t{i}\t.\tA\tC,G\n" for i in range(1, 30)
)


class Case(NamedTuple):
    """Files: those that are cut, made in a folder; read: what is compared, from the folder."""

    make: Callable[[Path], None]
    read: Callable[[Path], object]
    files: list[str]


def features() -> Features:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 3, 4)).astype(np.float32)
    block = Block("kmers:1", values, list("abcd"), {"bin_edges": [0, 1, 2, 3]})
    genes = np.array([f"g{i}" for i in range(40)], dtype=object)
    return Features(genes, [block], {"mode": "annotation", "genome": "ab"}).complete()


def mave() -> Mave:
    changed = (LIBRARY.tokens() != LIBRARY.tokens()[:1]).sum(1)
    y = changed[:, None] + np.random.default_rng(2).normal(0, 0.1, (200, 1))
    return Mave(LIBRARY, None, "dna", y.astype(np.float32), ["y"])


def write_cells(folder: Path) -> None:
    x, types = draw_counts(60, 20, seed=3)
    write_h5ad(folder / "x.h5ad", x, types)


def write_scores(folder: Path) -> None:
    values = np.random.default_rng(4).normal(size=(60, 5))
    write_h5ad(folder / "x.h5ad", values, ["a"] * 60, layout="dense")
    np.save(folder / "x.npy", values)
    (folder / "rows.txt").write_text("".join(f"g{i}\n" for i in range(60)))
    (folder / "columns.txt").write_text("a\nb\nc\nd\ne\n")


CONFIG = {
    "class_name": "Sequential",
    "config": {"name": "s", "layers": [{"class_name": "Dense", "config": {"name": "dense"}}]},
}


def write_keras(folder: Path) -> None:
    """A network of one layer, as a model file and as an archive."""
    with h5py.File(folder / "x.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(CONFIG)
        layer = file.create_group("model_weights/dense")
        file["model_weights"].attrs["layer_names"] = [b"dense"]
        layer.attrs["weight_names"] = [b"dense/kernel:0"]
        layer["dense/kernel:0"] = np.ones((16, 3), np.float32)
    with h5py.File(folder / "weights.h5", "w") as file:
        for i, shape in enumerate([(16, 3), (3,)]):
            file[f"layers/dense/vars/{i}"] = np.ones(shape, np.float32)
    with zipfile.ZipFile(folder / "x.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
        archive.write(folder / "weights.h5", "model.weights.h5")


def write_weights(folder: Path) -> None:
    torch.manual_seed(1)
    weights = torch.nn.Linear(30, 4).state_dict()
    torch.save(weights, folder / "x.pth")
    save_file(weights, folder / "x.safetensors")


def weights(path: Path) -> dict:
    network = torch.nn.Linear(30, 4, device="meta")
    load_weights(network, path)
    return {name: value.numpy() for name, value in network.state_dict().items()}


def write_genome(folder: Path) -> None:
    bases = "".join(np.random.default_rng(6).choice(list("ACGT"), 300))
    (folder / "source.fa").write_text(f">chr1\nA{'A' * 40}{bases}\n")
    index_fasta(folder / "source.fa", folder)
    for name, text in (("x.meme", MEME), ("x.gtf", GTF), ("x.vcf", VCF)):
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        (folder / name).write_text(text)


def write_libraries(folder: Path) -> None:
    for name in ("x.parquet", "x.packed.parquet", "x.fa.gz"):
        LIBRARY.write(folder / name)
    (folder / "recipe.json").write_text(LIBRARY.to_json())


def rows(path: Path) -> np.ndarray:
    return np.concatenate([*open_library(path).stream()])


def meme(path: Path) -> list:
    return [(motif.name, motif.probabilities) for motif in read_meme(path)]


def keras(path: Path) -> tuple:
    found = read_keras(path)
    return found.config, found.weights


def vcf(folder: Path, name: str) -> pd.DataFrame:
    return read_vcf(folder / name, Genome(folder)).table


def teacher(folder: Path) -> tuple:
    found = TrainedTeacher.load(folder)
    return found.about, {k: v.numpy() for k, v in found.network.state_dict().items()}


def surrogate(folder: Path) -> tuple:
    found = Surrogate.load(folder)
    return found.predict(LIBRARY.tokens()), found.frequencies, found.split


def read_features(folder: Path) -> list:
    return [(block.values, block.quantiles) for block in Features.read(folder / "f.zarr").blocks]


GENES = gene_table(20).assign(gene_id=[f"g{i}" for i in range(20)])
LOCUS = Locus(locus="a", chrom="chr1", start=1, end=9, oracle="motifs:core")

CASES = {
    "genes": Case(
        lambda folder: artifacts.GENES.write(GENES, folder / "x.parquet"),
        lambda folder: artifacts.GENES.read(folder / "x.parquet"),
        ["x.parquet"],
    ),
    "features": Case(
        lambda folder: features().write(folder / "f.zarr"),
        read_features,
        ["f.zarr/zarr.json", "f.zarr/values0/zarr.json", "f.zarr/values0/c/0/0/0"],
    ),
    "cells": Case(
        write_cells,
        lambda folder: pseudobulk(folder / "x.h5ad", "cell_type", GENES, min_cells=1),
        ["x.h5ad"],
    ),
    "scores of h5ad": Case(write_scores, lambda folder: read_scores(folder / "x.h5ad"), ["x.h5ad"]),
    "scores of npy": Case(
        write_scores,
        lambda folder: read_scores(folder / "x.npy", folder / "rows.txt", folder / "columns.txt"),
        ["x.npy"],
    ),
    "teacher": Case(
        lambda folder: made()[0].save(folder), teacher, ["teacher.safetensors", "teacher.json"]
    ),
    "equation": Case(
        lambda folder: written(folder / "0.json"),
        lambda folder: Equation.load(folder / "0.json").document,
        ["0.json"],
    ),
    "scores of a library": Case(
        lambda folder: mave().save(folder / "x.parquet"),
        lambda folder: Mave.load(folder / "x.parquet").y,
        ["x.parquet"],
    ),
    "surrogate": Case(
        lambda folder: fit(mave()).save(folder), surrogate, ["surrogate.npz", "surrogate.json"]
    ),
    "locus": Case(
        lambda folder: LOCUS.save(folder), lambda folder: Locus.load(folder), ["locus.json"]
    ),
    **{
        f"library in {name}": Case(write_libraries, lambda f, name=name: rows(f / name), [name])
        for name in ("x.parquet", "x.packed.parquet", "x.fa.gz")
    },
    "recipe": Case(
        write_libraries,
        lambda folder: read_recipe(folder / "recipe.json").to_json(),
        ["recipe.json"],
    ),
    **{f"network in {name}": Case(write_keras, lambda f, name=name: keras(f / name), [name])
       for name in ("x.h5", "x.keras")},
    **{f"weights in {name}": Case(write_weights, lambda f, name=name: weights(f / name), [name])
       for name in ("x.pth", "x.safetensors")},
    "motifs": Case(write_genome, lambda folder: meme(folder / "x.meme.gz"), ["x.meme.gz"]),
    "annotation": Case(
        write_genome, lambda folder: read_gtf(folder / "x.gtf.gz", Tally())[0], ["x.gtf.gz"]
    ),
    "variants": Case(write_genome, lambda folder: vcf(folder, "x.vcf.gz"), ["x.vcf.gz"]),
    "genome": Case(
        write_genome,
        lambda folder: Genome(folder).tokens("chr1", 0, 341),
        ["genome.fa", "genome.fa.fai"],
    ),
}  # fmt: skip


def comparable(found) -> object:
    """What was read as text, in which arrays and tables are complete."""
    if isinstance(found, pd.DataFrame):
        return found.to_json()
    if isinstance(found, np.ndarray):
        return str(found.shape), str(found.dtype), found.tolist()
    if isinstance(found, dict):
        return {str(key): comparable(value) for key, value in found.items()}
    return (
        [comparable(value) for value in found] if isinstance(found, list | tuple) else repr(found)
    )


def lengths(size: int) -> list[int]:
    """CUTS lengths of a file to cut: 0, 1, all but one byte, and every so many 64 bytes."""
    step = 64 * max(1, size // (64 * CUTS)) if size > 64 else 1
    return sorted({0, 1, size - 1, *range(step, size, step)})


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """Folders with the files of a case, and what is read from them; each made once."""
    found: dict[str, tuple[Path, object]] = {}

    def of(name: str) -> tuple[Path, object]:
        if name not in found:
            folder = tmp_path_factory.mktemp("complete")
            CASES[name].make(folder)
            found[name] = folder, comparable(CASES[name].read(folder))
        return found[name]

    return of


@pytest.mark.parametrize(
    ("name", "file"), [(name, file) for name, case in CASES.items() for file in case.files]
)
def test_a_file_that_is_cut_anywhere_is_refused_or_complete(complete, tmp_path, name, file):
    folder, expected = complete(name)
    work = tmp_path / "work"
    shutil.copytree(folder, work)
    content = (folder / file).read_bytes()
    refused = 0
    for length in lengths(len(content)):
        (work / file).write_bytes(content[:length])
        try:
            found = comparable(CASES[name].read(work))
        except GeneqError as error:
            refused += 1
            message = str(error)
            # The part that was cut, or the folder that it is a part of.
            assert any(str(work / part) in message for part in (file, Path(file).parts[0])), message
            assert "\n" not in message
        else:
            assert found == expected, f"{length} of {len(content)} bytes"
    assert refused > 1
