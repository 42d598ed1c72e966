"""The journal of a search: every training that ended, so that a killed search can go on.

A line of JSON for the search, then one for each training. A line that was cut off is ignored.
"""

import json
import os
from pathlib import Path

from ...artifacts import atomic_path
from ...errors import GeneqError

__all__ = ["Journal"]

FORMAT, VERSION = "geneq-search-journal", 1
# What the line of a training has.
ENTRY = {"trial", "epochs", "parameters", "loss", "complexity"}


class Journal:
    """Results of trainings by (trial, epochs); written at once, read when the search starts.

    Parameters
    ----------
    path : Path
    about : dict
        Everything that determines the results, as plain JSON.

    Raises
    ------
    GeneqError
        The file is the journal of another search, or none.
    """

    def __init__(self, path: Path, about: dict):
        self.path = path
        head = {"format": FORMAT, "version": VERSION, **about}
        lines = self._complete_lines()
        if lines:
            self._check(lines[0], head)
        with atomic_path(path) as temporary:  # without a line that was cut off
            temporary.write_text("".join(f"{line}\n" for line in lines or [json.dumps(head)]))
        try:
            entries = [_complete(json.loads(line)) for line in lines[1:]]
            self.results = {(entry["trial"], entry["epochs"]): entry for entry in entries}
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise GeneqError("The journal of the search is damaged", value=str(error), file=path,
                             fix="Delete it to start again") from None  # fmt: skip

    def _complete_lines(self) -> list[str]:
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")[:-1]
        return [line.decode("utf-8", "replace") for line in lines]

    def _check(self, line: str, head: dict) -> None:
        try:
            found = json.loads(line)
            if found.get("format") != FORMAT:
                raise ValueError
        except (ValueError, AttributeError):
            raise GeneqError("Not the journal of a search", file=self.path,
                             fix="Choose another --out") from None  # fmt: skip
        different = sorted(key for key in head.keys() | found.keys()
                           if found.get(key) != head.get(key))  # fmt: skip
        if different:
            raise GeneqError(
                "The journal is of a search with other settings or data",
                value=", ".join(different),
                file=self.path,
                fix="Repeat the search as it was started, or delete the journal to start again",
            )

    def find(self, trial: int, epochs: int, parameters: dict) -> dict | None:
        """The entry of a training, or None where it has not ended."""
        entry = self.results.get((trial, epochs))
        if entry is not None and entry["parameters"] != parameters:
            raise GeneqError(
                "The journal has another network for this trial",
                value=trial,
                file=self.path,
                fix="Delete the journal to start again",
            )
        return entry

    def add(self, entry: dict) -> None:
        """Append an entry, with all of ENTRY."""
        with open(self.path, "a") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _complete(entry: dict) -> dict:
    if entry.keys() != ENTRY:
        raise KeyError(f"an entry has {', '.join(sorted(entry))}")
    return entry
