"""Child processes that tests send signals to."""

import signal
import subprocess


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
