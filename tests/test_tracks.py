"""Tracks of profile models: read, chosen and named; Borzoi's transform is undone."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from geneq.errors import GeneqError
from geneq.oracles import load_oracle
from geneq.oracles.borzoi import Unsquash
from geneq.oracles.pretrained import read_config
from geneq.oracles.tracks import chosen_tracks, read_tracks, track_names

TABLE = pd.DataFrame(
    {
        "identifier": ["C1+", "C1-", "E2", "E3", "E3"],
        "description": ["CAGE:liver, adult", "CAGE:liver, adult", "DNASE:K562", "", "[x]"],
    }
)


@pytest.mark.parametrize(
    "wanted, places",
    [
        ("", [0, 1, 2, 3, 4]),
        ("CAGE:*", [0, 1]),
        ("E2, C1-", [1, 2]),
        ("E3", [3, 4]),
        ("CAGE:liver? adult", [0, 1]),
    ],
)
def test_tracks_are_chosen_by_identifier_description_or_pattern(wanted, places):
    assert chosen_tracks(TABLE, wanted, "table").tolist() == places


def test_tracks_are_chosen_by_a_file(tmp_path):
    listed = tmp_path / "mine.txt"
    listed.write_text("\nCAGE:liver, adult\n E2 \n")
    assert chosen_tracks(TABLE, "@mine.txt", tmp_path).tolist() == [0, 1, 2]
    listed.write_text("\n")
    with pytest.raises(GeneqError, match="must not be empty"):
        chosen_tracks(TABLE, "@mine.txt", tmp_path)
    with pytest.raises(GeneqError, match="not found"):
        chosen_tracks(TABLE, "@absent", tmp_path)


def test_a_pattern_without_a_track_is_an_error():
    with pytest.raises(GeneqError, match=r"No track.*'RNA:\*'"):
        chosen_tracks(TABLE, "E2,RNA:*", "table")


def test_names_of_tracks_differ():
    assert track_names(TABLE) == [
        "CAGE:liver, adult (C1+)", "CAGE:liver, adult (C1-)", "DNASE:K562", "E3", "[x]",
    ]  # fmt: skip
    twice = pd.concat([TABLE, TABLE.iloc[2:3]], ignore_index=True)
    assert track_names(twice)[2:] == ["DNASE:K562 (E2) #2", "E3", "[x]", "DNASE:K562 (E2) #5"]


def test_a_table_of_tracks_is_checked(tmp_path):
    path = tmp_path / "targets.txt"
    TABLE.to_csv(path, sep="\t")
    assert read_tracks(path, 5)["description"].tolist() == TABLE["description"].tolist()
    with pytest.raises(GeneqError, match=r"5 rows, 4 outputs"):
        read_tracks(path, 4)
    TABLE.drop(columns="identifier").to_csv(path, sep="\t")
    with pytest.raises(GeneqError, match="lacks columns: 'identifier'"):
        read_tracks(path, 5)
    path.write_bytes(b"")
    with pytest.raises(GeneqError, match="Not a table of tracks"):
        read_tracks(path, 5)


@pytest.mark.parametrize("prime", [False, True], ids=["borzoi", "prime"])
def test_the_transform_of_coverage_is_undone(prime):
    table = pd.DataFrame(
        {
            "clip_soft": [32.0, 384.0, 5.0],
            "scale": [0.3, 2.0, 1.0],
            "sum_stat": ["sum_sqrt", "sum", "mean"],
        }
    )
    coverage = np.random.default_rng(1).gamma(0.5, 400, (2, 50, 3))
    clip, scale = table["clip_soft"].to_numpy(), table["scale"].to_numpy()
    power, shift = np.array([0.75, 1, 1]), float(prime)
    squashed = (coverage * (scale if prime else 1) + shift) ** power - shift
    soft = clip - shift + np.sqrt(np.maximum(squashed - clip + shift, 0))
    assert (squashed > clip).any() and (squashed <= clip).any()
    squashed = np.where(squashed > clip, soft, squashed) * (1 if prime else scale)
    found = Unsquash(table, prime)(torch.from_numpy(squashed).float()).numpy()
    np.testing.assert_allclose(found, coverage, rtol=2e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["enformer", "borzoi"])
def test_a_missing_package_is_named(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, f"{name}_pytorch", None)
    with pytest.raises(GeneqError, match=f"oracle {name}: needs .*geneq-environment {name}"):
        load_oracle(f"{name}:{tmp_path}")


def test_config_json_is_checked(tmp_path):
    with pytest.raises(GeneqError, match=r"no config\.json"):
        read_config(tmp_path)
    for text in ("{", "[1]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(GeneqError, match=r"JSON file|must be an object"):
            read_config(tmp_path)
