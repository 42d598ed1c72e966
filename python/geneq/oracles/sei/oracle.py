"""Sei as an oracle: sequence classes of a sequence, and of a variant."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...errors import GeneqError
from ..base import check_sequences
from ..feeding import distinct_rows
from ..network import NetworkOracle
from .files import WEIGHTS, SeiFiles, load_weights, read_sei
from .network import LENGTH, WIDTH, SeiNetwork, SeiProfiles

__all__ = ["SeiOracle", "open_sei"]

# Test chromosomes, and that of validation.
HELD_OUT = ("chr8", "chr9", "chr10")
BUILD = "GRCh38"
# Variants whose profiles are in memory together.
VARIANTS = 512
UNKNOWN = "0.25 of each base"


class SeiClasses(nn.Module):
    """One-hot float32[n, 4, 4096] → float32[n, classes]: profiles × unit vectors of the classes."""

    def __init__(self, profiles: SeiProfiles, projection: np.ndarray):
        super().__init__()
        self.profiles = profiles
        self.register_buffer("projection", torch.from_numpy(projection))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        profiles = self.profiles(x).float()
        # A sum over 21,907 profiles needs all digits.
        with torch.autocast(x.device.type, enabled=False):
            return profiles @ self.get_buffer("projection").T


class SeiOracle(NetworkOracle):
    """Scores of Sei's sequence classes.

    `predict` gives the projection of the profiles, averaged over both strands, onto the class
    vectors (Chen et al.'s raw sequence class scores).

    A variant is scored in a window of its own, its base at index 2,047, as in the published scores:
    one before that of tiles and of training, whose centre is at 2,048.
    """

    variant_index = LENGTH // 2 - 1

    def __init__(self, name: str, network: SeiNetwork, files: SeiFiles):
        self._profiles, self._files = SeiProfiles(network), files
        module = SeiClasses(self._profiles, files.projection)
        super().__init__(name, module, LENGTH, files.classes, held_out=HELD_OUT)
        digest = hashlib.sha256(f"sei 1\0{self.hash}".encode() + files.histones.tobytes())
        self.hash, self.unknown, self.strand = digest.hexdigest(), UNKNOWN, "both"
        self.build = BUILD
        self.note = f"classes of {len(files.profiles):,} profiles"

    @cached_property
    def profiles(self) -> NetworkOracle:
        """An oracle of the chromatin profiles, which the classes are made from."""
        return _profiles_oracle(f"{self.name}:profiles", self._profiles, self._files.profiles)

    def variant(self, ref: np.ndarray, alt: np.ndarray) -> np.ndarray:
        """Published variant scores.

        Profiles of histone marks are scaled so that their sum is that of both alleles' mean, since
        a variant may change how many nucleosomes there are; then the classes of the alternative
        minus those of the reference.

        Parameters
        ----------
        ref, alt : uint8[n, 4096]
            Sequences with either allele, which begins at `variant_index`.

        Returns
        -------
        float32[n, classes]
        """
        for tokens in (ref, alt):
            check_sequences(self, tokens, None, "Cut windows of that length")
        self.profiles.precision = self.precision
        scores = np.empty((len(ref), len(self.targets)), np.float32)
        for start in range(0, len(ref), VARIANTS):
            rows = slice(start, start + VARIANTS)
            both = np.concatenate([ref[rows], alt[rows]])
            first, which = distinct_rows(both)
            profiles = self.profiles.predict(both[first])[which]
            scores[rows] = self._difference(*np.split(profiles, 2))
        return scores

    def _difference(self, ref: np.ndarray, alt: np.ndarray) -> np.ndarray:
        """float32[n, classes] from profiles float32[n, profiles] of both alleles."""
        histones = self._files.histones
        totals = [side[:, histones].sum(1, dtype=np.float64, keepdims=True) for side in (ref, alt)]
        mean = (totals[0] + totals[1]) / 2
        for side, total in zip((ref, alt), totals, strict=True):
            side[:, histones] *= (mean / total).astype(np.float32)
        return (alt - ref) @ self._files.projection.T


def open_sei(what: str, width: int = WIDTH) -> NetworkOracle:
    """Open a folder of Sei.

    Parameters
    ----------
    what : str
        ``FOLDER`` for sequence classes, ``FOLDER:profiles`` for chromatin profiles. The folder has
        sei.pth (or sei.safetensors), target.names, seqclass.names, projvec_targets.npy and
        histone_inds.npy.
    width : int
        As for `SeiNetwork`.

    Raises
    ------
    GeneqError
        If a file is missing or damaged, or is not Sei's.
    """
    folder, _, part = what.partition(":")
    if part not in ("", "profiles"):
        raise GeneqError("Sei is given as sei:FOLDER or sei:FOLDER:profiles", value=f"sei:{what}")
    files = read_sei(folder)
    weights = next((name for name in WEIGHTS if (Path(folder) / name).is_file()), WEIGHTS[0])
    with torch.device("meta"):
        network = SeiNetwork(width, len(files.profiles))
    load_weights(network, Path(folder) / weights)
    name = f"sei:{Path(folder).name}"
    if part:
        return _profiles_oracle(f"{name}:{part}", SeiProfiles(network), files.profiles)
    return SeiOracle(name, network, files)


def _profiles_oracle(name: str, module: SeiProfiles, profiles: list[str]) -> NetworkOracle:
    oracle = NetworkOracle(name, module, LENGTH, profiles, held_out=HELD_OUT)
    oracle.unknown, oracle.strand, oracle.build = UNKNOWN, "both", BUILD
    return oracle
