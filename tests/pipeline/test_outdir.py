"""The folder of the results: one run at a time writes to it, and it has to be writable."""

import json
import os
import re
import socket
import subprocess
import time

import pytest

from .conftest import ROOT, pipeline, with_lib

LOCK = ".geneq.lock"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "r.json").touch()
    (tmp_path / "sheet.csv").write_text("experiment,recipe,oracle\nx,r.json,motifs:core\n")
    return tmp_path


def stub(folder, *words, **options):
    """A run with stubs in place of the stages."""
    return pipeline(folder, "-stub", "--experiments", "sheet.csv", *words, **options)


def start(folder, *words):
    """A run that goes on until it is stopped, once it has locked results/."""
    (folder / "slow.config").write_text("process.beforeScript = 'sleep 600'\n")
    run = subprocess.Popen(
        [ROOT / "bin" / "geneq-nextflow", "-log", "first.log", "run", ROOT / "main.nf", "-stub",
         "-c", "slow.config", "--experiments", "sheet.csv", "-work-dir", "first", *words],
        cwd=folder, env={**os.environ, "NXF_ANSI_LOG": "false"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    lock = folder / "results" / LOCK
    while not (lock.exists() and list((folder / "first").glob("*/*/.command.begin"))):
        assert run.poll() is None
        time.sleep(0.2)
    return run


def kill_tasks(folder):
    """Stop the tasks that a killed run of `start` left behind."""
    for path in folder.glob("first/*/*"):
        subprocess.run(["pkill", "-f", str(path)], check=False)


def test_a_second_run_into_the_same_folder_is_refused_and_harms_nothing(folder):
    first = start(folder)
    try:
        (trace,) = (folder / "results/pipeline_info").glob("trace-*.txt")
        before = trace.read_text()
        time.sleep(1)
        second = stub(folder)
        assert second.status != 0 and second.submitted == []
        lock = json.loads((folder / "results" / LOCK).read_text())
        assert lock["pid"] == first.pid
        line = (
            f"Another run is writing to --outdir {folder}/results (host {lock['host']}, "
            f"process {first.pid}, started {lock['started']}). Wait for it, or choose another "
            f"--outdir. If that run no longer exists, remove {folder}/results/{LOCK}"
        )
        assert line in second.text
        assert trace.read_text() == before
        # Elsewhere it may run.
        other = stub(folder, "--outdir", "other")
        assert other.status == 0, other.text
        assert not (folder / "other" / LOCK).exists()
    finally:
        first.terminate()
        first.wait(60)
    # Stopped by a signal, it has unlocked the folder.
    assert not (folder / "results" / LOCK).exists()


def test_the_lock_of_a_run_that_was_killed_is_taken_over(folder):
    first = start(folder)
    first.kill()
    first.wait()
    kill_tasks(folder)
    assert (folder / "results" / LOCK).exists()
    run = stub(folder)
    assert run.status == 0, run.text
    assert f"was killed (process {first.pid}, started " in run.text
    assert (
        f"The last run into {folder}/results was stopped: all results are copied again" in run.text
    )
    assert [path.name for path in (folder / "results").glob(".geneq*")] == []


def test_the_lock_is_removed_when_tasks_fail(folder):
    (folder / "broken.config").write_text("process.beforeScript = 'exit 7'\n")
    run = stub(folder, "-c", "broken.config")
    assert run.status != 0
    assert (folder / "results" / "pipeline_info").exists()
    assert not (folder / "results" / LOCK).exists()


OWNERS = {
    # A run on another machine may be alive.
    "another host": ({"host": "elsewhere", "pid": 1, "started": "2026-01-01T00:00:00Z"}, True),
    # A process that has the number of a run that is gone.
    "another process": ({"host": socket.gethostname(), "pid": os.getpid(), "started": "x"}, False),
    "no process": ({"host": socket.gethostname(), "pid": 2**22 + 1, "started": "x"}, False),
    "no lock of ours": ("nonsense", True),
    "being written": ("", True),
}


@pytest.mark.parametrize("name", OWNERS)
def test_who_holds_a_lock(folder, name):
    owner, refused = OWNERS[name]
    (folder / "results").mkdir()
    text = owner if isinstance(owner, str) else json.dumps(owner)
    (folder / "results" / LOCK).write_text(text)
    run = with_lib(folder, "Outdir.lock(file('results'), { text -> println(text) })")
    if refused:
        assert run.status != 0
        assert "Another run is writing to --outdir" in run.text
        assert (folder / "results" / LOCK).read_text() == text
    else:
        assert run.status == 0, run.text
        assert "was killed (process" in run.text
        assert not (folder / "results" / LOCK).exists()


def test_a_folder_in_an_object_store_is_not_locked(folder):
    # Any file system that is not the machine's own, here a zip file.
    run = with_lib(
        folder,
        """
        def zip = java.net.URI.create("jar:${file('a.zip').toUri()}")
        java.nio.file.FileSystems.newFileSystem(zip, [create: 'true']).withCloseable { store ->
            Outdir.lock(store.getPath('/results'), { text -> println(text) })
            println("CASE ${java.nio.file.Files.exists(store.getPath('/results'))}")
        }
        """,
    )
    assert re.findall("CASE (.*)", run.text) == ["false"], run.text


# --- a folder that cannot be written --------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_named(folder):
    # Below a file, and where not even root makes folders.
    for outdir in (folder / "sheet.csv" / "results", "/proc/none/results"):
        run = stub(folder, "--outdir", outdir)
        assert run.status != 0 and run.submitted == []
        (line,) = [line for line in run.text.splitlines() if line.startswith("ERROR")]
        assert str(outdir).removesuffix("/results") in line


@pytest.fixture
def disk(tmp_path):
    """A small file system of its own; it is full when `fill` is there."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_named_before_anything_is_computed(folder, disk):
    with pytest.raises(OSError):
        (disk / "fill").write_bytes(bytes(2**20))
    run = stub(folder, "--outdir", disk / "results")
    assert run.status != 0 and run.submitted == []
    assert f"Cannot write to --outdir {disk}/results: No space left on device" in run.text
    assert not (disk / "results" / LOCK).exists()


def test_a_read_only_folder_is_named(folder, disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    run = stub(folder, "--outdir", disk / "results")
    assert run.status != 0 and run.submitted == []
    (line,) = [line for line in run.text.splitlines() if line.startswith("ERROR")]
    assert f"{disk}/results" in line and "Read-only file system" in line
