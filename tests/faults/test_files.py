"""What happens when disks are full, inputs change or Nextflow is killed, without a scheduler."""

import os
import subprocess

import pytest

from geneq import cli
from pipeline.conftest import attempts, failure, pipeline
from pipeline.test_run import files

from .conftest import config


@pytest.fixture
def disk(tmp_path):
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


# More than the file system holds, where a stub writes an empty file.
BIG = "afterScript = 'head -c 2M /dev/zero > search/teacher.json'"


def test_an_outdir_that_fills_up_has_no_half_of_a_file(tmp_path, inputs, disk):
    """The disk is full when the results of the search are copied."""
    results = disk / "results"
    site = f"process {{ withName: 'SEARCH' {{ {BIG} }} }}\n"
    given = (*inputs("a"), *config(tmp_path, site), "--outdir", results)
    run = pipeline(tmp_path, *given)
    assert run.status != 0
    assert f"to: {results}/datasets/a/search" in run.text
    assert not (results / "datasets/a/search/teacher.json").exists()
    assert (results / "datasets/a/pseudobulk").exists()
    for path in (results / "pipeline_info").iterdir():
        assert path.stat().st_size > 0
        assert path.suffix != ".html" or path.read_text().rstrip().endswith("</html>")
    # With more space, the run goes on.
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    again = pipeline(tmp_path, *given, "-resume")
    assert again.status == 0, again.text
    assert "SEARCH (a)" in again.cached
    assert (results / "datasets/a/search/teacher.json").stat().st_size == 2 << 20


def test_a_full_work_directory_is_named(tmp_path, inputs, disk):
    before = {"a": "head -c 2M /dev/zero > fill"}
    run = pipeline(
        *(tmp_path, *inputs("a", "b"), *config(tmp_path, before=before)),
        *("-work-dir", disk / "work", "--outdir", "results"),
    )
    assert run.status != 0
    text, folder = failure(run.text, "a")
    assert text == f"a failed in SEARCH (exit status 1): No space left on device in {folder}"
    assert not (tmp_path / "results/datasets/a/search").exists()


def test_a_data_set_that_always_fails_is_listed_and_the_others_finish(tmp_path, inputs):
    before = {"a": "echo 'geneq search: error: reason' >&2; exit 137"}
    run = pipeline(tmp_path, *inputs("a", "b"), *config(tmp_path, before=before))
    assert run.status == 1
    text, folder = failure(run.text, "a")
    assert "4 attempts" in text
    rows = [line.split("\t") for line in (tmp_path / "results/failed.tsv").read_text().splitlines()]
    assert rows[0] == ["name", "stage", "message", "log", "folder"] and len(rows) == 2
    assert rows[1][:2] == ["a", "search"] and rows[1][3:] == [f"{folder}/.command.log", f"{folder}"]
    assert rows[1][2].startswith("geneq search: error: reason (exit status 137")
    assert (tmp_path / "results/datasets/b/report").exists()


def test_only_what_a_change_concerns_runs_again(tmp_path, inputs):
    """One data set is edited while the run lasts; CPUs and memory are changed; a cached task is
    damaged."""
    given = inputs("a", "b")
    edit = f"echo edited >> {tmp_path}/a.h5ad"
    first = pipeline(tmp_path, *given, *config(tmp_path, before={"b": edit}))
    assert first.status == 0, first.text
    of_a = {f"{stage} (a)" for stage in ("PSEUDOBULK", "SEARCH", "DISTILL", "REPORT")}
    site = "process { memory = 1.GB }\nprocess { withName: 'SEARCH|REPORT' { memory = 3.GB } }\n"
    second = pipeline(tmp_path, *given, *config(tmp_path, site), "-resume")
    assert second.status == 0, second.text
    assert {*second.submitted} == of_a | {"ATLAS (2 data sets)"}

    folders = [path.parent for path in tmp_path.glob("work/*/*/report")]
    (damaged,) = [
        folder for folder in folders if "REPORT (b)" in (folder / ".command.run").read_text()
    ]
    (damaged / ".exitcode").write_text("")
    third = pipeline(tmp_path, *given, *config(tmp_path), "-resume")
    assert third.status == 0, third.text
    assert "REPORT (b)" in third.submitted
    assert {*third.submitted} <= {"REPORT (b)", "ATLAS (2 data sets)"}


@pytest.fixture
def blood(tmp_path):
    """What a run of the real stages on one data set with 100 simulated genes is given."""
    data = tmp_path / "data"
    assert cli.main(["simulate", "--out", str(data), "--genes", "100", "--seed", "3"]) == 0
    rows = (data / "samplesheet.csv").read_text().splitlines()
    (data / "blood.csv").write_text("\n".join(row for row in rows if "muscle" not in row))
    genome = ("--fasta", data / "genome.fa.gz", "--gtf", data / "genes.gtf")
    return ("-profile", "test", "--trials", 2, "--input", data / "blood.csv", *genome)


def assert_same_results(one, other):
    """Of two runs, but for what is in pipeline_info."""
    for part in ("genomes", "datasets"):
        found, wanted = files(one / part), files(other / part)
        assert found and {*found} == {*wanted}
        assert [name for name in found if found[name] != wanted[name]] == []


def test_on_one_and_on_two_cpus_the_results_are_the_same(tmp_path, blood):
    for cpus in (1, 2):
        (tmp_path / "cpus.config").write_text(f"process {{ withName: '.*' {{ cpus = {cpus} }} }}\n")
        places = ("--outdir", f"on{cpus}", "-work-dir", f"work{cpus}")
        run = pipeline(tmp_path, *blood, *places, "-c", "cpus.config", timeout=1800)
        assert run.status == 0, run.text
        (script,) = [
            path.read_text()
            for path in tmp_path.glob(f"work{cpus}/*/*/.command.sh")
            if "geneq search" in path.read_text()
        ]
        assert f"--threads {cpus} " in script
    assert_same_results(tmp_path / "on1", tmp_path / "on2")


def test_after_nextflow_was_killed_a_resumed_run_has_the_same_results(tmp_path, blood, start):
    elsewhere = ("--outdir", "undisturbed", "-work-dir", "other")
    undisturbed = pipeline(tmp_path, *blood, *elsewhere, timeout=1800)
    assert undisturbed.status == 0, undisturbed.text
    run = start(*blood)
    run.wait_for(lambda: [*tmp_path.glob("work/*/*/search")])
    run.kill()
    # As if it was killed while it copied these results.
    (tmp_path / "results/genomes/genome/genes/genes.parquet").unlink()
    # The orphaned task is stopped by the commands of docs/running.md.
    stop = (
        'for p in /proc/[0-9]*; do case $(readlink $p/cwd) in "$PWD"/work/*) echo ${p#/proc/};; '
        "esac; done | xargs -r kill"
    )
    subprocess.run(["bash", "-c", stop], cwd=tmp_path, check=False)
    again = pipeline(tmp_path, *blood, "-resume", timeout=1800)
    assert again.status == 0, again.text
    assert "was killed (process" in again.text
    assert "GENES (genome)" in again.cached and "SEARCH (blood)" in again.submitted
    assert_same_results(tmp_path / "results", tmp_path / "undisturbed")


LATE = r"""#!/bin/bash
# The job ends, and its exit status appears 4 s later.
sed -i 's|^    printf -- \(.*exitcode\)$|    (sleep 4; printf -- \1) \&|' .command.run
grep -q 'sleep 4' .command.run || exit 1
setsid bash .command.run > .command.log 2>&1 < /dev/null &
echo "Submitted batch job $!"
"""


def test_a_late_exit_status_of_a_slow_share_is_waited_for(tmp_path, inputs):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("sbatch", LATE), ("squeue", "#!/bin/bash\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}"}
    run = pipeline(tmp_path, *inputs("a"), *config(tmp_path), "-profile", "slurm", env=env)
    assert run.status == 0, run.text
    assert {len(rows) for rows in attempts(tmp_path, "SEARCH").values()} == {1}
