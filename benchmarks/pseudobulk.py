"""`geneq pseudobulk` on a generated file of 1,000,000 cells x 20,000 genes at 5 % density, beside
reading the complete file with anndata and summing it with a sparse product.

Both start with the file out of the page cache, each in a separate process. geneq also checks
every value and computes standard errors and reliabilities; the peer computes only sums. If memory
does not suffice for the peer, both also run on as many cells as fit, and the table says so.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem

from geneq.artifacts import GENES
from geneq.checks import available_memory

GENES_OF_FILE = 20_000
ONE_IN = 20  # density 5 %
CELL_TYPES = 20
SEED = 1
LINES_AT_ONCE = 4_000
# What the peer needs: an int32 index and a float32 value per entry, and working memory.
PEER_BYTES_PER_CELL = GENES_OF_FILE // ONE_IN * 8 * 1.3
FLOORS = {"seconds": 0.4, "peak memory": 15.0}

PEER = """
import sys
import anndata, numpy as np, scipy.sparse as sp
adata = anndata.read_h5ad(sys.argv[1])
types = adata.obs["cell_type"].cat.codes.to_numpy()
ones = np.ones(len(types), dtype=np.float32)
members = sp.csr_matrix((ones, (types, np.arange(len(types)))))
sums = np.asarray((members @ adata.X).todense(), dtype=np.float64)
cpm = 1e6 * sums / sums.sum(axis=1, keepdims=True)
np.save(sys.argv[2], np.log2(cpm + 1))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--layout", choices=("csr", "csc"), default="csr")
    parser.add_argument("--compression", choices=("gzip", "lzf"), help="default: none")
    parser.add_argument("--workdir", help="folder for the file (default: the temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep the file for the next run")
    parser.add_argument("--quick", action="store_true", help="20,000 cells: under a minute")
    parser.add_argument("--json", help="also write the figures to this file")
    args = parser.parse_args()
    cells = 20_000 if args.quick else args.cells
    fitting = int(available_memory() * 0.8 / PEER_BYTES_PER_CELL)
    figures = {}
    for size in sorted({cells, min(cells, fitting)}):
        figures |= measure(size, args, with_peer=size <= fitting)
    print_table(figures)
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")


def measure(cells: int, args, with_peer: bool) -> dict:
    """Figures of one size."""
    workdir = Path(args.workdir or tempfile.gettempdir())
    path = workdir / f"pseudobulk-{cells}-{args.layout}-{args.compression or 'plain'}.h5ad"
    if not path.exists():
        generate(path, cells, args.layout, args.compression)
    with tempfile.TemporaryDirectory(dir=workdir) as scratch:
        ours, peer = run_geneq(path, Path(scratch)), None
        if with_peer:
            peer = run([sys.executable, "-c", PEER, path, Path(scratch) / "peer.npy"], path)
            check_agreement(Path(scratch))
    if not args.keep:
        path.unlink()
    about = f"{cells:,} cells, {args.layout.upper()}, {args.compression or 'uncompressed'}"
    guarded = not (args.quick or args.compression) and cells == 1_000_000
    return {
        f"pseudobulk {name}, {about}": figure(name, unit, ours, peer, guarded)
        for name, unit in (("seconds", "s"), ("peak memory", "MB"))
    }


@dataclass(frozen=True)
class Run:
    """Wall seconds and the largest resident set in MB of a process."""

    seconds: float
    megabytes: float

    def of(self, name: str) -> float:
        return round(self.seconds, 2) if name == "seconds" else round(self.megabytes, 1)


def figure(name: str, unit: str, ours: Run, peer: Run | None, guarded: bool) -> dict:
    """ratio: the peer's figure over geneq's; floor: the lowest ratio allowed."""
    value, other = ours.of(name), peer.of(name) if peer else None
    ratio = round(other / value, 2) if peer else None
    floor = FLOORS[name] if guarded and peer else None
    return {"value": value, "unit": unit, "peer": other, "ratio": ratio, "floor": floor}


def run_geneq(path: Path, scratch: Path) -> Run:
    names = [f"gene{i}" for i in range(GENES_OF_FILE)]
    constant = {"chrom": "chr1", "tss": 0, "strand": "+", "records": "", "fold": 0, "split": "test",
                "family": -1}  # fmt: skip
    GENES.write(pd.DataFrame({"gene_id": names, "gene_name": names, **constant}), scratch / "genes")
    command = [sys.executable, "-m", "geneq.cli", "pseudobulk", "--dataset", "benchmark"]
    command += ["--h5ad", path, "--cell_type_key", "cell_type"]
    return run([*command, "--genes", scratch / "genes", "--out", scratch / "ours"], path)


def run(command: list, path: Path) -> Run:
    """Run a command on a file that is not in the page cache."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed with wait status {status}: {command}")
    return Run(time.perf_counter() - start, used.ru_maxrss / 1024)


def check_agreement(scratch: Path) -> None:
    """Stop unless both give the same log2(CPM + 1)."""
    ours = pd.read_parquet(scratch / "ours" / "expression.parquet")
    peer = np.load(scratch / "peer.npy")
    np.testing.assert_allclose(ours["log2cpm"].to_numpy().reshape(peer.shape), peer, rtol=1e-4)


def generate(path: Path, cells: int, layout: str, compression: str | None) -> None:
    """Write a seeded h5ad file in parts; a line has one entry in every ONE_IN positions."""
    rng = np.random.default_rng(SEED)
    lines, places = (cells, GENES_OF_FILE) if layout == "csr" else (GENES_OF_FILE, cells)
    each = places // ONE_IN
    unfinished = path.with_suffix(".part")
    with h5py.File(unfinished, "w") as file:
        write_frames(file, cells, rng)
        x = file.create_group("X")
        x.attrs.update({"encoding-type": f"{layout}_matrix", "encoding-version": "0.1.0"})
        x.attrs["shape"] = [cells, GENES_OF_FILE]
        total = lines * each
        narrow = total <= np.iinfo(np.int32).max  # as scipy chooses, and anndata writes
        x["indptr"] = np.arange(0, total + 1, each, dtype=np.int32 if narrow else np.int64)
        storage = {"shape": total, "compression": compression}
        indices = x.create_dataset("indices", dtype=np.int32, **storage)
        data = x.create_dataset("data", dtype=np.float32, **storage)
        step = max(1, LINES_AT_ONCE * GENES_OF_FILE // places)
        for first in range(0, lines, step):
            n = min(step, lines - first)
            part = slice(first * each, (first + n) * each)
            offsets = rng.integers(0, ONE_IN, (n, each), dtype=np.int32)
            indices[part] = (offsets + np.arange(0, places, ONE_IN, dtype=np.int32)).ravel()
            data[part] = rng.geometric(0.5, n * each)
    unfinished.rename(path)


def write_frames(file: h5py.File, cells: int, rng: np.random.Generator) -> None:
    types = pd.Categorical.from_codes(
        rng.integers(0, CELL_TYPES, cells), [f"type {i:02}" for i in range(CELL_TYPES)]
    )
    file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    names = [f"cell{i}" for i in range(cells)]
    write_elem(file, "obs", pd.DataFrame({"cell_type": types}, index=names))
    write_elem(file, "var", pd.DataFrame(index=[f"gene{i}" for i in range(GENES_OF_FILE)]))


def print_table(figures: dict) -> None:
    width = max(map(len, figures))
    print(f"{'':{width}}  {'geneq':>10}  {'anndata':>10}  {'ratio':>7}")
    for name, about in figures.items():
        peer, ratio = (
            "-" if value is None else f"{value:,}" for value in (about["peer"], about["ratio"])
        )
        print(f"{name:{width}}  {about['value']:>10,}  {peer:>10}  {ratio:>7}  {about['unit']}")


if __name__ == "__main__":
    main()
