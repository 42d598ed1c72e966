"""The one error a user of geneq should ever see."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Of many wrong rows, how many an error names.
NAMED = 5


class GeneqError(Exception):
    """Input that breaks a rule.

    The message names the rule, the value that breaks it, the file it stands in and what to do,
    in that order; parts that do not apply are left out.
    """

    def __init__(self, rule: str, *, value=None, file=None, fix: str | None = None):
        self.rule, self.value, self.file, self.fix = rule, value, file, fix
        message = rule
        if value is not None:
            message += f": {value!r}" if isinstance(value, str) else f": {value}"
        if file is not None:
            message += f" (in {file})"
        message = message.rstrip(".") + "."
        if fix:
            message += f" {fix.rstrip('.')}."
        super().__init__(message)


@contextmanager
def in_file(path: str | Path) -> Iterator[None]:
    """Put the name of the file into errors that lack it."""
    try:
        yield
    except GeneqError as error:
        file = path if error.file is None else error.file
        raise GeneqError(error.rule, value=error.value, file=file, fix=error.fix) from None


def not_found(path: str | Path) -> GeneqError:
    """The error for a file that does not exist."""
    return GeneqError("File not found", file=path)


def some(rows: Sequence[int]) -> str:
    """The first of `rows`, and how many more there are."""
    more = f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
    return ", ".join(map(str, rows[:NAMED])) + more


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: torch has errors of its own for this, on GPUs and on CPUs."""
    return (
        isinstance(error, MemoryError)
        or "OutOfMemory" in type(error).__name__
        or "can't allocate memory" in str(error)
    )
