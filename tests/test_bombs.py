"""Small files that unpack to, or say that they have, more than any machine can hold."""

import functools
import gzip
import io
import json
import zipfile
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from children import limited
from geneq import artifacts
from geneq.gene_tables import read_table
from geneq.genome import Genome, index_fasta
from geneq.imported import read_scores
from geneq.mave import user_table
from geneq.oracles.classes import Classes
from geneq.oracles.keras.files import read_keras
from geneq.oracles.meme import read_meme
from geneq.stages.genes.annotation import read_gtf
from geneq.stages.pseudobulk import pseudobulk
from geneq.tally import Tally
from geneq.teacher import TrainedTeacher
from geneq.vcf import read_vcf
from planted import gene_table
from test_damaged import features, read_features

MEMORY = 1 << 30  # of a child, beyond what its modules take
FLAT = 400 << 20  # what it may use of that
CLAIMED = 10**12
GENES = gene_table(20).assign(gene_id=[f"g{i}" for i in range(20)])


# --- text -----------------------------------------------------------------------------------------

GTF, VCF = b"chr1\tx\tgene\t1\t2\t.\t+\t.\t", b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n"
MEME = b"MEME version 4\n\nALPHABET= ACGT\n\nMOTIF a\nletter-probability matrix: w= 2\n"
LIBRARY = b">random:0\n"


@functools.cache
def repeated(unit: bytes) -> bytes:
    """A gigabyte of `unit`, as gzip: members of 16 MB that are all the same."""
    return 64 * gzip.compress(unit * ((1 << 24) // len(unit)), mtime=0)


def read_fasta(path: Path) -> None:
    index_fasta(path, path.parent)


def vcf(path: Path) -> None:
    (path.parent / "g.fa").write_text(f">chr1\n{'ACGT' * 20}\n")
    index_fasta(path.parent / "g.fa", path.parent)
    read_vcf(path, Genome(path.parent))


def gtf(path: Path) -> None:
    read_gtf(path, Tally())


def table(path: Path) -> None:
    user_table(path, None)


TEXT = {
    "zeros.fa": (read_fasta, b"", b"\0"),
    "header.fa": (read_fasta, b">", b"a"),
    "zeros.gtf": (gtf, b"", b"\0"),
    "line.gtf": (gtf, GTF, b"a"),
    "zeros.vcf": (vcf, b"", b"\0"),
    "line.vcf": (vcf, VCF + b"chr1\t1\t.\tA\t", b"A"),
    "zeros.meme": (read_meme, b"", b"\0"),
    "rows.meme": (read_meme, MEME, b"0.25 0.25 0.25 0.25\n"),
    "zeros.tsv": (read_table, b"", b"\0"),
    "rows.tsv": (read_table, b"gene_id\tx\n", b"g0\t1\n"),
    "line.tsv": (table, b"gene_id\tx\n", b"1"),
    "classes.tsv": (Classes.read, b"output\tclass\n", b"g0\t1\n"),
}


@pytest.mark.parametrize("name", TEXT)
def test_a_gigabyte_in_a_few_megabytes_of_gzip_is_refused(tmp_path, name):
    read, head, unit = TEXT[name]
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(head, mtime=0) + repeated(unit))
    assert path.stat().st_size < 4e6
    check(path, partial(read, path))


def check(path: Path, work) -> None:
    """One error that names the file, soon and with little memory."""
    ended = limited(MEMORY, work, ["test_bombs"])
    assert path.name in ended.error and "\n" not in ended.error
    assert ended.memory < FLAT and ended.seconds < 60


# --- HDF5 -----------------------------------------------------------------------------------------


def vector(group, name, n, dtype, **options):
    """A dataset of which nothing is written."""
    return group.create_dataset(name, (n,), dtype, chunks=True, **options)


def h5ad(path: Path, cells: int, genes: int, layout: str, **options) -> None:
    """An h5ad file with names and labels that are there, if they are few, and no other numbers."""
    with h5py.File(path, "w") as file:
        for name, n in (("obs", cells), ("var", genes)):
            frame = file.create_group(name)
            frame.attrs.update({"_index": "_index", "encoding-type": "dataframe",
                                "encoding-version": "0.2.0", "column-order": ["k"]})  # fmt: skip
            index = vector(frame, "_index", n, h5py.string_dtype())
            if n < 100:
                index[...] = [f"g{i}" for i in range(n)]
            vector(frame, "k", n, "i1", **options)
        if layout == "array":
            x = file.create_dataset("X", (cells, genes), "f4", chunks=True, **options)
        else:
            x = file.create_group("X")
            x.attrs["shape"] = [cells, genes]
            for part, dtype in (("data", "f4"), ("indices", "i4")):
                vector(x, part, CLAIMED, dtype, **options)
            lines = 1 + (cells if layout == "csr_matrix" else genes)
            vector(x, "indptr", lines, "i8")
            if lines < 100:
                x["indptr"][1:] = CLAIMED
        x.attrs.update({"encoding-type": layout, "encoding-version": "0.1.0"})


H5AD = {
    "cells": (CLAIMED, 20, "array", {}),
    "compressed": (CLAIMED, 20, "array", {"compression": "gzip"}),
    "genes": (20, CLAIMED, "array", {}),
    "csr": (CLAIMED, 20, "csr_matrix", {}),
    "csc": (CLAIMED, 20, "csc_matrix", {"compression": "gzip"}),
    "one row": (20, 20, "csr_matrix", {}),
}


@pytest.mark.parametrize("name", H5AD)
def test_an_h5ad_of_a_million_million_values_that_are_not_there_is_refused(tmp_path, name):
    *shape, options = H5AD[name]
    path = tmp_path / "x.h5ad"
    h5ad(path, *shape, **options)
    assert path.stat().st_size < 40_000
    check(path, partial(pseudobulk, path, "k", GENES, min_cells=1))
    check(path, partial(read_scores, path))


def test_weights_of_keras_that_are_not_there_are_refused(tmp_path):
    config = {"class_name": "Sequential", "config": {"layers": []}}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        layer = file.create_group("model_weights/dense")
        file["model_weights"].attrs["layer_names"] = ["dense"]
        layer.attrs["weight_names"] = ["kernel"]
        vector(layer, "kernel", CLAIMED, "f4")
    with zipfile.ZipFile(tmp_path / "x.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(config))
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(256):
                member.write(bytes(1 << 20))
    for path in (tmp_path / "x.h5", tmp_path / "x.keras"):
        check(path, partial(read_keras, path))


# --- arrays and tables ----------------------------------------------------------------------------


def header(shape: tuple[int, ...]) -> bytes:
    """The beginning of a .npy file."""
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        text, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    return text.getvalue()


def from_npy(path: Path) -> None:
    (path.parent / "names.txt").write_text("a\nb\n")
    read_scores(path, path.parent / "names.txt", path.parent / "names.txt")


def test_a_npy_with_less_than_its_header_says_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(header((CLAIMED, 2)))
    check(path, partial(from_npy, path))


@pytest.mark.parametrize(("n", "megabytes"), [(CLAIMED, 0), (1 << 25, 256)])
def test_arrays_of_a_surrogate_that_are_not_there_or_compressed_are_refused(tmp_path, n, megabytes):
    path = tmp_path / "surrogate.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("wild_type.npy", "w") as member,
    ):
        member.write(header((n,)))
        for _ in range(megabytes):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 2e6
    check(path, partial(load_arrays, path))


def load_arrays(path: Path) -> None:
    from geneq.surrogates.surrogate import _arrays

    _arrays(path)


@pytest.mark.parametrize("shape", [[CLAIMED, 3, 4], [40, CLAIMED, 4], [40, 3, CLAIMED]])
def test_features_of_another_shape_than_their_description_are_refused(tmp_path, shape):
    path = tmp_path / "f.zarr"
    features().write(path)
    about = path / "values0" / "zarr.json"
    document = json.loads(about.read_text())
    document["shape"] = shape
    about.write_text(json.dumps(document))
    check(path, partial(read_features, tmp_path))


def test_a_table_of_more_rows_than_fit_is_refused(tmp_path):
    """Equal values take hardly any bytes: here, 80 million rows less than 1 MB."""
    path = tmp_path / "x.parquet"
    part = pa.table({name: pa.array(np.zeros(10**7)) for name in ("a", "b")})
    with pq.ParquetWriter(path, part.schema) as writer:
        for _ in range(8):
            writer.write_table(part, row_group_size=10**7)
    assert path.stat().st_size < 1e6
    check(path, partial(artifacts.read_parquet, path))


def test_weights_of_a_teacher_with_less_than_their_header_says_are_refused(tmp_path):
    from test_teacher import made

    made()[0].save(tmp_path)
    path = tmp_path / "teacher.safetensors"
    tensor = {"dtype": "F32", "shape": [CLAIMED], "data_offsets": [0, 4 * CLAIMED]}
    text = json.dumps({"network.gate": tensor}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    check(path, partial(TrainedTeacher.load, tmp_path))
    path.write_bytes((1 << 60).to_bytes(8, "little") + text)
    check(path, partial(TrainedTeacher.load, tmp_path))


@pytest.mark.parametrize("text", ["[" * 10**6, f'{{"a": {"9" * 5000}}}', '{"a": NaN'])
def test_json_that_is_too_deep_or_has_endless_numbers_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    check(path, partial(artifacts.read_json, path))
