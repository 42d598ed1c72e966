"""Set-up says plainly, and all at once, what a machine lacks."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("bash", "cat", "dirname", "grep", "head", "sed", "sort")


@pytest.fixture
def checkout(tmp_path):
    """A copy of what set-up reads before it makes anything; a PATH with common tools only."""
    for name in ("bin/geneq-setup", "rust_ext/Cargo.toml", "locks/dev.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "path").mkdir()
    for tool in TOOLS:
        (tmp_path / "path" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def setup(checkout, **versions):
    """Run set-up where each command named prints what it is given; what it says."""
    for name, text in versions.items():
        command = checkout / "path" / name
        command.write_text(f"#!/bin/bash\necho '{text}' >&2\n")
        command.chmod(0o755)
    done = subprocess.run(
        [checkout / "bin/geneq-setup"],
        env={"PATH": str(checkout / "path")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".tools").exists()
    return done.stderr


def test_everything_that_is_missing_is_named(checkout):
    text = setup(checkout)
    for name in ("Python >= 3.11", "Rust >= 1.", "cargo", "a C linker", "Java >= 17", "Maven"):
        assert f"\n  {name}" in text
    assert text.count(" is missing: ") == 6


def test_what_is_too_old_is_named_with_its_version(checkout):
    text = setup(
        checkout,
        python3="Python 3.9.2",
        rustc="rustc 1.63.0",
        cargo="",
        cc="",
        java='openjdk version "11.0.2" 2019-01-15',
        nextflow="nextflow version 23.10.1.5891",
    )
    assert "Python >= 3.11 is needed, here is 3.9.2: apt-get install python3" in text
    assert "here is 1.63.0: install Rust with rustup" in text
    assert "Java >= 17 is needed, here is 11.0.2" in text
    assert "Maven is missing: apt-get install maven; it installs Nextflow" in text


def test_maven_is_not_asked_for_where_a_nextflow_does(checkout):
    text = setup(checkout, nextflow="nextflow version 25.04.6.5954")
    assert "Maven" not in text
    assert "Java >= 17 is missing" in text


def test_every_lock_file_is_made_by_make_locks():
    script = (ROOT / "bin/geneq-locks").read_text()
    made = {line.split()[1] for line in script.splitlines() if line.startswith("pin ")}
    assert made == {path.stem for path in ROOT.glob("locks/*.txt")} - {"torch-cpu"}
