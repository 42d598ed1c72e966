"""How far an equation can be trusted: the documents that `geneq stability` writes."""

from pathlib import Path

from .artifacts import read_json
from .checks import check_format
from .errors import GeneqError

__all__ = ["FORMAT", "VERSION", "read_stability"]

FORMAT, VERSION = "geneq-stability", 1


def read_stability(folder: str | Path, documents: list[dict]) -> list[dict]:
    """The equations/<n>.json of a folder of `geneq stability`, one for each equation.

    documents: of the equations, in order. Raises GeneqError if they are of other equations.
    """
    found = []
    for n, document in enumerate(documents):
        path = Path(folder) / "equations" / f"{n}.json"
        stability = check_format(read_json(path), "a stability", FORMAT, VERSION, path)
        if any(stability[key] != document[key] for key in ("dataset", "cell_type", "infix")):
            raise GeneqError(
                "The stability is that of another equation",
                value=stability["infix"],
                file=path,
                fix="Run geneq stability on the equations of this report",
            )
        found.append(stability)
    return found
