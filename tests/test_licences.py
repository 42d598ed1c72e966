"""Everything that is shipped may be shipped."""

import json
import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PERMISSIVE = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "Unicode-3.0",
    "Zlib",
}


def crates() -> list[dict]:
    """The crates that are built here, tests included, as cargo describes them."""
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = re.search(r"^host: (\S+)$", version, re.MULTILINE)[1]
    command = ["cargo", "metadata", "--locked", "--offline", "--all-features"]
    done = subprocess.run(
        [*command, "--format-version", "1", "--filter-platform", host],
        cwd=ROOT / "rust_ext",
        capture_output=True,
        text=True,
        check=True,
    )
    metadata = json.loads(done.stdout)
    built = {node["id"] for node in metadata["resolve"]["nodes"]}
    return [package for package in metadata["packages"] if package["id"] in built]


def permitted(expression: str) -> bool:
    """Does an SPDX expression leave a choice of permissive licences alone?

    "A/B" is the old way to write "A OR B".
    """
    parts = re.split(r" AND ", expression.replace("/", " OR "))
    choices = [part.strip("() ").split(" OR ") for part in parts]
    return all(any(choice in PERMISSIVE for choice in part) for part in choices)


def test_every_crate_may_be_shipped():
    found = {crate["name"]: crate["license"] or "none" for crate in crates()}
    assert {"pyo3", "numpy"} <= set(found)
    assert {name: text for name, text in found.items() if not permitted(text)} == {}


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT/Apache-2.0", True),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("none", False),
    ],
)
def test_licences_are_read_as_spdx_means_them(expression, fine):
    assert permitted(expression) is fine


def test_geneq_says_its_own_licence():
    assert distribution("geneq").metadata["License-Expression"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
