"""An oracle made of another one, whose properties it has."""

from .base import BinnedOracle, Oracle

__all__ = ["WrappedOracle"]


class WrappedOracle(BinnedOracle):
    """Base of oracles with per-bin outputs that are computed by another oracle.

    A subclass sets `targets` and `hash` where they differ, `flank`, and `strands`.
    """

    def __init__(self, oracle: Oracle):
        self._oracle = oracle
        self.name, self.targets, self.hash = oracle.name, oracle.targets, oracle.hash
        self.alphabet, self.length, self.tss = oracle.alphabet, oracle.length, oracle.tss
        self.strand, self.unknown, self.held_out = oracle.strand, oracle.unknown, oracle.held_out
        self.trained, self.build = oracle.trained, oracle.build
        self.bin_size, self.precisions, self.note = oracle.bin_size, oracle.precisions, oracle.note

    @property
    def precision(self) -> str:
        """What the oracle computes in."""
        return self._oracle.precision

    @precision.setter
    def precision(self, name: str) -> None:
        self._oracle.precision = name
