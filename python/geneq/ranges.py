"""Windows as they stand on a command line: START-END, 0-based, the end excluded."""


def window(text: str) -> tuple[int, int]:
    """One window. Raises ValueError for anything else."""
    start, end = text.split("-")
    return int(start), int(end)


def two_windows(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two of them. Raises ValueError for anything else."""
    one, other = windows(text)
    return one, other


def windows(text: str) -> list[tuple[int, int]]:
    """Windows with commas between them."""
    return [window(part) for part in text.split(",")]
