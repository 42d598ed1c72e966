"""Keras networks: read from their files into torch, without Keras or TensorFlow.

`files` reads configuration and weights, `graph` turns a configuration into a list of layers,
`layers` makes torch modules of them, `network` joins these, `published` has DeepSTARR and Xpresso.
"""

from .network import KerasNetwork, open_keras
from .published import open_published

__all__ = ["KerasNetwork", "open_keras", "open_published"]
