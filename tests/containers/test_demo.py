"""The demo in a container has the results of the demo outside, byte for byte."""

import os
from pathlib import Path

import pytest

from geneq import cli
from pipeline.conftest import pipeline
from pipeline.test_run import files

from .conftest import IMAGE, RESTRICTED


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What `make demo` simulates."""
    folder = tmp_path_factory.mktemp("demo") / "input"
    assert cli.main(["simulate", "--out", str(folder), "--seed", "1"]) == 0
    return folder


def demo(folder: Path, data: Path, *words):
    """A run with -profile demo, or another, over the simulated data; it must end well."""
    files = {
        "input": "samplesheet.csv",
        "fasta": "genome.fa.gz",
        "gtf": "genes.gtf",
        "loci": "loci.csv",
        "vcf": "variants.vcf",
        "truth": "truth.parquet",
    }
    given = [f"--{name}={data / file}" for name, file in files.items()]
    run = pipeline(folder, *words, *given, "--outdir", "results", timeout=7200)
    assert run.status == 0, run.text
    return run


def results(folder: Path) -> dict[Path, bytes]:
    """All files but those about the run itself: times, versions of Python."""
    return {name: data for name, data in files(folder).items() if name.parts[0] != "pipeline_info"}


def test_the_demo_in_a_container_has_the_same_results(image, data, tmp_path):
    """In it as a user without rights, on a read-only root; this user writes the task's folder."""
    (tmp_path / "outside").mkdir()
    demo(tmp_path / "outside", data, "-profile", "demo")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/site.config").write_text(f"podman.runOptions = '{' '.join(RESTRICTED)}'\n")
    umask = os.umask(0)
    try:
        demo(tmp_path / "inside", data, "-profile", "demo,podman", "-c", "site.config")
    finally:
        os.umask(umask)

    tasks = [path.parent for path in tmp_path.glob("inside/work/*/*/.command.run")]
    assert len(tasks) > 10
    assert all(IMAGE in (task / ".command.run").read_text() for task in tasks)
    user = 12345 if os.getuid() == 0 else os.getuid()
    assert {(task / "versions.yml").stat().st_uid for task in tasks} == {user}
    outside, inside = results(tmp_path / "outside/results"), results(tmp_path / "inside/results")
    assert {*inside} == {*outside}
    assert len(inside) > 50
    assert [str(name) for name in inside if inside[name] != outside[name]] == []
