"""What an atlas of many data sets takes: seconds, peak memory of `geneq atlas`, size of the page.

The report of one data set of a finished run (--report, such as
results/demo/datasets/muscle/report) is copied under many names, its cell types repeated. Where
Chromium is installed: seconds until it has opened the page, beyond those for an empty one.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from figures import Figures, at_most, print_table, write_json
from geneq.artifacts import METRICS, read_json
from geneq.artifacts import write_json as write_document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", required=True, type=Path, help="folder of a report")
    parser.add_argument("--datasets", type=int, default=1000)
    parser.add_argument("--cell_types", type=int, default=20, help="of a data set")
    parser.add_argument("--quick", action="store_true", help="20 data sets")
    parser.add_argument("--json", help="write the figures here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), args.report, 20 if args.quick else args.datasets,
                           args.cell_types)  # fmt: skip
    print_table(figures)
    if args.json:
        write_json(figures, args.json)


def measured(folder: Path, report: Path, datasets: int, cell_types: int) -> Figures:
    documents, metrics = repeated(report, cell_types)
    folders = [folder / f"set_{i}" for i in range(datasets)]
    for path in folders:
        renamed = [document | {"dataset": path.name} for document in documents]
        write_document(renamed, path / "equations.json")
        METRICS.write(metrics, path / "metrics.parquet")
    command = [sys.executable, "-m", "geneq.cli", "atlas", "--reports", *map(str, folders),
               "--out", str(folder / "out")]  # fmt: skip
    start = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    page = folder / "out" / "atlas.html"
    size = page.stat().st_size / 1e6
    rows = f"{datasets} data sets of {cell_types} cell types"
    return {
        f"{rows}: seconds": at_most(600, seconds, "s"),
        f"{rows}: peak memory": at_most(2, peak, "GB"),
        f"{rows}: page": at_most(10, size, "MB"),
        **opened(rows, page),
    }


def opened(rows: str, page: Path) -> Figures:
    """What a browser takes to read the page, run its script and lay it out."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        print("Chromium is not installed: the page was not opened")
        return {}
    (page.parent / "empty.html").write_text("<html></html>")
    empty, whole = (
        min(browsing(program, path) for _ in range(3))
        for path in (page.parent / "empty.html", page)
    )
    return {f"{rows}: opened": at_most(2, whole - empty, "s")}


def browsing(program: str, page: Path) -> float:
    """Seconds from the start of the browser to a picture of the page."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={page.parent}/own",
               f"--screenshot={page.parent}/page.png"]  # fmt: skip
    start = time.perf_counter()
    subprocess.run([program, *options, page.as_uri()], check=True, capture_output=True)
    return time.perf_counter() - start


def repeated(report: Path, cell_types: int) -> tuple[list[dict], pd.DataFrame]:
    """The report's equations and metrics under the names of so many cell types."""
    given, metrics = read_json(report / "equations.json"), METRICS.read(report / "metrics.parquet")
    documents, parts = [], []
    for i in range(cell_types):
        document, name = given[i % len(given)], f"type {i}"
        documents.append(document | {"cell_type": name})
        rows = metrics[metrics["cell_type"] == document["cell_type"]]
        parts.append(rows.assign(cell_type=name))
    return documents, pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    main()
