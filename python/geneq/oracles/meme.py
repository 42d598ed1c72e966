"""Motif files in the MEME format, and families of similar motifs."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import GeneqError, not_found

PSEUDOCOUNT = 0.01


@dataclass(frozen=True)
class MotifMatrix:
    """A motif: `name` and `probabilities`, float64[width, 4] (A, C, G, T), rows summing to 1."""

    name: str
    probabilities: np.ndarray

    @property
    def width(self) -> int:
        return len(self.probabilities)

    def log_odds(self) -> np.ndarray:
        """float32[width, 4]: ln(p / 0.25), a pseudocount of 0.01 spread over the symbols of p."""
        p = (self.probabilities + PSEUDOCOUNT / 4) / (1 + PSEUDOCOUNT)
        return np.log(p / 0.25).astype(np.float32)


def read_meme(path: str | Path) -> list[MotifMatrix]:
    """Read a MEME motif file (version 4 or 5 text, plain or gzip).

    Raises GeneqError: not MEME text, another alphabet, no motif, a matrix that is cut short or
    whose rows are no probabilities, two motifs of one name.
    """
    lines = _lines(path)
    if not any(line.startswith("MEME version") for line in lines[:50]):
        raise GeneqError(
            "A motif file must be MEME text, beginning with 'MEME version'",
            file=path,
            fix="Convert it, e.g. with the MEME suite's *2meme programs",
        )
    alphabets = [line.split("=", 1)[1].strip() for line in lines if line.startswith("ALPHABET=")]
    if alphabets and alphabets[0] != "ACGT":
        raise GeneqError("The motifs' alphabet must be ACGT", value=alphabets[0], file=path)
    starts = [i for i, line in enumerate(lines) if line.startswith("MOTIF")]
    if not starts:
        raise GeneqError("A motif file must hold at least one MOTIF", file=path)
    motifs = [
        _motif(lines[i:j], i + 1, path)
        for i, j in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]
    names = [motif.name for motif in motifs]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise GeneqError("Motif names must differ", value=sorted(repeated)[0], file=path)
    return motifs


def _lines(path: str | Path) -> list[str]:
    try:
        data = Path(path).read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8").splitlines()
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise GeneqError("Not a readable motif file", value=str(error), file=path) from None


def _motif(block: list[str], line: int, path) -> MotifMatrix:
    """The motif whose `MOTIF` line is `block[0]`, at `line` (1-based) of the file."""
    words = block[0].split()
    if len(words) < 2:
        raise GeneqError("MOTIF must be followed by a name", value=f"line {line}", file=path)
    name = words[1]
    heads = [i for i, text in enumerate(block) if text.startswith("letter-probability matrix")]
    if not heads:
        raise GeneqError("A motif needs a letter-probability matrix", value=name, file=path)
    rows = []
    for text in block[heads[0] + 1 :]:
        numbers = text.split()
        if len(numbers) != 4:
            break
        rows.append([_number(number) for number in numbers])
    matrix = np.array(rows, dtype=np.float64).reshape(-1, 4)
    width = _stated_width(block[heads[0]], name, path)
    if len(matrix) == 0 or (width is not None and width != len(matrix)):
        raise GeneqError(
            f"The matrix of motif {name} must have {width or 'at least one'} rows of 4 numbers",
            value=f"{len(matrix)} rows",
            file=path,
        )
    if not (np.all(matrix >= 0) and np.allclose(matrix.sum(1), 1, atol=0.02)):
        raise GeneqError(
            "Rows of a letter-probability matrix must be probabilities that sum to 1",
            value=name,
            file=path,
        )
    return MotifMatrix(name, matrix / matrix.sum(1, keepdims=True))


def _stated_width(head: str, name: str, path) -> int | None:
    words = head.replace("=", "= ").split()
    if "w=" not in words:
        return None
    stated = words[words.index("w=") + 1 :][:1]
    if not stated or not stated[0].isdecimal():
        raise GeneqError(
            f"The width (w=) of motif {name} must be a whole number", value=head, file=path
        )
    return int(stated[0])


def _number(text: str) -> float:
    """The number that `text` spells, NaN for none."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def families(motifs: list[MotifMatrix], most: int) -> list[tuple[str, list[int]]]:
    """Group motifs into at most `most` families: (name, indices into `motifs`), in file order.

    With no more motifs than that, each is its own family. Otherwise Ward's clustering of the
    motifs as unit vectors whose inner product is the largest cosine of two log-odds matrices over
    all offsets and both strands (symbols beyond an end count as background, so short overlaps
    score low). A family bears the name of the member most similar to the others.
    """
    if len(motifs) <= most:
        return [(motif.name, [i]) for i, motif in enumerate(motifs)]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    similarity = motif_similarity(motifs)
    distance = squareform(np.sqrt(2 - 2 * similarity), checks=False)
    label = fcluster(linkage(distance, "ward"), most, criterion="maxclust")
    groups = [np.flatnonzero(label == group) for group in dict.fromkeys(label)]
    return [
        (motifs[members[similarity[np.ix_(members, members)].sum(1).argmax()]].name, list(members))
        for members in groups
    ]


def motif_similarity(motifs: list[MotifMatrix]) -> np.ndarray:
    """float64[n, n]: largest cosine of two log-odds matrices over offsets and strands."""
    import torch

    width = max(motif.width for motif in motifs)
    kernels = torch.zeros(len(motifs), 4, width)
    for kernel, motif in zip(kernels, motifs, strict=True):
        kernel[:, : motif.width] = torch.from_numpy(motif.log_odds().T)
    norm = kernels.flatten(1).norm(dim=1)
    kernels /= norm.clamp(min=1e-6)[:, None, None]  # 0 where every symbol is as background
    padded = torch.nn.functional.pad(kernels, (width - 1, width - 1))
    forward = torch.nn.functional.conv1d(padded, kernels).amax(2)
    reverse = torch.nn.functional.conv1d(padded, kernels.flip(1, 2)).amax(2)
    best = torch.maximum(forward, reverse).double().numpy()
    best = np.clip(np.maximum(best, best.T), 0, 1)
    np.fill_diagonal(best, 1)
    return best
