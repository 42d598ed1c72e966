"""Every profile, and every pair of a container engine and an executor, can be configured."""

import itertools

import pytest

from .conftest import ROOT, nextflow

CONTAINERS = ("docker", "podman", "singularity", "apptainer")
EXECUTORS = {"slurm": "slurm", "awsbatch": "awsbatch", "googlebatch": "google-batch"}


@pytest.mark.parametrize(("engine", "profile"), list(itertools.product(CONTAINERS, EXECUTORS)))
def test_engine_and_executor(tmp_path, engine, profile):
    run = nextflow(tmp_path, "config", "-flat", "-profile", f"{engine},{profile}", ROOT)
    assert run.status == 0, run.text
    lines = run.text.splitlines()
    assert f"{engine}.enabled = true" in lines
    assert f"process.executor = '{EXECUTORS[profile]}'" in lines
    assert any(line.startswith("process.container = ") for line in lines)
    # Limits are those of this machine; a cluster has its own.
    assert "process.resourceLimits = [:]" in lines or "process.resourceLimits = []" in lines


def test_without_profile_tasks_fit_this_machine(tmp_path):
    run = nextflow(tmp_path, "config", "-profile", "demo,test", ROOT)
    assert run.status == 0, run.text
    assert "trials = 4" in run.text
    assert "resourceLimits = [cpus:" in run.text
