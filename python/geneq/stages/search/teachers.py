"""Whose predictions equations are distilled from: the network's, boosted trees', or their mean.

A network and trees err on different genes, so that the mean of two that are about equally good is
better than either. The network alone is taken unless another is surely better out of fold.
"""

from dataclasses import dataclass

import numpy as np

from .data import Data
from .exploring import AUTO, surely_better
from .training import gene_errors
from .trees import BoostedTrees

__all__ = ["BOTH", "NETWORK", "TEACHERS", "TREES", "Prediction", "choose_teacher"]

TEACHERS = AUTO, NETWORK, TREES, BOTH = AUTO, "network", "trees", "both"
# Trees with a loss on validation genes of more than this times the network's are not looked at
# further: their mean with the network would not be better.
HOPELESS = 1.1


@dataclass(frozen=True)
class Prediction:
    """What a teacher predicts, log2(CPM + 1), each float[genes, cell types].

    everything: of all genes; out_of_fold: by models that never saw the gene's fold, NaN for test
    genes; spread: standard deviation over the members, None where it has none.
    """

    everything: np.ndarray
    out_of_fold: np.ndarray
    spread: np.ndarray | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """Columns of the table PREDICTIONS, the same for every teacher."""
        spread = np.full(self.everything.shape, np.nan) if self.spread is None else self.spread
        return {
            "teacher": self.everything,
            "teacher_sd": spread,
            "teacher_out_of_fold": self.out_of_fold,
        }

    def errors(self, data: Data) -> np.ndarray:
        """What each training and validation gene adds to the loss out of fold, float64[n]."""
        known = data.rows("train", "valid")
        y = data.y[known]
        return gene_errors(self.out_of_fold[known], y, np.nanstd(y, 0), data.weight)


def choose_teacher(
    asked: str, network: Prediction, loss: float, data: Data, seed: int, threads: int
) -> tuple[str, Prediction, dict[str, float]]:
    """The teacher that was asked for, or the best.

    Parameters
    ----------
    asked : str
        One of TEACHERS.
    network : Prediction
    loss : float
        The network's on validation genes.
    data : Data
    seed, threads : int
        Of trees.

    Returns
    -------
    name : str
        network, trees or both.
    prediction : Prediction
    losses : dict
        name → loss out of fold, of all that were compared.
    """
    found = {NETWORK: network}
    if asked != NETWORK:
        trees = BoostedTrees.of(data, seed, threads)
        if asked != AUTO or trees.loss <= HOPELESS * loss:
            found[TREES] = Prediction(*trees.predictions())
            found[BOTH] = _mean(network, found[TREES])
    errors = {name: prediction.errors(data) for name, prediction in found.items()}
    name = asked
    if asked == AUTO:
        best = min(found, key=lambda name: errors[name].sum())
        name = best if surely_better(errors[best], errors[NETWORK]) else NETWORK
    return name, found[name], {key: float(values.sum()) for key, values in errors.items()}


def _mean(a: Prediction, b: Prediction) -> Prediction:
    return Prediction((a.everything + b.everything) / 2, (a.out_of_fold + b.out_of_fold) / 2)
