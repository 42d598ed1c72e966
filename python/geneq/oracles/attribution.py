"""Attribution of an oracle's score to the bases of one sequence, to compare surrogates with.

Every method gives effects in the form of an additive surrogate in the wild-type gauge:
float64[length, symbols], the change of the score when that symbol replaces the wild type's, whose
own effect is 0. ISM measures it. The other methods take the score to be linear in one-hot with
slopes of their own: effects are slopes minus the slope of the wild type's symbol. Where the wild
type is unknown (N) effects are NaN.

ISM: in-silico mutagenesis, every single substitution is scored. Saliency: the gradient at the wild
type (Simonyan et al. 2014). Integrated gradients: the mean gradient on the path from references
(Sundararajan et al. 2017). DeepLIFT: multipliers against references (Shrikumar et al. 2017); with
several references it is DeepSHAP (Lundberg and Lee 2017). The latter two by captum.
"""

import warnings
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from captum.attr import DeepLift, IntegratedGradients

from .. import encoding, shuffles
from ..errors import GeneqError
from ..libraries import SaturationLibrary
from .base import Oracle
from .feeding import device, one_hot
from .scoring import score_tokens

__all__ = ["METHODS", "Method", "attribute", "available", "single_substitutions"]

Method = Literal["ism", "saliency", "integrated_gradients", "deeplift"]
METHODS: tuple[str, ...] = get_args(Method)
# References drawn if the user gives none, and steps of the path from each.
REFERENCES = 20
STEPS = 100
# References in a batch.
BATCH = 32
# DeepLIFT's contributions must add up to the difference of scores, to this share of it, which they
# do if captum sees every nonlinearity.
SLACK = 0.05


def attribute(
    oracle: Oracle,
    wild_type: str,
    method: Method = "ism",
    target: str | int = 0,
    references: np.ndarray | None = None,
    seed: int = 1,
) -> np.ndarray:
    """Effects of single bases on a score.

    Parameters
    ----------
    oracle : Oracle
    wild_type : str
        DNA.
    method : {"ism", "saliency", "integrated_gradients", "deeplift"}
    target : str or int
        Name or index of one of the oracle's targets.
    references : uint8[n, length], optional
        Sequences that integrated gradients and DeepLIFT compare with. By default 20 shuffles of the
        wild type that keep its dinucleotide counts.
    seed : int
        Of the shuffles.

    Returns
    -------
    float64[length, 4]
        NaN where the wild type is N.

    Raises
    ------
    GeneqError
        For an unknown method or target, for gradient methods if the oracle has no differentiable
        module, and for DeepLIFT if captum does not see every nonlinearity.
    """
    if method not in METHODS:
        raise GeneqError(
            "Unknown method", value=str(method), fix=f"Use one of {', '.join(METHODS)}"
        )
    column = _column(oracle, target)
    tokens = encoding.tokens(wild_type)
    if method == "ism":
        return _ism(oracle, wild_type, tokens[0], column)
    if oracle.module is None or method not in available(oracle):
        raise GeneqError(
            f"{method} is not available: it needs a differentiable module"
            + ", and one that is not TorchScript" * (method == "deeplift"),
            value=oracle.name,
            fix="Use ism, or fit a surrogate",
        )
    if references is None:
        references = shuffles.shuffle(tokens, k=2, n=REFERENCES, seed=seed)[0]
    elif references.shape[1:] != tokens.shape[1:] or not len(references):
        raise GeneqError("references must be uint8[n, length]", value=str(references.shape))
    slopes = SLOPES[method](oracle.module, tokens, references, column).astype(np.float64).T
    return _effects(slopes, tokens[0])


def available(oracle: Oracle) -> tuple[str, ...]:
    """The methods that can be used with an oracle."""
    if oracle.module is None:
        return METHODS[:1]
    # DeepLIFT hooks into modules, which TorchScript does not allow.
    return METHODS[: 3 if isinstance(oracle.module, torch.jit.ScriptModule) else 4]


def _column(oracle: Oracle, target: str | int) -> int:
    """The index of a target."""
    if isinstance(target, str) and target in oracle.targets:
        return oracle.targets.index(target)
    if isinstance(target, str) or not 0 <= target < len(oracle.targets):
        raise GeneqError("The oracle has no such target", value=target,
                         fix=f"Use one of {', '.join(oracle.targets)}")  # fmt: skip
    return target


def _effects(slopes: np.ndarray, wild_type: np.ndarray) -> np.ndarray:
    """Slopes float64[length, symbols] minus that of the wild type's symbol."""
    known = wild_type < slopes.shape[1]
    wild = np.where(known, slopes[np.arange(len(slopes)), np.where(known, wild_type, 0)], np.nan)
    return slopes - wild[:, None]


def single_substitutions(wild_type: str) -> SaturationLibrary:
    """The library that ISM scores: the wild type, and it with each known base replaced."""
    known = encoding.tokens(wild_type)[0] < 4
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False)).reshape(-1, 2)
    return SaturationLibrary(wild_type, windows=edges.tolist())


def _ism(oracle: Oracle, wild_type: str, tokens: np.ndarray, column: int) -> np.ndarray:
    known, library = tokens < 4, single_substitutions(wild_type)
    name = [oracle.targets[column]]
    scores = [score_tokens(rows, oracle, name)[:, 0] for rows in library.stream()]
    wild_score, *others = np.concatenate(scores).astype(np.float64)
    effects = np.full((len(tokens), 4), np.nan)
    effects[known, tokens[known]] = 0
    mutations = library.mutations()
    effects[mutations.position, mutations.symbol] = np.array(others) - wild_score
    return effects


# --- slopes: float32[symbols, length], of (module, tokens[1, length], references, column) ---------


def _saliency(module, tokens, references, column) -> np.ndarray:
    x = _hot(tokens).requires_grad_()
    (slopes,) = torch.autograd.grad(module(x)[:, column].sum(), x)
    return slopes[0].cpu().numpy()


def _integrated_gradients(module, tokens, references, column) -> np.ndarray:
    method = IntegratedGradients(module, multiply_by_inputs=False)

    def slopes(x: torch.Tensor, baselines: torch.Tensor) -> torch.Tensor:
        return method.attribute(x, baselines, column, n_steps=STEPS, internal_batch_size=BATCH * 8)

    return _mean_slopes(tokens, references, slopes)


def _deeplift(module, tokens, references, column) -> np.ndarray:
    method = DeepLift(module, multiply_by_inputs=False)

    def slopes(x: torch.Tensor, baselines: torch.Tensor) -> torch.Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Setting forward, backward hooks")
            found = method.attribute(x.requires_grad_(), baselines.requires_grad_(), column)
        with torch.inference_mode():
            gained = (module(x) - module(baselines))[:, column]
        missing = (found * (x - baselines)).sum((1, 2)) - gained
        if missing.abs().max() > SLACK * max(gained.abs().max(), 1e-3):
            raise GeneqError(
                "DeepLIFT's contributions do not add up to the difference of scores",
                value=f"{missing.abs().max():.3g} is missing",
                fix="captum sees only nonlinearities that are modules, each used once: no "
                "functional ReLU, no max pooling",
            )
        return found

    return _mean_slopes(tokens, references, slopes)


def _mean_slopes(tokens, references, slopes: Callable) -> np.ndarray:
    """Mean over references of slopes(x, baselines), all float32[n, symbols, length]."""
    total = torch.zeros(())
    for start in range(0, len(references), BATCH):
        baselines = _hot(references[start : start + BATCH])
        x = _hot(tokens).expand_as(baselines).contiguous()
        total = total + slopes(x, baselines).detach().sum(0).cpu()
    return (total / len(references)).numpy()


def _hot(tokens: np.ndarray) -> torch.Tensor:
    return one_hot(torch.from_numpy(np.ascontiguousarray(tokens)).to(device()))


SLOPES = {
    "saliency": _saliency,
    "integrated_gradients": _integrated_gradients,
    "deeplift": _deeplift,
}
