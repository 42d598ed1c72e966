"""`geneq …`: exit statuses, messages and help."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from geneq import __version__, cli
from geneq._ext import CODE_DIGEST


def usage_error(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_what_succeeds_exits_with_0(capsys):
    assert cli.main(["doctor", "--code_digest", CODE_DIGEST]) == 0
    assert capsys.readouterr().err == ""


def test_bad_input_exits_with_1_and_one_line(tmp_path):
    command = [sys.executable, "-m", "geneq.cli", "featurize", "--genome_dir", tmp_path]
    done = subprocess.run([*command, "--out", tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"geneq featurize: error: File not found (in {tmp_path}/genes.json).\n"
    assert list(tmp_path.iterdir()) == []


def test_a_small_library_is_warned_of_in_one_line_and_information_is_not_made_up(tmp_path):
    rng = np.random.default_rng(2)
    symbols = rng.choice(list("ACGT"), (15, 8))
    rows = [
        f"{''.join(row)},{number}" for row, number in zip(symbols, rng.normal(size=15), strict=True)
    ]
    (tmp_path / "own.csv").write_text("\n".join(["sequence,y", *rows]) + "\n")
    command = [sys.executable, "-m", "geneq.cli", "surrogate", "--mave", tmp_path / "own.csv"]
    done = subprocess.run([*command, "--replicates", "0", "--out", tmp_path / "out"],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0
    assert re.fullmatch(r"geneq surrogate: warning: There are \d+ training rows .*\n", done.stderr)
    metrics = pd.read_parquet(tmp_path / "out/surrogate_metrics.parquet")
    metrics = metrics.set_index("metric")["value"]
    assert metrics[["i_pred", "i_var"]].isna().all() and metrics["r2"] >= 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9.00 GiB"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_a_command_without_enough_memory_exits_as_if_it_was_killed(monkeypatch, capsys, error):
    def run(args):
        raise error

    monkeypatch.setattr("geneq.tools.doctor.run", run)
    # The pipeline retries this status, with more memory.
    assert cli.main(["doctor"]) == 137
    assert capsys.readouterr().err == f"geneq doctor: error: out of memory: {error}\n"


def test_any_other_error_is_raised(monkeypatch):
    def run(args):
        raise ValueError("wrong")

    monkeypatch.setattr("geneq.tools.doctor.run", run)
    with pytest.raises(ValueError, match="wrong"):
        cli.main(["doctor"])


def test_a_command_that_is_told_to_end_exits_with_130_and_leaves_nothing(tmp_path):
    os.mkfifo(tmp_path / "genes.json")
    command = [sys.executable, "-m", "geneq.cli", "featurize", "--genome_dir", str(tmp_path)]
    with (
        subprocess.Popen(
            [*command, "--out", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True
        ) as process,
        open(tmp_path / "genes.json", "w"),
    ):  # waits until the command reads it
        process.send_signal(signal.SIGTERM)
        _, message = process.communicate(timeout=60)
    assert (process.returncode, message) == (130, "geneq featurize: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["genes.json"]


def test_an_unknown_command_is_bad_usage(capsys):
    message = usage_error(capsys, "nope")
    assert "no command 'nope'; there are: genes, featurize, pseudobulk, search" in message


def test_no_command_is_bad_usage(capsys):
    assert "COMMAND" in usage_error(capsys)


def test_options_are_not_guessed(capsys):
    assert "--genes" not in usage_error(capsys, "simulate", "--gene", "200", "--out", "x")
    assert "unrecognized arguments: --gene 200" in usage_error(
        capsys, "simulate", "--gene", "200", "--out", "x"
    )


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"geneq {__version__}\n"


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    commands = text[text.index("COMMAND\n") : text.index("\noptions:")].splitlines()[1:]
    listed = [line.split()[0] for line in commands if not line.startswith(" " * 5)]
    assert listed == list(cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_and_the_common_options(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: geneq {command}" in text
    assert "--threads" in text
    assert "--code_digest" in text


def test_code_that_is_not_the_checkouts_is_refused(capsys, tmp_path):
    digest = "f" * 64
    arguments = ["simulate", "--out", str(tmp_path / "out"), "--code_digest", digest]
    assert cli.main(arguments) == 1
    message = capsys.readouterr().err
    assert "The installed geneq was built from other code than the checkout" in message
    assert f"(digest {CODE_DIGEST[:12]}, checkout ffffffffffff)" in message
    assert "Rebuild the image or the virtual environment" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("threads", ["0", "-1"])
def test_less_than_one_thread_is_refused(capsys, threads):
    assert cli.main(["doctor", "--threads", threads]) == 1
    assert f"--threads must be at least 1: {threads}" in capsys.readouterr().err


def test_threads_hold_for_torch(capsys):
    before = torch.get_num_threads()
    try:
        assert cli.main(["doctor", "--threads", "1"]) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["'doctor'", "'--help'", "None"])
def test_modules_of_other_commands_are_not_loaded(name):
    code = (
        f"import sys; from geneq import cli; cli._parser({name});"
        "unwanted = ('torch', 'optuna', 'pandas', 'geneq.stages.search', 'geneq.stages.report');"
        "print([name for name in unwanted if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_names_every_command_with_its_summary():
    command = [sys.executable, "-m", "geneq.cli", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in cli.COMMANDS:
        assert re.search(rf"^    {name}\s+\S.{{10}}", done.stdout, re.MULTILINE), name


def test_the_version_is_the_same_everywhere():
    root = Path(__file__).parents[1]
    found = {
        name: re.search(pattern, (root / name).read_text(), re.MULTILINE)[1]
        for name, pattern in {
            "pyproject.toml": r'^version = "(.+)"',
            "rust_ext/Cargo.toml": r'^version = "(.+)"',
            "nextflow.config": r"^    version = '(.+)'",
            "CHANGELOG.md": r"^## (.+)",
        }.items()
    }
    assert set(found.values()) == {__version__}, found
