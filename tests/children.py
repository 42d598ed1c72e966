"""Child processes that tests send signals to, and those with little memory."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from geneq.errors import GeneqError


def interruptible(command, **options) -> subprocess.Popen:
    """A child that Ctrl-C interrupts, whatever the process that runs the tests does.

    `nohup`, and a shell that puts a job into the background, ignore SIGINT, and children inherit
    that.
    """
    return started(command, signal.SIG_DFL, **options)


def ignoring_interrupts(command, **options) -> subprocess.Popen:
    """A child that is started as a background job is: SIGINT is ignored."""
    return started(command, signal.SIG_IGN, **options)


def started(command, on_interrupt: signal.Handlers, **options) -> subprocess.Popen:
    """A child with pipes for text, and this handler of SIGINT."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, on_interrupt),
        **options,
    )


# --- under a limit of memory ------------------------------------------------------------------


class Ended(NamedTuple):
    """How a call ended: `error` is its GeneqError as text, "" if it returned; and what it took.

    memory: bytes beyond what the process had before.
    """

    error: str
    memory: int
    seconds: float


def limited(memory: int, work: Callable[[], object], modules: Sequence[str] = ()) -> Ended:
    """Call `work` in a child that can allocate `memory` bytes more than it begins with.

    work: a function of a module, or a partial of one. modules: what all children need, imported
    once. Fails if the child crashes, or raises anything but GeneqError.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["geneq.errors", *modules])
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_limited, args=(theirs, memory, work))
    with pytest.MonkeyPatch.context() as patch:  # where the server finds the modules
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        child.start()
    theirs.close()
    try:
        kind, *ended = mine.recv()
    except EOFError:
        child.join()
        raise AssertionError(f"the child crashed: exit status {child.exitcode}") from None
    child.join()
    assert kind == "ended", ended
    return Ended(*ended)


def _limited(answer, memory: int, work: Callable[[], object]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    start, error = time.monotonic(), ""
    try:
        work()
    except GeneqError as refused:
        error = str(refused)
    except BaseException as other:
        answer.send(("raised", repr(other)))
        return
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    answer.send(("ended", error, 1024 * taken, time.monotonic() - start))
