"""The doctor names what decides on results, without setting anything off."""

import platform

import numpy
import torch

from geneq import cli
from geneq._ext import CODE_DIGEST
from geneq.oracles import TYPES
from geneq.oracles.catalogue import CATALOGUE


def test_findings_are_named(capsys):
    assert cli.main(["doctor", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = dict(line.split("  ", 1) for line in lines)
    found = {name.strip(): value.strip() for name, value in found.items()}
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__.split("+")[0]
    assert found["threads"].startswith("1 of ")
    assert found["code digest"] == CODE_DIGEST
    assert "operon" in found["symbolic regression"]
    assert (found["GPU"] == "none") == (not torch.cuda.is_available())


def test_julia_is_looked_for_and_not_installed(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["doctor"]) == 0
    assert "julia                none" in capsys.readouterr().out
    (tmp_path / "julia").write_text("#!/bin/sh\n")
    (tmp_path / "julia").chmod(0o755)
    assert cli.main(["doctor"]) == 0
    assert str(tmp_path / "julia") in capsys.readouterr().out


def test_versions_alone_are_yaml_below_a_name(capsys):
    assert cli.main(["doctor", "--versions", "GENES"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "GENES:"
    assert f'  numpy: "{numpy.__version__}"' in lines
    assert all(line.startswith("  ") and line.endswith('"') for line in lines[1:])


def test_oracles_are_listed_with_what_they_need(capsys):
    assert cli.main(["doctor", "--oracles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert kinds[: len(TYPES)] == list(CATALOGUE)
    assert sorted(CATALOGUE) == sorted(TYPES)
    sei = lines[lines.index("sei:FOLDER or FOLDER:profiles") :][:4]
    assert "projvec_targets.npy" in sei[1] and "zenodo.4906996" in sei[3]
