"""Tasks that fail: which are tried again, with what, and what the run says at its end."""

import os
import re

import pytest

from .conftest import ROOT, attempts, failure, nextflow, pipeline, summary

# What a stub runs before `mkdir`: it takes longer than it may, or is terminated.
SHIMS = {"slow": "sleep 3", "stuck": "exec sleep 60", "term": "kill -TERM $PPID; sleep 5"}

# Commands that a task runs before its script, by data set.
BEFORE = {
    "once": '${task.attempt == 1 ? "kill -9 \\$\\$" : ""}',
    "killed": "exit 137",
    "lost": "exit 175",
    "network": "exit 104",
    "wrong": r"printf '\\033[31mgeneq search: error: red\\033[0m\\n\\nlast line\\n'; exit 1",
    "missing": "exit 127",
    # A machine that was reclaimed before the task began: exit status 1, and no files.
    "spot": '${task.attempt == 1 ? "rm .command.begin; trap - EXIT; exit 1" : ""}',
}

SBATCH = """#!/bin/bash
# Refuses, or runs the task at once, as the test says it.
%s
setsid bash .command.run >.command.log 2>&1 </dev/null &
echo "Submitted batch job $!"
"""

# Checks of tasks of a cluster as often as tests want it.
FAST = """
executor { pollInterval = '200ms'; queueStatInterval = '1 sec'; exitReadTimeout = '2 sec' }
executor { retry { delay = '100ms'; maxDelay = '200ms' } }
trace { fields = 'name,status,exit,attempt,memory,time' }
"""


@pytest.fixture
def inputs(tmp_path):
    """Options for data sets of these names."""

    def named(*datasets):
        for name in ("a.h5ad", "promoters.fa"):
            (tmp_path / name).touch()
        rows = [f"{dataset},a.h5ad,k" for dataset in datasets]
        (tmp_path / "sheet.csv").write_text("\n".join(["dataset,h5ad,cell_type_key", *rows]))
        return "-stub", "--input", "sheet.csv", "--promoters", "promoters.fa", "--replicates", 0

    return named


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put a scheduler on PATH whose sbatch first runs some shell; give options that use it."""

    def scheduler(shell, extra=""):
        folder = tmp_path / "slurm"
        folder.mkdir()
        for name, text in (
            ("sbatch", SBATCH % shell),
            ("squeue", "#!/bin/bash\n"),
            ("scancel", "#!/bin/bash\n"),
        ):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        (tmp_path / "fast.config").write_text(FAST + extra)
        return "-profile", "slurm", "-c", "fast.config"

    return scheduler


def test_a_report_does_without_stability_and_not_without_a_fold(tmp_path, inputs):
    (tmp_path / "fail.config").write_text(
        "executor { cpus = 32; memory = 1.TB }\n"
        "process { beforeScript = {\n"
        "    task.process.endsWith('REPLICATE') && task.tag.startsWith('a ') ||"
        " task.process.endsWith('DISTILL') && task.tag == 'b/cv/fold1' ? 'exit 1' : ''\n"
        "} }\n"
    )
    *options, _ = inputs("a", "b")
    run = pipeline(tmp_path, *options, 2, "--shard_replicates", 1, "--cv", "-c", "fail.config")
    assert run.status == 1
    assert "Without a report: b\n" in run.text
    assert re.search(r"  a 1/2 failed in REPLICATE", run.text)
    stages = {path.name for path in (tmp_path / "results/datasets/a").iterdir()}
    assert stages == {"pseudobulk", "search", "distill", "report", "cv"}
    stages = {path.name for path in (tmp_path / "results/datasets/b").iterdir()}
    assert stages == {"pseudobulk", "search", "distill", "stability", "cv"}


def test_tasks_are_tried_again_by_how_they_ended(tmp_path, inputs):
    for name, command in SHIMS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "mkdir").write_text(f'#!/bin/bash\n{command}\nexec /bin/mkdir "$@"\n')
        (tmp_path / name / "mkdir").chmod(0o755)
    before = BEFORE | {name: f"export PATH={tmp_path}/{name}:\\$PATH" for name in SHIMS}
    cases = ", ".join(f"{name}: '''{text}'''" if "$" not in text else f'{name}: """{text}"""'
                      for name, text in before.items())  # fmt: skip
    (tmp_path / "fail.config").write_text(
        "trace { fields = 'name,status,exit,attempt,memory,time' }\n"
        "executor { cpus = 32; memory = 1.TB }\n"  # all at once
        "process { withName: 'SEARCH' {\n"
        f"    beforeScript = {{ [{cases}][task.tag.toString()] }}\n"
        "    time = { task.tag.toString() in ['slow', 'stuck'] ? 2.s * task.attempt : 1.h }\n"
        "    maxRetries = 2\n"
        "} }\n"
    )
    run = pipeline(tmp_path, *inputs("fine", *before), "-c", "fail.config")
    assert run.status == 1
    trace = attempts(tmp_path, "SEARCH")
    assert {name: [row["exit"] for row in rows] for name, rows in trace.items()} == {
        "fine": ["0"],
        "once": ["137", "0"],
        "killed": ["137"] * 3,
        "lost": ["175"] * 3,
        "network": ["104"] * 3,
        "term": ["143"] * 3,
        "wrong": ["1"],
        "missing": ["127"],
        "spot": ["1", "0"],
        "slow": ["-", "0"],
        "stuck": ["-"] * 3,
    }
    # What succeeded at last goes on to its report; what did not is named.
    reports = {path.parent.name for path in (tmp_path / "results/datasets").glob("*/report")}
    assert reports == {"fine", "once", "spot", "slow"}
    assert summary(run.text)[0] == (
        "Without a report: killed, lost, network, wrong, missing, stuck, term"
    )
    assert "\x1b" not in run.text
    for dataset, line in {
        "killed": "(exit status 137: SIGKILL, often out of memory; 3 attempts): no message",
        "lost": "(exit status 175; 3 attempts): no message",
        "network": "(exit status 104; 3 attempts): no message",
        "wrong": "(exit status 1): geneq search: error: red",
        "missing": "(exit status 127): no message",
        "stuck": "(no exit status; 3 attempts): Process exceeded running time limit (6s)",
    }.items():
        text, folder = failure(run.text, dataset)
        assert text == f"{dataset} failed in SEARCH {line}"
        assert (folder / ".command.sh").exists()
    text, _ = failure(run.text, "term")
    assert "(exit status 143: SIGTERM, cancelled or preempted; 3 attempts): " in text


# An exit status, what the work folder holds, and whether the task is tried again.
STATUSES = [
    *((status, "all", "retry") for status in ("null", "Integer.MAX_VALUE", 104, 50001)),
    *((status, "all", "retry") for status in (*range(130, 146), *range(175, 178))),
    *((status, "all", "ignore") for status in (0, 1, 2, 126, 127, 129, 146, 174, 178, 255)),
    (0, "begin", "retry"),
    (1, "none", "retry"),
    (1, "begin", "ignore"),
    (1, "exitcode", "ignore"),
    (2, "none", "ignore"),
]


def test_every_exit_status_is_judged(tmp_path):
    (tmp_path / "lib").symlink_to(ROOT / "lib")
    files = {"all": (".command.begin", ".command.out", ".exitcode"), "none": ()}
    files |= {"begin": (".command.begin",), "exitcode": (".exitcode",)}
    for name, present in files.items():
        (tmp_path / name).mkdir()
        for file in present:
            (tmp_path / name / file).touch()
    rows = ", ".join(f"[{status}, '{folder}']" for status, folder, _ in STATUSES)
    (tmp_path / "main.nf").write_text(
        "workflow {\n"
        f"    [{rows}].each {{ status, folder ->\n"
        "        def task = [exitStatus: status, retryCount: 1, maxRetries: 3, attempt: 1,\n"
        "            name: 'x', process: 'A:B', workDir: projectDir.resolve(folder),\n"
        "            previousTrace: [store: [submit: 1]]]\n"
        '        println("judged ${status} ${folder} ${Failures.strategy(task)}")\n'
        "    }\n"
        "}\n"
    )
    run = nextflow(tmp_path, "run", "main.nf")
    assert run.status == 0, run.text
    judged = re.findall(r"judged (\S+) (\S+) (\S+)", run.text)
    names = {"Integer.MAX_VALUE": "2147483647"}
    assert judged == [
        (names.get(str(status), str(status)), folder, strategy)
        for status, folder, strategy in STATUSES
    ]


def test_a_scheduler_that_refuses_every_task_ends_the_run_with_its_message(tmp_path, inputs, slurm):
    refuse = (
        'printf "\\033[31msbatch: error: invalid partition specified: nosuch\\033[0m\\n'
        "sbatch: error: Batch job submission failed: Invalid partition name specified\\n"
        '" >&2; exit 1'
    )
    given = inputs("a", "b")
    run = pipeline(tmp_path, *given, *slurm(refuse), "--queue", "nosuch", timeout=300)
    assert run.status == 1
    lines = summary(run.text)
    assert lines[0].startswith("The run stopped early, because a task could not be submitted")
    assert lines[1] == (
        "  genome could not be submitted in GENES (exit status 1): sbatch: error: invalid "
        "partition specified: nosuch; sbatch: error: Batch job submission failed: Invalid "
        "partition name specified"
    )
    assert "Error is ignored" not in run.text
    # Once that is fixed, it goes on.
    (tmp_path / "slurm/sbatch").write_text(SBATCH % "")
    again = pipeline(tmp_path, *given, "-profile", "slurm", "-c", "fast.config", "-resume")
    assert again.status == 0, again.text


def test_a_scheduler_that_answers_without_a_job_ends_the_run(tmp_path, inputs, slurm):
    run = pipeline(tmp_path, *inputs("a"), *slurm("echo sorry; exit 0"), timeout=300)
    assert run.status == 1
    assert "genome could not be submitted in GENES" in run.text
    assert ": Invalid SLURM submit response:; sorry\n" in run.text


def test_a_scheduler_that_is_busy_for_a_moment_is_asked_again(tmp_path, inputs, slurm):
    busy = (
        'if [ ! -e asked ]; then touch asked; echo "sbatch: error: Batch job submission failed: '
        'Socket timed out on send/recv operation" >&2; exit 1; fi'
    )
    run = pipeline(tmp_path, *inputs("a"), *slurm(busy), timeout=300)
    assert run.status == 0, run.text
    assert "Socket timed out on send/recv operation" in run.text
    assert {len(rows) for rows in attempts(tmp_path, "SEARCH").values()} == {1}


def test_on_a_cluster_resources_grow_until_the_scheduler_refuses_them(tmp_path, inputs, slurm):
    # By data set: what the task's exit file or log ends up with, or memory that is refused.
    shell = r"""
    is() { grep -q "^#SBATCH -J .*${2:-SEARCH}_($1)" .command.run; }
    ends() { sed -i "s|^    exit \$exit_status|printf $1 >.exitcode|" .command.run; }
    if is big; then
        ends 137
        if grep -q -- '--mem 18432M' .command.run; then
            echo 'sbatch: error: Memory specification can not be satisfied' >&2; exit 1
        fi
    fi
    is fine REPORT && ends 137
    is google && ends 50001
    is gone && ends gone
    if is limit; then
        ends 140
        said='slurmstepd: error: *** JOB 7 ON n CANCELLED AT 9:00 DUE TO TIME LIMIT ***'
        printf 'echo "%s"\necho Terminated\n' "$said" >>.command.run
    fi
    """
    # Where a site has limits, resources grow up to them.
    limits = """process { withName: 'REPORT' { resourceLimits = [memory: 3.GB, time: 10.h] } }"""
    run = pipeline(
        tmp_path, *inputs("limit", "big", "gone", "google", "fine"), *slurm(shell, limits)
    )
    assert run.status == 1
    trace = attempts(tmp_path, "SEARCH")
    grown = [("6 GB", "12h"), ("12 GB", "1d"), ("18 GB", "1d 12h"), ("24 GB", "2d")]
    for name, exits, resources in (
        ("fine", ["0"], grown[:1]),
        ("google", ["50001"] * 4, grown),
        ("limit", ["140"] * 4, grown),
        ("gone", ["-"] * 4, grown),
        # One last attempt with what was accepted first.
        ("big", ["137", "137", "1", "137"], [*grown[:3], grown[0]]),
    ):
        assert [row["exit"] for row in trace[name]] == exits
        assert [(row["memory"], row["time"]) for row in trace[name]] == resources
    assert [(row["memory"], row["time"]) for row in attempts(tmp_path, "REPORT")["fine"]] == [
        ("2 GB", "4h"), ("3 GB", "8h"), ("3 GB", "10h"), ("3 GB", "10h")
    ]  # fmt: skip
    assert summary(run.text)[0] == "Without a report: limit, big, gone, google, fine"
    for dataset, line in {
        "limit": "(exit status 140: SIGUSR2, which Slurm sends shortly before the time limit; "
        "4 attempts): slurmstepd: error: *** JOB 7 ON n CANCELLED AT 9:00 DUE TO TIME LIMIT ***",
        "big": "(exit status 137: SIGKILL, often out of memory; 4 attempts): no message",
        "gone": "(no exit status; 4 attempts): no message",
        "google": "(exit status 50001; 4 attempts): no message",
    }.items():
        assert failure(run.text, dataset)[0] == f"{dataset} failed in SEARCH {line}"
