"""MotifMatrix files in the MEME format, and families of similar motifs."""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import GeneqError, not_found
from ..genome import open_maybe_gzip
from ..sizes import check_text
from .clusters import clusters

__all__ = ["MotifMatrix", "families", "motif_similarity", "read_meme"]

DNA = "ACGT"
PSEUDOCOUNT = 0.01


@dataclass(frozen=True)
class MotifMatrix:
    """A motif.

    Attributes
    ----------
    name : str
    probabilities : np.ndarray
        float64[width, 4] (A, C, G, T); rows sum to 1.
    """

    name: str
    probabilities: np.ndarray

    @property
    def width(self) -> int:
        """Number of positions."""
        return len(self.probabilities)

    def log_odds(self) -> np.ndarray:
        """float32[width, 4]: ln(p / 0.25), with a pseudocount of 0.01 spread over the bases."""
        p = (self.probabilities + PSEUDOCOUNT / 4) / (1 + PSEUDOCOUNT)
        return np.log(p / 0.25).astype(np.float32)


def read_meme(path: str | Path) -> list[MotifMatrix]:
    """Read a MEME motif file.

    Parameters
    ----------
    path : str or Path
        MEME text of version 4 or 5, plain or gzip. The alphabet must be DNA: `ALPHABET= ACGT`, no
        such line, or a block from ALPHABET to END ALPHABET that defines A, C, G and T in any
        order. Columns of matrices are in the order A, C, G, T.

    Returns
    -------
    list of MotifMatrix
        In the order of the file.

    Raises
    ------
    GeneqError
        The file is not MEME text, has another alphabet or no motif, a matrix is truncated or has
        rows that are not probabilities, or two motifs have the same name.

    References
    ----------
    MEME Suite documentation: MEME Motif Format; Custom Alphabet Definition Format.
    """
    lines = _lines(path)
    if not any(line.startswith("MEME version") for line in lines[:50]):
        raise GeneqError(
            "A motif file must be MEME text, beginning with 'MEME version'",
            file=path,
            fix="Convert it, e.g. with the MEME suite's *2meme programs",
        )
    _check_alphabets(lines, path)
    starts = [i for i, line in enumerate(lines) if line.startswith("MOTIF")]
    if not starts:
        raise GeneqError("A motif file must have at least one MOTIF", file=path)
    motifs = [
        _motif(lines[i:j], i + 1, path)
        for i, j in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]
    names = [motif.name for motif in motifs]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise GeneqError("MotifMatrix names must differ", value=sorted(repeated)[0], file=path)
    return motifs


def _lines(path: str | Path) -> list[str]:
    try:
        check_text(path)
        with open_maybe_gzip(path) as file:
            return file.read().decode("utf-8").splitlines()
    except FileNotFoundError:
        raise not_found(path) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise GeneqError("Not a readable motif file", value=str(error), file=path) from None


# --- alphabets --------------------------------------------------------------------------------

_ONE_LINE = re.compile(r"\s*ALPHABET\s*=\s*(.*)")
_BLOCK = re.compile(r"\s*ALPHABET\b(.*)")
_END = re.compile(r"\s*END\s+ALPHABET\b")
# A core symbol, its name and colour, which are optional, and its complement: A "Adenine" CC0000.
_NAME = r'\s*(?:"[^"]*")?\s*(?:[0-9A-Fa-f]{6})?\s*'
_CORE = re.compile(rf"\s*(\S)(?=[\s~]|$){_NAME}(?:~\s*(\S){_NAME})?")
# An ambiguity code or another name of a core symbol: N "Any" = ACGT.
_CODE = re.compile(rf"\s*\S{_NAME}=.*")


def _check_alphabets(lines: list[str], path) -> None:
    """Raise GeneqError unless every alphabet that the file defines is DNA."""
    for i, line in enumerate(lines):
        if found := _ONE_LINE.match(line):
            _check_alphabet(found[1].strip().strip("\"'"), "", path)
        elif found := _BLOCK.match(line):
            name = found[1].partition("#")[0].strip()
            _check_alphabet("".join(sorted(_core_symbols(lines[i + 1 :], path))), name, path)


def _check_alphabet(symbols: str, name: str, path) -> None:
    if symbols == DNA:
        return
    fix = "Use motifs of DNA, with columns in the order A, C, G, T"
    if sorted(symbols.upper()) == sorted("ACGU"):
        fix = "These are RNA motifs: change U to T in the alphabet to search for them in DNA"
    raise GeneqError("The alphabet of motifs must be DNA (ACGT)",
                     value=f"{symbols} {name}".strip(), file=path, fix=fix)  # fmt: skip


def _core_symbols(lines: list[str], path) -> set[str]:
    """The core symbols that `lines` define, up to END ALPHABET."""
    symbols: set[str] = set()
    for line in lines:
        text = line.partition("#")[0].rstrip()
        if _END.match(text):
            return symbols
        if core := _CORE.fullmatch(text):
            symbols |= {symbol for symbol in core.groups() if symbol}
        elif text and not _CODE.fullmatch(text):
            break
    raise GeneqError("The definition of an ALPHABET must end with END ALPHABET", file=path)


# --- motifs -----------------------------------------------------------------------------------


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
    """Group similar motifs.

    Parameters
    ----------
    motifs : list of MotifMatrix
    most : int
        Maximum number of families. With no more motifs than that, each is a family.

    Returns
    -------
    list of (str, list of int)
        Name and indices into `motifs` of each family, in the order of `motifs`. A family has the
        name of the member that is most similar to the others.

    Notes
    -----
    Ward's clustering of the motifs as unit vectors, with inner products from `motif_similarity`.
    """
    similarity = motif_similarity(motifs) if len(motifs) > most else np.eye(len(motifs))
    return [(motifs[central].name, members) for central, members in clusters(similarity, most)]


def motif_similarity(motifs: list[MotifMatrix]) -> np.ndarray:
    """Similarity of motifs.

    Parameters
    ----------
    motifs : list of MotifMatrix

    Returns
    -------
    np.ndarray
        float64[n, n]: the largest cosine of two log-odds matrices over all offsets and both
        strands. Positions beyond an end count as background, so short overlaps score low.
    """
    import torch

    width = max(motif.width for motif in motifs)
    kernels = torch.zeros(len(motifs), 4, width)
    for kernel, motif in zip(kernels, motifs, strict=True):
        kernel[:, : motif.width] = torch.from_numpy(motif.log_odds().T)
    norm = kernels.flatten(1).norm(dim=1)
    kernels /= norm.clamp(min=1e-6)[:, None, None]  # 0 where all bases are as in the background
    padded = torch.nn.functional.pad(kernels, (width - 1, width - 1))
    forward = torch.nn.functional.conv1d(padded, kernels).amax(2)
    reverse = torch.nn.functional.conv1d(padded, kernels.flip(1, 2)).amax(2)
    best = torch.maximum(forward, reverse).double().numpy()
    best = np.clip(np.maximum(best, best.T), 0, 1)
    np.fill_diagonal(best, 1)
    return best
