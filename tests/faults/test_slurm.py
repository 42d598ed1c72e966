"""What happens on a real Slurm when jobs, nodes and the controller fail."""

import json
import re
import time
from pathlib import Path

from pipeline.conftest import ROOT, attempts, demo, pipeline, summary

from .conftest import config

# Two jobs fit on the node.
SLURM = ("-profile", "slurm", "--max_time", "30.min", "--max_memory", "3.GB")

# What a stub does beside its work. The memory and time that two of them take is the same in every
# attempt: only a larger request lets them succeed.
WORK = {
    "cancelled": "mv once again && scancel ${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID && sleep 60",
    "large": "python3 -c 'import time; held = bytearray(300 << 20); time.sleep(6)'",
    "long": "sleep 100",
}
# Of all tasks the same, as an array has one request.
REQUESTS = """
process { withName: 'SEARCH' {
    memory = { 200.MB * task.attempt }
    time = { [1.min, 2.min, 4.min, 4.min][task.attempt - 1] }
} }
"""


def tools(folder: Path) -> dict[str, str]:
    """Folders with the `mkdir` that stubs call, which does the WORK first: by data set, on PATH."""
    (folder / "once").touch()
    for name, command in WORK.items():
        (folder / name).mkdir()
        (folder / name / "mkdir").write_text(
            f'#!/bin/bash\n(cd {folder} && {command})\nexec /bin/mkdir "$@"\n'
        )
        (folder / name / "mkdir").chmod(0o755)
    return {name: f"export PATH={folder}/{name}:\\$PATH" for name in WORK}


def test_what_slurm_ends_is_retried_with_more(tmp_path, inputs, slurm):
    """scancel, a real time limit, and memory that a job really takes; as an array, with a GPU."""
    run = pipeline(
        *(tmp_path, *inputs("fine", *WORK), *config(tmp_path, REQUESTS, tools(tmp_path)), *SLURM),
        *("--array", 10, "--gpu", "--labels", "team=genomics"),
        env=slurm.env,
    )
    assert run.status == 0, run.text
    trace = attempts(tmp_path, "SEARCH")
    ended = {name: [row["exit"] for row in rows] for name, rows in trace.items()}
    assert ended["fine"] == ["0"]
    # An array task may be killed before its wrapper has written the exit status.
    assert ended["cancelled"] in (["143", "0"], ["-", "0"])
    assert ended["long"][0] in ("143", "-") and ended["long"][1:] == ["140", "0"]
    assert [row["time"] for row in trace["long"]] == ["1m", "2m", "4m"]
    # Slurm kills the job, so that its wrapper may have no exit status to write.
    assert len(ended["large"]) == 2 and ended["large"][1] == "0"
    assert [row["memory"] for row in trace["large"]] == ["200 MB", "400 MB"]
    # First attempts are an array, retries are jobs; all have asked for a GPU, and Slurm knows.
    first = [rows[0]["native_id"] for rows in trace.values()]
    assert len({job.split("_")[0] for job in first}) == 1 and len({*first}) == 4
    for rows in trace.values():
        for row in rows:
            job = slurm.scontrol("show", "job", row["native_id"])
            assert "TresPerNode=gres:gpu:1" in job and "Comment=team=genomics" in job
    (genes,) = attempts(tmp_path, "GENES").values()
    assert "gpu" not in slurm.scontrol("show", "job", genes[0]["native_id"])


def test_a_controller_that_is_down_for_a_minute_is_waited_for(tmp_path, inputs, start, slurm):
    slow = config(tmp_path, before={"a": "sleep 20"})
    run = start(*inputs("a", "b"), *slow, *SLURM, env=slurm.env)
    # A job of `a` runs on; its report cannot be submitted.
    run.wait_for(lambda: "Submitted process > EQUATIONS:SEARCH (a)" in run.text)
    slurm.stop_controller()
    run.wait_for(lambda: "Unable to contact slurm controller" in run.text)
    time.sleep(60)
    assert run.process.poll() is None
    slurm.start_controller()
    assert run.end() == 0, run.text
    assert {len(rows) for rows in attempts(tmp_path, "SEARCH").values()} == {1}
    assert (tmp_path / "results/atlas.html").exists()


def test_a_node_that_is_lost_or_drained(tmp_path, inputs, start, slurm):
    """Jobs of a lost node run again; while a node is drained, jobs wait."""
    before = {"a": "${task.attempt == 1 ? 'touch ' + task.workDir + '/runs; sleep 300' : ''}"}
    run = start(*inputs("a"), *config(tmp_path, before=before), *SLURM, env=slurm.env)
    run.wait_for(lambda: [*tmp_path.glob("work/*/*/runs")])
    slurm.lose_node()
    slurm.wait("down")
    slurm.start_node()
    slurm.wait("idle")
    slurm.scontrol("update", f"nodename={slurm.host}", "state=drain", "reason=test")
    run.wait_for(lambda: "Re-submitted process > EQUATIONS:SEARCH (a)" in run.text)
    time.sleep(5)
    assert "DISTILL" not in run.text
    slurm.scontrol("update", f"nodename={slurm.host}", "state=resume")
    assert run.end() == 0, run.text
    assert [row["exit"] for row in attempts(tmp_path, "SEARCH")["a"]] == ["-", "0"]


def test_a_partition_that_does_not_exist_ends_the_run(tmp_path, inputs, slurm):
    run = pipeline(
        *(tmp_path, *inputs("a"), *config(tmp_path), *SLURM, "--queue", "nosuch"), env=slurm.env
    )
    assert run.status == 1
    assert re.search("could not be submitted in GENES .*nvalid partition", summary(run.text)[1])


def test_after_nextflow_was_killed_its_jobs_are_cancelled_and_the_rest_is_resumed(
    tmp_path, inputs, start, slurm
):
    """By the commands of docs/running.md."""
    slow = {"a": "${task.attempt == 1 ? 'sleep 600' : ''}"}
    given = (*inputs("a", "b"), *SLURM)
    run = start(*given, *config(tmp_path, before=slow), env=slurm.env)
    run.wait_for(lambda: [*tmp_path.glob("results/datasets/b/report")])
    run.kill()
    documented = (ROOT / "docs/running.md").read_text()
    (cancel,) = re.findall(r"^squeue --me .*scancel$", documented, re.MULTILINE)
    slurm.shell(cancel, tmp_path)
    while slurm.shell("squeue --me --noheader", tmp_path).strip():
        time.sleep(0.5)
    again = pipeline(tmp_path, *given, *config(tmp_path), "-resume", env=slurm.env)
    assert again.status == 0, again.text
    assert {"SEARCH (a)", "DISTILL (a)", "REPORT (a)"} < {*again.submitted}
    assert {"SEARCH (b)", "DISTILL (b)", "REPORT (b)"} < {*again.cached}


def test_the_demo_runs_in_arrays_that_ask_for_a_gpu(tmp_path, slurm):
    """The real stages; what is planted in 3,000 genes and in the loci is found."""
    folder = tmp_path / "run"
    folder.mkdir()
    limits = ("--max_time", "30.min", "--max_memory", "3.GB")
    given = ("-profile", "demo,slurm", *limits, "--array", 10, "--gpu", *config(folder))
    demo(folder, *given, env=slurm.env)
    found = json.loads((folder / "results/recovery.json").read_text())
    assert len(found) == 6 and all(entry["recovered"] for entry in found), found
    for stage, gpu in (("SEARCH", True), ("DISTILL", False), ("SCORE", True)):
        jobs = [rows[-1]["native_id"] for rows in attempts(folder, stage).values()]
        for job in jobs:
            text = slurm.scontrol("show", "job", job)
            assert "JobState=COMPLETED" in text
            assert ("TresPerNode=gres:gpu:1" in text) == gpu
        # Of the two data sets; a single task is a job of its own.
        assert stage == "SCORE" or (len(jobs) == 2 and len({j.split("_")[0] for j in jobs}) == 1)
