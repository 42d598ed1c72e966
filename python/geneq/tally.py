"""What was left out, why, and a few names of it."""

from collections.abc import Iterable

EXAMPLES = 5


class Tally:
    """Counts by reason, each with the first few examples."""

    def __init__(self):
        self._found: dict[str, dict] = {}

    def add(self, reason: str, *examples: str) -> None:
        """Count every one of `examples` under `reason`."""
        found = self._found.setdefault(reason, {"n": 0, "examples": []})
        found["n"] += len(examples)
        room = EXAMPLES - len(found["examples"])
        found["examples"] += map(str, examples[:room])

    def add_all(self, reason: str, examples: Iterable[str]) -> None:
        """Count `examples` under `reason`; a reason that never applied is not listed."""
        examples = list(examples)
        if examples:
            self.add(reason, *examples)

    def count(self, reason: str) -> int:
        """How many were counted under `reason`."""
        return self._found.get(reason, {"n": 0})["n"]

    def as_dict(self) -> dict[str, dict]:
        """{reason: {"n": int, "examples": at most 5 of them}}."""
        return self._found
