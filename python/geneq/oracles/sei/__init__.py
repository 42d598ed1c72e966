"""Sei: 21,907 chromatin profiles and 40 sequence classes of 4,096 bases of human DNA.

Chen et al., Nature Genetics 54:940 (2022). `network` is the network, `files` reads the published
folder, `oracle` projects profiles onto sequence classes and scores variants.
"""

from .network import SeiNetwork
from .oracle import SeiOracle, open_sei

__all__ = ["SeiNetwork", "SeiOracle", "open_sei"]
