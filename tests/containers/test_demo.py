"""The demo in a container has the results of the demo outside, byte for byte."""

import io
import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.conftest import demo
from pipeline.test_run import files

from .conftest import IMAGE, RESTRICTED


@pytest.fixture
def folder(tmp_path_factory):
    """Users of containers may pass through it."""
    folder = tmp_path_factory.mktemp("demo")
    folder.chmod(0o711)
    return folder


def results(folder: Path) -> dict[Path, bytes]:
    """All files but those about the run itself: times, versions of Python."""
    return {name: data for name, data in files(folder).items() if name.parts[0] != "pipeline_info"}


def same(name: Path, one: bytes, other: bytes) -> bool:
    """Byte for byte; of npz files the arrays, as versions of Python write other zip headers."""
    if name.suffix != ".npz" or one == other:
        return one == other
    arrays = [np.load(io.BytesIO(data)) for data in (one, other)]
    return arrays[0].files == arrays[1].files and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in zip(*(found.values() for found in arrays), strict=True)
    )


def test_the_demo_in_a_container_has_the_same_results(image, folder):
    """In it as a user without rights, on a read-only root; this user writes the task's folder."""
    (folder / "outside").mkdir()
    demo(folder / "outside", "-profile", "demo")
    (folder / "inside").mkdir()
    (folder / "inside/site.config").write_text(f"podman.runOptions = '{' '.join(RESTRICTED)}'\n")
    umask = os.umask(0)
    try:
        demo(folder / "inside", "-profile", "demo,podman", "-c", "site.config")
    finally:
        os.umask(umask)

    tasks = [path.parent for path in folder.glob("inside/work/*/*/.command.run")]
    assert len(tasks) > 10
    assert all(IMAGE in (task / ".command.run").read_text() for task in tasks)
    user = 12345 if os.getuid() == 0 else os.getuid()
    assert {(task / "versions.yml").stat().st_uid for task in tasks} == {user}
    outside, inside = results(folder / "outside/results"), results(folder / "inside/results")
    assert {*inside} == {*outside}
    assert len(inside) > 50
    assert [str(name) for name in inside if not same(name, inside[name], outside[name])] == []
