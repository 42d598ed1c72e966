"""The motif oracle: log-odds on both strands, pooled into sequence classes.

The score of a motif in a bin is its log mean affinity,

    ln( mean over strands and sites of exp(log-odds) ),

and the score of a class of motifs is the mean of its motifs' scores. A site belongs to the bin that
contains its centre, and must be completely inside the sequence. Random DNA of uniform composition
scores about 0; one strong site in a short bin scores about its log-odds minus the log of the bin's
length. (The sum of exponentiated log-odds as the affinity of a sequence: Roider et al.,
Bioinformatics 23:134, 2007.)

Two classes of base composition follow: GC, the share of G and C among the known bases minus 0.5,
and CpG, the number of CG dinucleotides per position; a CG belongs to the bin of its C.

With `strands="split"` a class is scored on each strand of the sequence, `NAME_sense` and
`NAME_anti`, the mean then being over sites only, and three classes of base composition are added:
GC_skew, (G - C) / (G + C), AT_skew, (A - T) / (A + T), and CpG_oe, the observed over the expected
number of CG dinucleotides, CG * known bases / (C * G) (Gardiner-Garden and Frommer, J. Mol. Biol.
196:261, 1987). They are 0 where the denominator is 0.
"""

import hashlib
from importlib import resources
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from ..errors import GeneqError
from .base import BinnedOracle, chosen_strands
from .feeding import device, one_hot, workers
from .meme import MotifMatrix, families, read_meme

__all__ = ["COMPOSITION", "LIMIT", "SPLIT_COMPOSITION", "MotifOracle", "max_classes_of"]

COMPOSITION = ["GC", "CpG"]
SPLIT_COMPOSITION = [*COMPOSITION, "GC_skew", "AT_skew", "CpG_oe"]
# Ends of the names of split classes; the sequence is on the gene's strand.
SENSES = ["sense", "anti"]
# Log-odds are clipped to ±LIMIT: beyond it their exponentials leave the range of float32.
LIMIT = 75.0


class MotifOracle(BinnedOracle):
    """Scores of motif classes and base composition; see the module's docstring.

    Parameters
    ----------
    name : str
    motifs : list of MotifMatrix
    groups : list of (str, list of int)
        The classes: name, indices into `motifs`.
    strands : {"both", "split"}
        Score classes on both strands together, or on each.
    """

    unknown = "N adds nothing to a log-odds score"
    trained = False
    strands: str

    # Scores of a batch: on the CPU 4 MB, which fits its cache, on a GPU 256 MB.
    BATCH_SCORES: ClassVar = {"cpu": 2**20, "cuda": 2**26}

    def __init__(
        self,
        name: str,
        motifs: list[MotifMatrix],
        groups: list[tuple[str, list[int]]],
        strands: str = "both",
    ):
        self.name, self.motifs, self.groups, self.strands = name, motifs, groups, strands
        self.split = strands == "split"
        self.strand = "given" if self.split else "both"
        self.targets = [target for group, _ in groups for target in self._targets(group)]
        self.targets += SPLIT_COMPOSITION if self.split else COMPOSITION
        self.widths = np.array([motif.width for motif in motifs])
        # A site touches its centre's bin, and a CG the bin of its C.
        self.width = self.reach = int(self.widths.max())
        self.hash = self._hash()
        self._device = device()
        self._kernels = self._both_strands().to(self._device)
        self._membership = self._membership_matrix().to(self._device)

    @classmethod
    def open(cls, file: str, max_classes: int = 40, strands: str = "auto") -> "MotifOracle":
        """Open a motif file.

        Parameters
        ----------
        file : str
            A MEME file, or "core" for the one that geneq ships.
        max_classes : int
            The largest number of classes, GC and CpG included, before they are split by strand.
        strands : {"auto", "both", "split"}
            See `MotifOracle`; "auto" is "both".

        Raises
        ------
        GeneqError
            If the file cannot be read, or a motif has the name of a class of base composition.
        """
        if max_classes <= len(COMPOSITION):
            raise GeneqError(
                f"--max_classes must be at least {len(COMPOSITION) + 1}", value=max_classes
            )
        shipped = resources.files("geneq") / "data" / "core.meme"
        path = Path(str(shipped)) if file == "core" else Path(file)
        motifs = read_meme(path)
        taken = sorted({motif.name for motif in motifs} & set(COMPOSITION))
        if taken:
            raise GeneqError(
                f"A motif must not be called {' or '.join(COMPOSITION)}, the classes of base "
                "composition",
                value=taken[0],
                file=path,
                fix="Rename it",
            )
        groups = families(motifs, max_classes - len(COMPOSITION))
        name = f"motifs:{path.name if file != 'core' else 'core'}"
        return cls(name, motifs, groups, chosen_strands(strands, "both"))

    def of_classes(self, names: list[str]) -> "MotifOracle":
        """An oracle of the classes in `names` and of base composition, with the same scores.

        An oracle has at least one motif: if `names` has none, the first class is kept.
        """
        kept = [
            group for group in self.groups if not set(names).isdisjoint(self._targets(group[0]))
        ]
        kept = kept or self.groups[:1]
        used = [i for _, members in kept for i in members]
        place = {i: n for n, i in enumerate(used)}
        groups = [(name, [place[i] for i in members]) for name, members in kept]
        return MotifOracle(self.name, [self.motifs[i] for i in used], groups, self.strands)

    def _targets(self, group: str) -> list[str]:
        """Names of the scores of a class."""
        return [f"{group}_{sense}" for sense in SENSES] if self.split else [group]

    def _hash(self) -> str:
        digest = hashlib.sha256(b"motifs 1 split" if self.split else b"motifs 1")
        for name, members in self.groups:
            digest.update(f"\0{name}".encode())
            for i in members:
                digest.update(np.ascontiguousarray(self.motifs[i].log_odds(), "<f4").tobytes())
        return digest.hexdigest()

    def _both_strands(self) -> torch.Tensor:
        """float32[2 motifs, 4, width]: forward then reverse, the centres aligned."""
        kernels = torch.zeros(2, len(self.motifs), 4, self.width)
        for i, motif in enumerate(self.motifs):
            matrix = torch.from_numpy(motif.log_odds().T)
            first = self.width // 2 - motif.width // 2
            kernels[0, i, :, first : first + motif.width] = matrix
            kernels[1, i, :, first : first + motif.width] = matrix.flip(0, 1)
        return kernels.flatten(0, 1)

    def _membership_matrix(self) -> torch.Tensor:
        """float32[motifs, classes]: the mean over a class's motifs."""
        matrix = torch.zeros(len(self.motifs), len(self.groups))
        for c, (_, members) in enumerate(self.groups):
            matrix[members, c] = 1 / len(members)
        return matrix

    def predict(self, tokens: np.ndarray, anchor: int | None = None) -> np.ndarray:
        """Scores float32[n, targets] of complete sequences; see `Oracle.predict`."""
        return self.predict_bins(tokens, np.array([0, tokens.shape[1]]))[:, 0]

    def predict_bins(self, tokens: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Scores float32[n, bins, targets] of bins; see `BinnedOracle.predict_bins`.

        A bin in which no motif of a class fits scores 0 for that class. Raises GeneqError for
        sequences shorter than the longest motif.
        """
        n, length = tokens.shape
        if length < self.width:
            raise GeneqError(
                f"Sequences must be at least as long as the longest motif ({self.width} nt)",
                value=length,
                fix="Remove the shorter sequences, or the motifs longer than them",
            )
        bins = self._bins(length, edges)
        weights = self._position_weights(length, bins)
        batch = max(1, self.BATCH_SCORES[self._device.type] // (len(self._kernels) * length))
        scores = np.empty((n, len(edges) - 1, len(self.targets)), dtype=np.float32)

        @torch.inference_mode()
        def score(start: int) -> None:
            part = torch.from_numpy(np.ascontiguousarray(tokens[start : start + batch]))
            x = one_hot(part.to(self._device))
            scored = torch.cat([self._affinity(x, weights), self._composition(x, bins)], dim=2)
            scores[start : start + batch] = scored.cpu().numpy()

        # TensorFloat-32, cuDNN's default, would round every log-odds to three digits.
        with (
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
            workers(self._device) as pool,
        ):
            list(pool.map(score, range(0, n, batch)))
        return scores

    def _bins(self, length: int, edges: np.ndarray) -> torch.Tensor:
        """float32[bins, length]: 1 where a position is in a bin."""
        ends = torch.as_tensor(np.ascontiguousarray(edges), device=self._device)
        position = torch.arange(length, device=self._device)
        return ((position >= ends[:-1, None]) & (position < ends[1:, None])).float()

    def _position_weights(self, length: int, bins: torch.Tensor) -> list[torch.Tensor]:
        """For each motif width, float32[length, bins]: the mean over the centres in a bin.

        One entry per distinct width, narrowest first.
        """
        weights = []
        for width in sorted(set(self.widths)):
            fits = torch.zeros(length, device=self._device)
            fits[width // 2 : length - (width - 1 - width // 2)] = 1
            inside = bins * fits
            weights.append((inside / inside.sum(1, keepdim=True).clamp(min=1)).T)
        return weights

    def _affinity(self, x: torch.Tensor, weights: list[torch.Tensor]) -> torch.Tensor:
        """one-hot → float32[n, bins, classes]: log mean affinity."""
        left = self.width // 2
        padded = torch.nn.functional.pad(x, (left, self.width - 1 - left))
        log_odds = torch.nn.functional.conv1d(padded, self._kernels)
        by_strand = log_odds.clamp_(-LIMIT, LIMIT).exp_().unflatten(1, (2, -1))
        # Split, the strands of a sequence follow one another as if they were sequences.
        affinity = by_strand.flatten(0, 1) if self.split else by_strand.mean(1)
        bins = weights[0].shape[1]
        means = affinity.new_empty(len(affinity), len(self.motifs), bins)
        for width, weight in zip(sorted(set(self.widths)), weights, strict=True):
            of_width = torch.as_tensor(np.flatnonzero(self.widths == width), device=x.device)
            means[:, of_width] = affinity[:, of_width] @ weight
        scores = torch.where(means > 0, means, 1.0).log()
        classes = torch.einsum("nmb,mc->nbc", scores, self._membership)
        if self.split:
            classes = classes.unflatten(0, (-1, 2)).permute(0, 2, 3, 1).flatten(2)
        return classes

    def _composition(self, x: torch.Tensor, bins: torch.Tensor) -> torch.Tensor:
        """one-hot → float32[n, bins, 2 or 5]: see the module's docstring."""
        a, c, g, t = (x @ bins.T).unbind(1)
        known = a + c + g + t
        gc = torch.where(known > 0, (c + g) / known.clamp(min=1) - 0.5, 0.0)
        pairs = torch.zeros_like(x[:, 0])
        pairs[:, :-1] = x[:, 1, :-1] * x[:, 2, 1:]
        found = pairs @ bins.T
        composition = [gc, found / bins.sum(1).clamp(min=1)]
        if self.split:
            composition += [(g - c) / (g + c).clamp(min=1), (a - t) / (a + t).clamp(min=1)]
            composition += [torch.where(c * g > 0, found * known / (c * g).clamp(min=1), 0.0)]
        return torch.stack(composition, dim=2)


def max_classes_of(targets: int, strands: str) -> int:
    """The `max_classes` of `MotifOracle.open` that gives a motif oracle with so many targets."""
    if strands == "split":
        return (targets - len(SPLIT_COMPOSITION)) // len(SENSES) + len(COMPOSITION)
    return targets
