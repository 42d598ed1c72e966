"""How the pipeline is started in tests: as a user starts it, in a folder of its own."""

import csv
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from geneq import cli

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What a run of Nextflow ended with. text: all that it printed."""

    status: int
    text: str

    @property
    def submitted(self) -> list[str]:
        """Names of the tasks that ran, as `SEARCH (a)`: without the workflow they are in."""
        return re.findall(r"Submitted process > (?:[A-Z]+:)*(.+)", self.text)

    @property
    def cached(self) -> list[str]:
        """Names of the tasks that did not need to run again."""
        return re.findall(r"Cached process > (?:[A-Z]+:)*(.+)", self.text)


def nextflow(folder: Path, *words, timeout: int = 600, env: dict | None = None) -> Run:
    """Run `geneq-nextflow WORDS` in `folder`; `env` is added to the environment."""
    done = subprocess.run(
        [ROOT / "bin" / "geneq-nextflow", *map(str, words)],
        cwd=folder,
        env={**os.environ, "NXF_ANSI_LOG": "false", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    return Run(done.returncode, done.stdout)


def pipeline(
    folder: Path, *words, checkout: Path = ROOT, timeout: int = 600, env: dict | None = None
) -> Run:
    """Run the pipeline of `checkout` in `folder`."""
    return nextflow(folder, "run", checkout / "main.nf", *words, timeout=timeout, env=env)


def demo(folder: Path, *words, **options) -> Run:
    """A run over the data of `make demo`, simulated beside `folder`; it must end well."""
    data = folder.parent / "input"
    if not data.exists():
        assert cli.main(["simulate", "--out", str(data), "--seed", "1"]) == 0
    files = {
        "input": "samplesheet.csv",
        "fasta": "genome.fa.gz",
        "gtf": "genes.gtf",
        "loci": "loci.csv",
        "vcf": "variants.vcf",
        "truth": "truth.parquet",
    }
    given = [f"--{name}={data / file}" for name, file in files.items()]
    run = pipeline(folder, *words, *given, "--outdir", "results", timeout=7200, **options)
    assert run.status == 0, run.text
    return run


def with_lib(folder: Path, script: str) -> Run:
    """Run `script`, the body of a workflow that uses the classes in lib/."""
    (folder / "lib").symlink_to(ROOT / "lib")
    (folder / "main.nf").write_text(f"workflow {{\n{script}\n}}\n")
    return nextflow(folder, "run", folder / "main.nf")


def attempts(folder, process):
    """Rows of the trace of `process`, by data set, in the order of attempts."""
    found = {}
    (trace,) = (folder / "results/pipeline_info").glob("trace-*.txt")
    with open(trace) as file:
        for row in csv.DictReader(file, delimiter="\t"):
            stage, _, tag = row["name"].split(":")[-1].partition(" ")
            if stage == process:
                found.setdefault(tag.strip("()"), []).append(row)
    return {tag: sorted(rows, key=lambda row: int(row["attempt"])) for tag, rows in found.items()}


def summary(text):
    """The lines of the summary of a run, without the rest of what Nextflow prints."""
    (found,) = re.findall(r"ERROR ~ ((?:Without|The run|Some tasks).*?)\n\n", text, re.DOTALL)
    return found.splitlines()


def failure(text, dataset):
    """The line of the summary about a data set, and the work folder that follows it."""
    lines = summary(text)
    (place,) = (k for k, line in enumerate(lines) if line.startswith(f"  {dataset} "))
    return lines[place].strip(), Path(lines[place + 1].removeprefix("    work folder: "))


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.pipeline)
