"""How many of something were dropped and why, with a few examples."""

from collections.abc import Iterable
from itertools import islice

__all__ = ["EXAMPLES", "Tally", "print_counts"]

EXAMPLES = 5


class Tally:
    """Counts by reason, each with the first few examples."""

    def __init__(self) -> None:
        self._found: dict[str, dict] = {}

    def add(self, reason: str, *examples: str) -> None:
        """Count each of `examples` under `reason`."""
        self.add_many(reason, len(examples), examples)

    def add_many(self, reason: str, n: int, examples: Iterable[str]) -> None:
        """Count `n` under `reason`; `examples` are at least the first few of them."""
        found = self._found.setdefault(reason, {"n": 0, "examples": []})
        found["n"] += n
        missing = EXAMPLES - len(found["examples"])
        found["examples"] += map(str, islice(examples, missing))

    def add_all(self, reason: str, examples: Iterable[str]) -> None:
        """Count each of `examples` under `reason`; without any, the reason is not listed."""
        examples = list(examples)
        if examples:
            self.add(reason, *examples)

    def count(self, reason: str) -> int:
        """How many were counted under `reason`."""
        return self._found.get(reason, {"n": 0})["n"]

    def as_dict(self) -> dict[str, dict]:
        """{reason: {"n": int, "examples": at most 5 of them}}."""
        return self._found


def print_counts(what: str, counts: dict[str, dict]) -> None:
    """Print a line for each reason of `Tally.as_dict`, with an example; `what` was done."""
    for reason, found in counts.items():
        print(f"{what}: {found['n']:,} {reason} (such as {found['examples'][0]})")
