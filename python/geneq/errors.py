"""The one exception that users of geneq should see."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# An error names at most so many of the wrong rows.
NAMED = 5
# Characters that move the cursor, end the line or turn the text around where a message is shown.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# The user's name and password in a URL.
LOGIN = re.compile("://[^/\\s'@]+@")


class GeneqError(Exception):
    """Input that breaks a rule.

    The message gives the rule, the value that breaks it, the file that contains it and what to do,
    in that order; parts that do not apply are omitted.

    Parameters
    ----------
    rule : str
        The rule that is broken, or what is wrong.
    value : optional
        The value that breaks the rule.
    file : str or Path, optional
        The file that contains it.
    fix : str, optional
        What the user can do.
    """

    def __init__(self, rule: str, *, value=None, file=None, fix: str | None = None):
        self.rule, self.value, self.file, self.fix = rule, value, file, fix
        message = rule
        if value is not None:
            message += f": {visible(repr(value))}" if isinstance(value, str) else f": {value}"
        if file is not None:
            message += f" (in {visible(str(file))})"
        message = message.rstrip(".") + "."
        if fix:
            message += f" {fix.rstrip('.')}."
        super().__init__(message)


@contextmanager
def in_file(path: str | Path) -> Iterator[None]:
    """Add the name of the file to errors without one."""
    try:
        yield
    except GeneqError as error:
        file = path if error.file is None else error.file
        raise GeneqError(error.rule, value=error.value, file=file, fix=error.fix) from None


def not_found(path: str | Path) -> GeneqError:
    """The error for a file that does not exist, or for a folder in its place."""
    if Path(path).is_dir():
        return GeneqError("A file is needed, and this is a folder", file=path)
    return GeneqError("File not found", file=path)


def visible(text: str) -> str:
    """`text` for a message: control characters are escapes (\\x1b), URLs have no passwords."""
    shown = CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return LOGIN.sub("://…@", shown)


def some(rows: Sequence | np.ndarray) -> str:
    """The first of `rows`, which are numbers or names, and how many more there are."""
    more = f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
    return ", ".join(map(str, rows[:NAMED])) + more


def out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: torch raises its own errors for this, on GPUs and on CPUs."""
    return (
        isinstance(error, MemoryError)
        or "OutOfMemory" in type(error).__name__
        or "can't allocate memory" in str(error)
    )
