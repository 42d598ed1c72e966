"""How much memory there is to take, from files such as Linux has."""

from pathlib import Path

import pytest

from geneq import checks

GB = 10**9
SYSTEM = {"proc/meminfo": "MemTotal:  20000000 kB\nMemAvailable:   8000000 kB\nHugePages_Free: 0\n"}
V2 = "sys/fs/cgroup/"
V1 = "sys/fs/cgroup/memory/"


def group(folder: str, limit, used: int, cache: int) -> dict[str, str]:
    """Files of a control group of either version."""
    limits, usage, idle = {
        V2: ("memory.max", "memory.current", "inactive_file"),
        V1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    }[folder]
    stat = f"anon 7\ninactive_anon 1\n{idle} {cache}\n"
    return {
        folder + limits: f"{limit}\n",
        folder + usage: f"{used}\n",
        folder + "memory.stat": stat,
    }


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Lay out files under another root, where the module then looks."""

    def lay_out(contents: dict[str, str]) -> None:
        for name, content in contents.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    monkeypatch.setattr(checks, "Path", lambda *parts: tmp_path / Path(*parts).relative_to("/"))
    return lay_out


@pytest.mark.parametrize(
    ("contents", "wanted"),
    [
        ({}, 2**62),
        (SYSTEM, 8_000_000 * 1024),
        (SYSTEM | group(V2, "max", 3 * GB, GB), 8_000_000 * 1024),
        (SYSTEM | group(V2, 5 * GB, 3 * GB, GB), 3 * GB),
        (SYSTEM | group(V2, 50 * GB, 3 * GB, GB), 8_000_000 * 1024),
        (group(V2, 5 * GB, 3 * GB, 0), 2 * GB),
        (group(V2, 5 * GB, 6 * GB, 0), 0),
        (SYSTEM | group(V1, 4 * GB, 3 * GB, GB // 2), 3 * GB // 2),
        (SYSTEM | group(V1, 9223372036854771712, 3 * GB, 0), 8_000_000 * 1024),
        (group(V2, 5 * GB, GB, 0) | group(V1, 4 * GB, 2 * GB, 0), 2 * GB),
        ({**group(V2, 5 * GB, 3 * GB, 0), V2 + "memory.stat": "anon 5\n"}, 2 * GB),
        ({"proc/meminfo": "MemTotal:  20000000 kB\n"}, 2**62),
        ({"proc/meminfo": ""}, 2**62),
    ],
)
def test_what_is_available_is_the_least_that_the_system_and_the_container_leave(
    files, contents, wanted
):
    files(contents)
    assert checks.available_memory() == wanted


def test_here_there_is_some():
    assert 2**20 < checks.available_memory() <= 2**62
