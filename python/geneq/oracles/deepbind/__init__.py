"""DeepBind: networks of single transcription factors, from their published parameter files.

Alipanahi et al., Nature Biotechnology 33:831 (2015). `files` reads the folder of parameters,
`detectors` applies detectors to windows, `oracle` computes the networks.
"""

from .files import Network, read_networks
from .oracle import DeepBindOracle

__all__ = ["DeepBindOracle", "Network", "read_networks"]
