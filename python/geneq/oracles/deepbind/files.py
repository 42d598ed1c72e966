"""The folder of DeepBind's parameters: db.tsv, a table of networks, and params/<ID>.txt.

A parameter file is text, one ``name = values`` a line, values separated by commas.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...checks import short
from ...errors import GeneqError, in_file, not_found

__all__ = ["Collection", "Network", "read_collection", "read_network", "read_networks"]

Row = dict[str, str]
COLUMNS = ("ID", "Protein", "Type", "Species", "Family", "Experiment")
# The type of networks of RNA, whose alphabet is ACGU.
RNA = "RBP"
WHOLE = ("reverse_complement", "num_detectors", "detector_len", "has_avg_pooling", "num_hidden")
LISTS = ("detectors", "thresholds", "weights1", "biases1", "weights2", "biases2")


@dataclass(frozen=True)
class Network:
    """The parameters of a network.

    Attributes
    ----------
    reverse_complement : bool
        Whether its score is the larger one of both strands.
    average : bool
        Whether the mean over positions follows the maximum of each detector.
    detectors : float32[width, 4, detectors]
        Weights by position, base (A, C, G, T) and detector.
    thresholds : float32[detectors]
        Added to what the detectors find.
    weights1, biases1 : float32[features, hidden], float32[hidden]
        The first dense layer; features are detectors, each with maximum and mean if `average`.
        `hidden` is 1 for a network with a single layer.
    weights2, biases2 : float32[hidden], float32[1]
        The second layer; empty in a network with a single one.
    """

    reverse_complement: bool
    average: bool
    detectors: np.ndarray
    thresholds: np.ndarray
    weights1: np.ndarray
    biases1: np.ndarray
    weights2: np.ndarray
    biases2: np.ndarray

    @property
    def width(self) -> int:
        """Positions of a detector."""
        return len(self.detectors)

    @property
    def arrays(self) -> list[np.ndarray]:
        """All parameters that are arrays, in the order of the file."""
        return [getattr(self, name) for name in LISTS]


@dataclass(frozen=True)
class Collection:
    """Networks of a folder.

    names: PROTEIN, or PROTEIN_ID where a protein has several networks in the folder. skipped:
    networks of RNA, which are not read.
    """

    names: list[str]
    networks: list[Network]
    skipped: int


# --- the folder -------------------------------------------------------------------------------


def read_collection(folder: str | Path, terms: str = "") -> Collection:
    """Networks of a folder.

    Parameters
    ----------
    folder : path
        With db.tsv and params/.
    terms : str
        Values of columns of db.tsv, separated by commas, upper or lower case. A network is read if
        it has, in every column that is referred to, one of the values that are given for it. Empty:
        all networks.

    Raises
    ------
    GeneqError
        If the folder or a file is missing or incomplete, or no network of DNA has those values.
    """
    table = Path(folder) / "db.tsv"
    rows = _read_table(table)
    dna = [row for row in rows if row["Type"] != RNA]
    names = _names(dna)
    with in_file(table):
        chosen = _chosen(dna, terms)
    networks = [read_network(table.parent / "params" / f"{dna[i]['ID']}.txt") for i in chosen]
    return Collection([names[i] for i in chosen], networks, len(rows) - len(dna))


def read_networks(folder: str | Path, ids: list[str]) -> list[Network]:
    """The networks with these IDs, in this order; those of RNA too."""
    return [read_network(Path(folder) / "params" / f"{name}.txt") for name in ids]


def _read_table(path: Path) -> list[Row]:
    """Rows of db.tsv; lines that begin with # are comments."""
    if not path.is_file():
        raise GeneqError("A folder of DeepBind networks has db.tsv and params/", file=path,
                         fix="Give the folder as deepbind:FOLDER")  # fmt: skip
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    cells = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    header = cells[0] if cells else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise GeneqError("The table of DeepBind networks lacks columns", value=", ".join(missing),
                         file=path)  # fmt: skip
    short_rows = [row[0] for row in cells if len(row) < len(COLUMNS)]
    if short_rows:
        raise GeneqError("A row of the table has too few columns", value=short_rows[0], file=path)
    rows = [dict(zip(header, row, strict=False)) for row in cells[1:]]
    repeated = [name for name, count in Counter(row["ID"] for row in rows).items() if count > 1]
    if repeated:
        raise GeneqError("IDs of networks must differ", value=repeated[0], file=path)
    return rows


def _names(rows: list[Row]) -> list[str]:
    """Different names: the protein, with the ID where a protein has several networks."""
    count = Counter(row["Protein"] for row in rows)
    return [
        row["Protein"] if count[row["Protein"]] == 1 else f"{row['Protein']}_{row['ID']}"
        for row in rows
    ]


def _chosen(rows: list[Row], terms: str) -> list[int]:
    """Indices of rows with these values, see `read_collection`."""
    wanted: dict[str, set[str]] = {}
    for term in filter(None, (part.strip().lower() for part in terms.split(","))):
        found = [name for name in COLUMNS if any(row[name].lower() == term for row in rows)]
        if not found:
            raise GeneqError("No DeepBind network of DNA has this value in a column",
                             value=term, fix=f"Columns are {', '.join(COLUMNS)}")  # fmt: skip
        wanted.setdefault(found[0], set()).add(term)
    chosen = [
        i
        for i, row in enumerate(rows)
        if all(row[name].lower() in values for name, values in wanted.items())
    ]
    if not chosen:
        raise GeneqError("No DeepBind network of DNA passes the filter", value=terms,
                         fix="Values of different columns must all apply")  # fmt: skip
    return chosen


# --- parameter files --------------------------------------------------------------------------


def read_network(path: str | Path) -> Network:
    """The network of a parameter file.

    Raises
    ------
    GeneqError
        If the file is missing, truncated, or has other parameters than DeepBind 0.1.
    """
    path = Path(path)
    if not path.is_file():
        raise not_found(path)
    with in_file(path):
        found = _parameters(path.read_text(encoding="utf-8", errors="replace"))
        whole = {name: _whole(name, found[name]) for name in WHOLE}
        return _network(whole, {name: _numbers(name, found[name]) for name in LISTS})


def _parameters(text: str) -> dict[str, str]:
    """Name → values, as text."""
    found = {}
    for line in text.splitlines():
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        if name not in WHOLE + LISTS or not equals or name in found:
            raise GeneqError("Unknown or repeated parameter of a DeepBind network",
                             value=short(name))  # fmt: skip
        found[name] = value
    if missing := [name for name in WHOLE + LISTS if name not in found]:
        raise GeneqError("A parameter file is truncated: parameters are missing",
                         value=", ".join(missing), fix="Unpack it again")  # fmt: skip
    return found


def _whole(name: str, text: str) -> int:
    least = {"num_detectors": 1, "detector_len": 2}.get(name, 0)
    most = 1 if name in ("reverse_complement", "has_avg_pooling") else 10_000
    if text.isdecimal() and least <= int(text) <= most:
        return int(text)
    raise GeneqError(f"{name} must be a whole number between {least} and {most}",
                     value=short(text))  # fmt: skip


def _numbers(name: str, text: str) -> np.ndarray:
    """float32 values of a comma list."""
    try:
        values = np.array([float(part) for part in text.split(",")] if text else [], np.float32)
    except ValueError as error:
        raise GeneqError(f"{name} must be numbers", value=str(error)) from None
    if not np.isfinite(values).all():
        raise GeneqError(f"{name} must be finite numbers")
    return values


def _network(whole: dict[str, int], lists: dict[str, np.ndarray]) -> Network:
    """Arrays in their shapes."""
    detectors, hidden = whole["num_detectors"], whole["num_hidden"]
    features = detectors * (1 + whole["has_avg_pooling"])
    shapes: dict[str, tuple[int, ...]] = {
        "detectors": (whole["detector_len"], 4, detectors),
        "thresholds": (detectors,),
        "weights1": (features, max(hidden, 1)),
        "biases1": (max(hidden, 1),),
        "weights2": (hidden,),
        "biases2": (min(hidden, 1),),
    }
    for name, shape in shapes.items():
        if lists[name].size != np.prod(shape, dtype=int):
            raise GeneqError(
                f"{name} must have {np.prod(shape, dtype=int):,} values",
                value=f"{lists[name].size:,}",
                fix="The file is truncated or damaged: unpack it again",
            )
    arrays = {name: lists[name].reshape(shape) for name, shape in shapes.items()}
    return Network(bool(whole["reverse_complement"]), bool(whole["has_avg_pooling"]), **arrays)
