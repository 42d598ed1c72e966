"""How much memory there is to take."""

from pathlib import Path

# Of a container, for the two versions of control groups: folder, limit, used, cache in use.
_GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def available() -> int:
    """Bytes that can be allocated: what the system says is available, or less in a container."""
    rooms = [room for room in (_system(), *map(_group, _GROUPS)) if room is not None]
    return min(rooms, default=2**62)


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = dict(line.split(":") for line in lines)
        return int(sizes["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # no such file, or the kernel does not say
        return None


def _group(group: tuple[str, str, str, str]) -> int | None:
    folder, limit, used, cache = group
    try:
        limit, used = (int(Path(folder, file).read_text()) for file in (limit, used))
        lines = Path(folder, "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
    stat = dict(line.split() for line in lines)
    return max(0, limit - used + int(stat.get(cache, 0)))
