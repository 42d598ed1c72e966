"""How far a long computation is: lines on stderr with the rate and the time that is left."""

import sys
import time

__all__ = ["Progress", "duration"]

# Seconds between two lines.
EVERY = 30.0
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def duration(seconds: float) -> str:
    """A time in its two largest units: 2 d 3 h, 3 h 20 min, 4 min 10 s, 12 s, under 1 s."""
    rest = round(seconds)
    if not rest:
        return "under 1 s"
    parts: list[tuple[int, str]] = []
    for unit, size in UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count:,} {unit}" for count, unit in parts[:2] if count)


class Progress:
    """Counts what is done; prints a line at most every EVERY seconds.

    Parameters
    ----------
    name : str
        What is computed.
    total : int
        How much there is to do.
    unit : str
        What is counted, plural.
    """

    def __init__(self, name: str, total: int, unit: str):
        self.name, self.total, self.unit = name, total, unit
        self.done, self._start = 0, time.monotonic()
        self._last = self._start

    def add(self, count: int) -> None:
        """`count` more are done."""
        self.done += count
        now = time.monotonic()
        if now - self._last >= EVERY and self.done:
            self._last = now
            rate = self.done / (now - self._start)
            left = duration((self.total - self.done) / rate)
            print(f"{self.name}: {self.done:,} of {self.total:,} {self.unit}, "
                  f"{rate:,.3g} a second, {left} left", file=sys.stderr, flush=True)  # fmt: skip
