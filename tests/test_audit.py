"""`make audit`: what was not checked never counts as free of vulnerabilities."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = len([*ROOT.glob("locks/*.txt")])
KNOWN = {"name": "x", "version": "1", "vulns": [{"id": "CVE-1"}]}
CLEAN = {"name": "y", "version": "2", "vulns": []}
# What pip-audit reports, with exit status 0, where the registry is a mirror without advisories.
SKIPPED = {"name": "z", "skip_reason": "Dependency not found"}
CRATE = {"package": {"name": "c", "version": "3"}, "advisory": {"id": "RUSTSEC-1"}}


@pytest.fixture
def tool(tmp_path):
    """Put a command on PATH that prints a report, or writes it to --output."""

    def put(name, report):
        code = (
            f"#!{sys.executable}\nimport sys\nreport = {json.dumps(report)!r}\n"
            "out = [w.removeprefix('--output=') for w in sys.argv if w.startswith('--output=')]\n"
            "open(out[0], 'w').write(report) if out else print(report)\n"
        )
        (tmp_path / name).write_text(code)
        (tmp_path / name).chmod(0o755)

    return put


def audit(path):
    done = subprocess.run(
        [sys.executable, ROOT / "bin/geneq-audit"],
        env={**os.environ, "PATH": str(path)}, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_without_the_tools_nothing_was_checked(tmp_path):
    status, text = audit(tmp_path)
    assert status == 3
    assert text.count("pip-audit is not installed") == LOCKS
    assert "not checked: Cargo.lock: cargo-audit is not installed" in text


@pytest.mark.parametrize(
    ("packages", "crates", "status", "line"),
    [
        ([CLEAN], [], 0, "no known vulnerabilities"),
        ([CLEAN, KNOWN], [], 1, "runtime.txt: x 1: CVE-1"),
        ([CLEAN], [CRATE], 1, "Cargo.lock: c 3: RUSTSEC-1"),
        ([CLEAN, SKIPPED], [], 3, "not checked: runtime.txt: 1 packages: z"),
        ([KNOWN, SKIPPED], [], 1, "not checked: dev.txt: 1 packages: z"),
    ],
)
def test_the_status_says_what_was_found_and_what_was_not_checked(
    tmp_path, tool, packages, crates, status, line
):
    tool("pip-audit", {"dependencies": packages})
    tool("cargo-audit", {"vulnerabilities": {"list": crates}})
    found, text = audit(tmp_path)
    assert found == status and f"audit: {line}\n" in text
