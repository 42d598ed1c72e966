"""Checks of arguments, windows on a command line, and the memory that is available."""

import resource
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from sys import float_info

import numpy as np

from .errors import GeneqError

# Characters of a value that an error shows.
SHOWN = 20


# --- arguments --------------------------------------------------------------------------------


def check_int(value, name: str, least: int, most: int = 2**63 - 1) -> int:
    """`value` as an int in [least, most]. Raises GeneqError, which names it, otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise GeneqError(f"{name} must be a whole number", value=repr(value))
    if not least <= value <= most:
        raise GeneqError(f"{name} must be between {least} and {most}", value=int(value))
    return int(value)


def check_rate(value, name: str) -> float:
    """`value` as a float in [0, 1]. Raises GeneqError, which names it, otherwise."""
    value = check_number(value, name)
    if not 0 <= value <= 1:
        raise GeneqError(f"{name} must be in [0, 1]", value=value)
    return value


def check_number(value, name: str) -> float:
    """`value` as a float, not infinite. Raises GeneqError, which names it, otherwise."""
    plain = value.item() if isinstance(value, np.generic) else value
    is_number = isinstance(plain, int | float) and not isinstance(plain, bool)
    if not is_number or abs(plain) > float_info.max:
        raise GeneqError(f"{name} must be a number", value=short(value))
    return float(plain)


def check_numbers(values, name: str) -> tuple[float, ...]:
    """`values` as floats, not infinite. Raises GeneqError, which names them, otherwise."""
    return tuple(check_number(value, f"Each of {name}") for value in check_list(values, name))


def check_bool(value, name: str) -> bool:
    """`value` as a bool. Raises GeneqError, which names it, otherwise."""
    if not isinstance(value, bool | np.bool_):
        raise GeneqError(f"{name} must be true or false", value=short(value))
    return bool(value)


def check_list(values, name: str) -> list:
    """`values`, a sequence or array, as a list. Raises GeneqError, which names it, otherwise."""
    if isinstance(values, np.ndarray) and values.ndim:
        return values.tolist()
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise GeneqError(f"{name} must be a list", value=short(values))
    return list(values)


def check_buffer(out: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    """Raises GeneqError unless `out` has that shape and dtype and can be filled."""
    if not isinstance(out, np.ndarray):
        raise GeneqError("out must be a NumPy array", value=short(out))
    if out.shape != shape or out.dtype != dtype or not out.flags.carray:
        raise GeneqError(
            f"out must be {dtype} of shape {shape}, C-contiguous, aligned and writeable",
            value=f"{out.dtype} of shape {out.shape}",
        )


def check_memory(size: int, what: str, fix: str) -> None:
    """Raises GeneqError if `size` bytes are not available; the error names `what` they are for."""
    available = available_memory()
    if size > available:
        raise GeneqError(
            "The result is too big for memory",
            value=f"{what} {size / 1e9:,.1f} GB, {available / 1e9:,.1f} GB are available",
            fix=fix,
        )


def check_format(document, what: str, name: str, version: int, file=None) -> dict:
    """`document`, if it is a dict with `format` = name and `version` = version.

    what: the type of file, for errors, such as "a recipe". Raises GeneqError for anything else.
    """
    found = document.get("format") if isinstance(document, dict) else None
    if found != name:
        raise GeneqError(f"Not {what} written by geneq", value=found, file=file)
    if document.get("version") != version:
        raise GeneqError(
            f"This geneq reads {what} of format version {version}",
            value=document.get("version"),
            file=file,
            fix="Install the version of geneq that wrote it, or make the file again",
        )
    return document


def parse_shard(text: str) -> tuple[int, int]:
    """(I, N) from the text I/N. Raises GeneqError unless 1 ≤ I ≤ N."""
    part, slash, parts = text.partition("/")
    if slash and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise GeneqError("--shard must be I/N with 1 ≤ I ≤ N", value=text)


def choices(names) -> str:
    """A hint that lists `names`."""
    return f"There are: {', '.join(sorted(names))}"


def short(value) -> str:
    """`value` as text of limited length, for an error."""
    if isinstance(value, str) and len(value) > SHOWN:
        return f"'{value[:SHOWN]}…' ({len(value):,} symbols)"
    text = repr(value)
    return text if len(text) <= 3 * SHOWN else f"{text[: 3 * SHOWN]}…"


# --- windows on a command line ----------------------------------------------------------------


class WindowError(ArgumentTypeError, ValueError):
    """Not a window; argparse shows the message unchanged."""


def parse_window(text: str) -> tuple[int, int]:
    """The window START-END, 0-based, end excluded. Raises WindowError for anything else."""
    start, dash, end = text.partition("-")
    if not (dash and start.isdecimal() and end.isdecimal()):
        raise WindowError(f"a window is START-END (0-based, end excluded), not {text!r}")
    return int(start), int(end)


def parse_two_windows(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two of them, separated by a comma. Raises WindowError for anything else."""
    windows = parse_windows(text)
    if len(windows) != 2:
        raise WindowError(f"two windows are START-END,START-END, not {text!r}")
    return windows[0], windows[1]


def parse_windows(text: str) -> list[tuple[int, int]]:
    """Windows separated by commas. Raises WindowError for anything else."""
    return [parse_window(part) for part in text.split(",")]


# --- memory -----------------------------------------------------------------------------------


# Files of a container, for both versions of control groups: folder, limit, used, inactive cache.
_GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def available_memory() -> int:
    """Bytes that can be allocated: what the system reports as available, or less under a limit.

    Limits are those of a container and of the process (`ulimit -v`, which some schedulers set).
    """
    found = (_system(), _address_space(), *map(_group, _GROUPS))
    limits = [limit for limit in found if limit is not None]
    return min(limits, default=2**62)


def _system() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        sizes = dict(line.split(":") for line in lines)
        return int(sizes["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # no such file or line
        return None


def _address_space() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        return None
    return max(0, limit - pages * resource.getpagesize())


def _group(group: tuple[str, str, str, str]) -> int | None:
    folder, limit, used, cache = group
    try:
        most, taken = (int(Path(folder, file).read_text()) for file in (limit, used))
        lines = Path(folder, "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no such group, or "max": no limit
        return None
    stat = dict(line.split() for line in lines)
    return max(0, most - taken + int(stat.get(cache, 0)))
