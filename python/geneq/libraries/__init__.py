"""Mutagenesis libraries: recipes over the extension, one class per type of library.

A recipe is immutable, has a readable repr and converts to JSON and back. Its rows are available as
tokens, as one-hot, as a stream, or (libraries of substitutions) in sparse form; `write` writes them
to a file, and `open_library` reads it back.

    library = RandomLibrary(sequence, n=100_000, rate=0.1, seed=7)
    for tokens in library.stream(batch=4096):
        ...
"""

from .base import Library, Mutations
from .designed import FactorialLibrary, GlobalLibrary
from .enumerated import CombinatorialLibrary, PairwiseLibrary, SaturationLibrary
from .files import LibraryFile, open_library, read_recipe
from .motifs import Motif
from .random import DiploidLibrary, RandomLibrary, transition_bias
from .variants import VariantLibrary

__all__ = [
    "CombinatorialLibrary",
    "DiploidLibrary",
    "FactorialLibrary",
    "GlobalLibrary",
    "Library",
    "LibraryFile",
    "Motif",
    "Mutations",
    "PairwiseLibrary",
    "RandomLibrary",
    "SaturationLibrary",
    "VariantLibrary",
    "open_library",
    "read_recipe",
    "transition_bias",
]
