"""Runs whose machines, schedulers, disks and Nextflow fail; `make test-faults` runs them."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from pipeline.conftest import ROOT

from .slurm import Slurm

# Checks of tasks as often as tests want it.
FAST = """
executor { pollInterval = '500ms'; queueStatInterval = '1 sec'; exitReadTimeout = '10 sec' }
trace { fields = 'name,status,exit,attempt,memory,time,native_id' }
"""


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A cluster of one node; skipped where Slurm is not installed."""
    missing = Slurm.missing()
    if missing:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)} not found)")
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def inputs(tmp_path):
    """Options for a run with stubs and data sets of these names."""

    def named(*datasets):
        (tmp_path / "promoters.fa").touch()
        for dataset in datasets:
            (tmp_path / f"{dataset}.h5ad").touch()
        rows = [f"{dataset},{dataset}.h5ad,k" for dataset in datasets]
        (tmp_path / "sheet.csv").write_text("\n".join(["dataset,h5ad,cell_type_key", *rows]))
        return "-stub", "--input", "sheet.csv", "--promoters", "promoters.fa", "--replicates", 0

    return named


def config(folder: Path, text: str = "", before: dict | None = None) -> tuple[str, str]:
    """Write a configuration with FAST; `before`: what tasks of SEARCH run first, by data set."""
    cases = ", ".join(f'{name}: """{command}"""' for name, command in (before or {}).items())
    script = f"beforeScript = {{ [{cases or ':'}][task.tag.toString()] }}"
    search = f"process {{ withName: 'SEARCH' {{ {script} }} }}\n"
    (folder / "faults.config").write_text(FAST + search + text)
    return "-c", "faults.config"


class Started:
    """A run in the background, its output in `log`."""

    def __init__(self, folder: Path, *words, env: dict | None = None):
        self.folder, self.log = folder, folder / "started.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [ROOT / "bin/geneq-nextflow", "run", ROOT / "main.nf", *map(str, words)],
                cwd=folder, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "NXF_ANSI_LOG": "false", **(env or {})},
            )  # fmt: skip

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, happened, timeout: float = 1800) -> None:
        """Until `happened()` is true; an error where the run ends or time is up before."""
        end = time.monotonic() + timeout
        while not happened():
            assert self.process.poll() is None and time.monotonic() < end, self.text
            time.sleep(0.2)

    def end(self, timeout: float = 1800) -> int:
        """The exit status of the run."""
        return self.process.wait(timeout)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def start(tmp_path):
    """Start a run in the background; it is stopped at the end of the test at the latest."""
    runs = []

    def started(*words, env: dict | None = None) -> Started:
        runs.append(Started(tmp_path, *words, env=env))
        return runs[-1]

    yield started
    for run in runs:
        run.kill()


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)
