"""The image is built and run with podman; `make test-containers` runs these tests."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.conftest import ROOT

IMAGE, BASE = "localhost/geneq:cpu", "localhost/debian:bookworm-slim"
# A user without a name and a home folder, who may do nothing that a process needs no right for.
USER = "--user=12345:12345" if os.getuid() == 0 else "--userns=keep-id"
RESTRICTED = (USER, "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none",
              "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp")  # fmt: skip


def output(*command, **options) -> str:
    """What a command prints; an error with all of it where it fails."""
    done = subprocess.run(
        [*map(str, command)], text=True, capture_output=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inside(script: str) -> str:
    """What a shell script prints in the image, as a user without rights, on a read-only root."""
    return output(
        "podman", "run", "--rm", *RESTRICTED, IMAGE, "bash", "-euo", "pipefail", "-c", script
    )


@pytest.fixture(scope="session")
def image() -> str:
    """geneq:cpu of this checkout; on GENEQ_BASE_IMAGE, or a base found or made."""
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    base = os.environ.get("GENEQ_BASE_IMAGE") or found_base()
    output(ROOT / "bin/geneq-image", "cpu", env={**os.environ, "GENEQ_BASE_IMAGE": base})
    return IMAGE


def found_base() -> str:
    def works(*words) -> bool:
        return subprocess.run(["podman", *words], capture_output=True, check=False).returncode == 0

    if works("image", "exists", BASE):
        return BASE
    if works("pull", "--quiet", "debian:bookworm-slim"):
        return "debian:bookworm-slim"
    if not shutil.which("debootstrap"):
        pytest.skip("neither an image registry nor debootstrap has Debian 12")
    output(ROOT / "bin/geneq-image", "base")
    return BASE


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.containers)
