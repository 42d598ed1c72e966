"""Published networks that `keras` reads, with what their files do not state.

DeepSTARR: de Almeida et al., Nature Genetics 54:613 (2022). Xpresso: Agarwal and Shendure, Cell
Reports 31:107663 (2020).
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ...errors import GeneqError
from ..network import NetworkOracle
from .files import Stored, read_keras
from .network import oracle_of

__all__ = ["PUBLISHED", "deepstarr_config", "open_published"]

# Widths and channels of DeepSTARR's convolutions.
CONVOLUTIONS = [(7, 256), (3, 60), (5, 60), (3, 120)]


def deepstarr_config(names: Iterable[str]) -> dict:
    """DeepSTARR's configuration, as Keras would write it.

    names: of its 14 layers that have weights, in order.
    """
    given = iter(names)
    layers: list[dict] = []

    def add(kind: str, name: str | None = None, after: str | None = None, **options) -> str:
        name = name or next(given)
        inbound: list = [[[after or layers[-1]["config"]["name"], 0, 0, {}]]] if layers else []
        config = {"name": name, **options}
        layers.append({"class_name": kind, "config": config, "inbound_nodes": inbound})
        return name

    add("InputLayer", "sequence", batch_input_shape=[None, 249, 4])
    for number, (width, channels) in enumerate(CONVOLUTIONS):
        add("Conv1D", kernel_size=[width], filters=channels, padding="same")
        add("BatchNormalization")
        add("Activation", f"relu {number}", activation="relu")
        add("MaxPooling1D", f"pool {number}", pool_size=[2])
    add("Flatten", "flat")
    for number in range(2):
        add("Dense", units=256)
        add("BatchNormalization")
        last = add("Activation", f"dense relu {number}", activation="relu")
    heads = [[add("Dense", after=last, units=1), 0, 0] for _ in range(2)]
    ends = {"input_layers": [["sequence", 0, 0]], "output_layers": heads}
    return {"class_name": "Model", "config": {"layers": layers, **ends}}


class Published(NamedTuple):
    """What a published network's file does not state.

    held: its inputs besides DNA, which are held at 0. config: the configuration for files
    of weights alone, from the names of layers with weights; weighted: how many these are. note: for
    the user.
    """

    title: str
    length: int
    targets: list[str]
    tss: int | None = None
    held_out: tuple[str, ...] | None = None
    held: str | None = None
    config: Callable[[Iterable[str]], dict] | None = None
    weighted: int = 0
    note: str | None = None


PUBLISHED = {
    "deepstarr": Published(
        "DeepSTARR", 249, ["dev", "hk"], held_out=("chr2R",), config=deepstarr_config, weighted=14
    ),
    "xpresso": Published(
        "Xpresso",
        10_500,
        ["expression"],
        tss=7000,
        held="mRNA half-life features",
        note="the file does not say which species it was trained on",
    ),
}


def open_published(kind: str, path: str | Path) -> NetworkOracle:
    """An oracle of a published network.

    DeepSTARR gives the activity (log2) of a Drosophila enhancer of 249 nt with a developmental
    (dev) and a housekeeping (hk) promoter. Xpresso gives the median expression of a gene, log10
    RPKM, standardised, of 7,000 nt upstream and 3,500 nt downstream of its TSS on its strand; the
    features of the half-life of its mRNA are held at 0, their mean. Weights of human and of mouse
    have the same shape and cannot be told apart.

    Parameters
    ----------
    kind : {"deepstarr", "xpresso"}
    path : path
        The file that the authors published, as for `open_keras`.

    Raises
    ------
    GeneqError
        If it is not that network.
    """
    known, path = PUBLISHED[kind], Path(path)
    stored = read_keras(path)
    if stored.config is None:
        stored = _configured(stored, known, path)
    try:
        oracle = oracle_of(
            stored, f"{kind}:{path.name}", path, known.targets, hold=known.held,
            tss=known.tss, held_out=known.held_out,
        )  # fmt: skip
    except GeneqError as error:
        raise _foreign(known, f"{error.rule}: {error.value}", path) from None
    if oracle.length != known.length:
        raise _foreign(known, f"an input of {oracle.length:,} nt, not {known.length:,}", path)
    oracle.note += f"; {known.note}" if known.note else ""
    return oracle


def _configured(stored: Stored, known: Published, path: Path) -> Stored:
    """Weights alone with the configuration that geneq has."""
    if known.config is None:
        raise GeneqError("The file has weights but no configuration of the network", file=path,
                         fix="Use the file that the authors published")  # fmt: skip
    if len(stored.weights) != known.weighted:
        found = f"{len(stored.weights)} layers with weights, not {known.weighted}"
        raise _foreign(known, found, path)
    return Stored(known.config(stored.weights), stored.weights)


def _foreign(known: Published, why: str, path: Path) -> GeneqError:
    return GeneqError(f"This is not {known.title}", value=why, file=path,
                      fix="Use keras: for other networks")  # fmt: skip
