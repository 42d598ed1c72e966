"""Every profile, and every pair of a container engine and an executor, can be configured, beside
the options of a site."""

import itertools
import os
import re

import pytest

from .conftest import ROOT, nextflow, pipeline, with_lib

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
    # A selector that sets one of these would replace what a site sets for all processes.
    assert not re.search(r"^process\.with.*\.(cluster|container)Options = ", run.text, re.MULTILINE)


def test_without_profile_tasks_fit_this_machine(tmp_path):
    run = nextflow(tmp_path, "config", "-profile", "demo,test", ROOT)
    assert run.status == 0, run.text
    assert "trials = '4'" in run.text
    assert "resourceLimits = [cpus:" in run.text


# --- the options of a site ------------------------------------------------------------------------

# Runs what a job would run, without its container.
SBATCH = """#!/bin/bash
touch .command.begin
bash .command.sh > .command.out 2> .command.err
echo $? > .exitcode
echo Submitted batch job 1
"""


@pytest.fixture
def cluster(tmp_path):
    """A folder with an experiment, and the environment with a scheduler."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", "#!/bin/bash\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (tmp_path / "r.json").touch()
    (tmp_path / "sheet.csv").write_text("experiment,recipe,oracle\nx,r.json,motifs:core\n")
    return tmp_path, {"PATH": f"{tools}:{os.environ['PATH']}"}


def jobs(folder):
    """Of each task: the options of its header, and the command line of its container."""
    found = {}
    for script in folder.glob("work/*/*/.command.run"):
        text = script.read_text()
        (name,) = re.findall(r"^### name: '(?:\w+:)*(\w+) ", text, re.MULTILINE)
        (container,) = re.findall(r"docker run .*", text)
        found[name] = (re.findall(r"^#SBATCH (--?[agq].*)$", text, re.MULTILINE), container)
    return found


SITE = """
process {
    clusterOptions = '--account=lab'
    containerOptions = '--env SITE=1'
}
"""
# Text is what newer Nextflow makes of every parameter of the command line.
TEXT = {"NXF_DISABLE_PARAMS_TYPE_DETECTION": "true"}


@pytest.mark.parametrize("gpu", ["true", "false"])
def test_options_of_a_site_are_kept(cluster, gpu):
    folder, env = cluster
    (folder / "site.config").write_text(SITE + "executor.pollInterval = '1s'\n")
    run = pipeline(
        folder,
        *("-c", "site.config", "-profile", "slurm,docker", "-stub"),
        *("--experiments", "sheet.csv", "--gpu", gpu),
        env=env | TEXT,
    )
    assert run.status == 0, run.text
    found = jobs(folder)
    assert {*found} == {"SCORE", "SURROGATE", "LOCI_REPORT"}
    for name, (header, container) in found.items():
        asked = gpu == "true" and name == "SCORE"
        assert header == ["--gres=gpu:1 --account=lab" if asked else "--account=lab"]
        assert "--env SITE=1" in container
        assert ("--gpus all" in container) == asked
        assert f" geneq:{'gpu' if gpu == 'true' else 'cpu'} " in container


SELECTORS = """
process {
    clusterOptions = '--account=lab'
    withLabel: 'gpu' { clusterOptions = ['--account=gpus', '--qos=short'] }
    withName: 'SCORE' { containerOptions = { "--env TASK=${task.process.tokenize(':').last()}" } }
    withName: 'SURROGATE' { clusterOptions = { "--account=${task.cpus}" } }
}
"""


def test_options_of_a_site_for_some_tasks_are_kept(cluster):
    folder, env = cluster
    (folder / "site.config").write_text(SELECTORS + "executor.pollInterval = '1s'\n")
    run = pipeline(
        folder,
        *("-c", "site.config", "-profile", "slurm,docker", "-stub"),
        *("--experiments", "sheet.csv", "--gpu"),
        env=env,
    )
    assert run.status == 0, run.text
    found = jobs(folder)
    assert found["SCORE"][0] == ["--gres=gpu:1", "--account=gpus", "--qos=short"]
    assert "--gpus all --env TASK=SCORE" in found["SCORE"][1]
    assert found["SURROGATE"][0] == ["--account=1"]
    assert found["LOCI_REPORT"][0] == ["--account=lab"]
    assert "--gpus" not in found["SURROGATE"][1]


def test_what_a_cloud_attaches_is_not_asked_of_the_container(tmp_path):
    (tmp_path / "nextflow.config").write_text(
        "process { containerOptions = '--site'; withName: 'A' { containerOptions = null } }"
    )
    run = with_lib(
        tmp_path,
        """
        Gpu.addRequests()
        def scopes = nextflow.Global.session.config.process
        def ext = [containerOptions: '--gpus all', clusterOptions: '--gres=gpu:1']
        [[ext: ext, accelerator: null], [ext: ext, accelerator: 1], [ext: [:]]].each { task ->
            [scopes, scopes['withName:A']].each { scope ->
                println("CASE ${scope.containerOptions.cloneWith([task: task]).call()}")
            }
            println("CASE ${scopes.clusterOptions.cloneWith([task: task]).call()}")
        }
        """,
    )
    assert re.findall("CASE (.*)", run.text) == [
        *("--gpus all --site", "--gpus all", "--gres=gpu:1"),
        *("--site", "null", "--gres=gpu:1"),
        *("--site", "null", "null"),
    ], run.text
