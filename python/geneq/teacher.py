"""The teacher: the searched network from sequence-class scores to expression.

    x   features, standardised                                       [genes, bins, classes]
    z   pooled features: per class one weighted sum over the bins      [genes, classes]
    s   gated: z times a gate per class, driven towards 0 by its penalty
    h   hidden units act(W s + b), which mix classes (dense) or read one class each (additive)
    y   one linear head per cell type over s, h and products (U s)(V s)

Because the bins of a class are pooled before anything nonlinear happens, every pooled feature is an
explicit weighted sum over bins, and an equation in the pooled features is one in the DNA.

Everything after s exists several times, as an ensemble: members differ in initialisation and
dropout, each is trained to predict expression alone, and the prediction is their mean (cf. TabM,
Gorishniy et al. 2024). All members share profiles and gates, and therefore the pooled features.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from .artifacts import atomic_path, read_json, write_json
from .checks import check_format
from .errors import GeneqError

__all__ = ["Architecture", "Scaling", "Teacher", "TrainedTeacher"]

FORMAT, VERSION = "geneq-teacher", 2
POOLINGS = ("shared", "partial", "class")
NONLINEARITIES: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


@dataclass(frozen=True)
class Architecture:
    """What the search varies.

    pooling: one profile over bins for all classes (shared), one per class (class), or one per class
    that departs from a shared one (partial). hidden: what hidden units read (none, dense,
    additive). width: hidden units in all (dense) or of each class (additive). interactions:
    products of two mixtures of gated features. gate_penalty: weight of the sum of absolute gates
    in the loss. members: how many the ensemble has.
    """

    pooling: str
    hidden: str
    width: int
    interactions: int
    nonlinearity: str
    dropout: float
    weight_decay: float
    gate_penalty: float
    learning_rate: float
    members: int


class Linear(nn.Module):
    """A linear map for each member, initialised as torch.nn.Linear is.

    float32[n, inputs] or float32[members, n, inputs] → float32[members, n, outputs].
    """

    def __init__(self, members: int, inputs: int, outputs: int, bias: bool = True):
        super().__init__()
        self.units = outputs
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs).uniform_(-bound, bound))
        start = torch.empty(members, 1, outputs).uniform_(-bound, bound)
        self.bias = nn.Parameter(start) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


class Additive(nn.Module):
    """Hidden units that read one class each.

    float32[n, classes] → float32[members, n, classes × width].
    """

    def __init__(self, members: int, classes: int, width: int):
        super().__init__()
        self.units = classes * width
        self.slope = nn.Parameter(torch.randn(members, 1, classes, width))
        self.shift = nn.Parameter(torch.randn(members, 1, classes, width))

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return (s[:, :, None] * self.slope + self.shift).flatten(2)


HIDDEN: dict[str, type[Linear] | type[Additive] | None] = {
    "none": None, "dense": Linear, "additive": Additive,
}  # fmt: skip


class Teacher(nn.Module):
    """See the module's docstring. Inputs and outputs are standardised; `predict` is not."""

    def __init__(self, architecture: Architecture, bins: int, classes: int, cell_types: int):
        super().__init__()
        self.architecture = architecture
        shared, separate = (architecture.pooling != kind for kind in ("class", "shared"))
        even = bins**-0.5
        self.profile = nn.Parameter(torch.full((bins, 1), even)) if shared else None
        start = torch.full((bins, classes), 0.0 if shared else even)
        self.own_profile = nn.Parameter(start) if separate else None
        self.gate = nn.Parameter(torch.ones(classes))
        members, rank = architecture.members, architecture.interactions
        hidden = HIDDEN[architecture.hidden]
        self.hidden = hidden(members, classes, architecture.width) if hidden else None
        self.activation = NONLINEARITIES[architecture.nonlinearity]()
        self.dropout = nn.Dropout(architecture.dropout)
        self.left = Linear(members, classes, rank, bias=False) if rank else None
        self.right = Linear(members, classes, rank, bias=False) if rank else None
        units = self.hidden.units if self.hidden else 0
        self.head = Linear(members, classes + units + rank, cell_types)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def pooling_weights(self) -> torch.Tensor:
        """float32[bins, classes]: the profile of each class, of unit length."""
        parts = [part for part in (self.profile, self.own_profile) if part is not None]
        weights = torch.stack(torch.broadcast_tensors(*parts)).sum(0)
        weights = weights / weights.norm(dim=0, keepdim=True).clamp(min=1e-6)
        return weights.expand(-1, len(self.gate))

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, bins, classes] → float32[n, classes]."""
        return torch.einsum("nbc,bc->nc", x, self.pooling_weights())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, bins, classes] → float32[n, cell types]."""
        return self.from_pooled(self.pool(x))

    def from_pooled(self, z: torch.Tensor) -> torch.Tensor:
        """float32[n, classes] → float32[n, cell types], the mean of the members."""
        return self.members(z).mean(0)

    def members(self, z: torch.Tensor) -> torch.Tensor:
        """float32[n, classes] → float32[members, n, cell types]."""
        s = z * self.gate
        parts = [s.expand(self.architecture.members, -1, -1)]
        if self.hidden is not None:
            parts.append(self.dropout(self.activation(self.hidden(s))))
        if self.left is not None and self.right is not None:
            parts.append(self.left(s) * self.right(s))
        return self.head(torch.cat(parts, dim=2))


@dataclass(frozen=True)
class Scaling:
    """Means and standard deviations of training genes; constant features have deviation 1.

    x_mean, x_sd: float32[bins, classes]; y_mean, y_sd: float32[cell types].
    """

    x_mean: np.ndarray
    x_sd: np.ndarray
    y_mean: np.ndarray
    y_sd: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> "Scaling":
        """From features [n, bins, classes] and expression [n, cell types] (NaN is missing)."""
        x_sd, y_sd = x.std(0), np.nanstd(y, 0)
        return cls(
            x.mean(0),
            np.where(x_sd > 1e-6, x_sd, 1).astype(np.float32),
            np.nanmean(y, 0).astype(np.float32),
            np.where(y_sd > 1e-6, y_sd, 1).astype(np.float32),
        )

    def x(self, features: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((features - self.x_mean) / self.x_sd).astype(np.float32))

    def y(self, expression: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((expression - self.y_mean) / self.y_sd).astype(np.float32))


@dataclass(frozen=True)
class TrainedTeacher:
    """A trained teacher.

    Attributes
    ----------
    network : Teacher
    scaling : Scaling
    classes, cell_types : list of str
    about : dict
        dataset, test_fold, seed, features (their meta), weights and ceilings of the cell types.
    """

    network: Teacher
    scaling: Scaling
    classes: list[str]
    cell_types: list[str]
    about: dict

    @torch.inference_mode()
    def predict(self, features: np.ndarray) -> np.ndarray:
        """float32[n, bins, classes] → float32[n, cell types], log2(CPM + 1)."""
        return self.unscaled(self.network.eval()(self.scaling.x(features)))

    @torch.inference_mode()
    def predict_pooled(self, pooled: np.ndarray) -> np.ndarray:
        """Pooled features float32[n, classes] → float32[n, cell types], log2(CPM + 1)."""
        return self.unscaled(self.network.eval().from_pooled(torch.from_numpy(pooled)))

    @torch.inference_mode()
    def pooled(self, features: np.ndarray) -> np.ndarray:
        """float32[n, bins, classes] → pooled features float32[n, classes]."""
        return self.network.pool(self.scaling.x(features)).numpy()

    def unscaled(self, y: torch.Tensor) -> np.ndarray:
        return y.numpy() * self.scaling.y_sd + self.scaling.y_mean

    @torch.inference_mode()
    def pooling(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights and offsets of the pooled features, in raw feature units.

        Returns
        -------
        weights : ndarray of float64[bins, classes]
        offsets : ndarray of float64[classes]
            pooled[n, c] = offset[c] + Σ_b weight[b, c] · x[n, b, c]
        """
        weights = self.network.pooling_weights().double().numpy() / self.scaling.x_sd
        return weights, -(weights * self.scaling.x_mean).sum(0)

    def save(self, folder: str | Path) -> None:
        """Write `teacher.safetensors` and `teacher.json`."""
        folder = Path(folder)
        tensors = {f"network.{k}": v.contiguous() for k, v in self.network.state_dict().items()}
        scaling = asdict(self.scaling)
        tensors |= {
            f"scaling.{k}": torch.from_numpy(np.array(v, np.float32)) for k, v in scaling.items()
        }
        with atomic_path(folder / "teacher.safetensors") as path:
            save_file(tensors, path, metadata={"format": FORMAT})
        document = {
            "format": FORMAT,
            "version": VERSION,
            "architecture": asdict(self.network.architecture),
            "classes": self.classes,
            "cell_types": self.cell_types,
            "about": self.about,
        }
        write_json(document, folder / "teacher.json")

    @classmethod
    def load(cls, folder: str | Path) -> "TrainedTeacher":
        """Read what `save` wrote. Raises GeneqError when the files are not a teacher's."""
        folder = Path(folder)
        path = folder / "teacher.json"
        document = check_format(read_json(path), "a teacher", FORMAT, VERSION, path)
        try:
            return cls._of(document, load_file(folder / "teacher.safetensors"))
        # KeyError to RuntimeError: weights that are not those of the document.
        except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
            raise GeneqError(
                "The teacher's weights cannot be read",
                value=str(error).splitlines()[0],
                file=folder / "teacher.safetensors",
            ) from None

    @classmethod
    def _of(cls, document: dict, tensors: dict[str, torch.Tensor]) -> "TrainedTeacher":
        scaling = Scaling(**{k: tensors[f"scaling.{k}"].numpy() for k in Scaling.__annotations__})
        bins, classes = scaling.x_mean.shape
        architecture = Architecture(**document["architecture"])
        network = Teacher(architecture, bins, classes, len(document["cell_types"]))
        weights = {k: v for k, v in tensors.items() if k.startswith("network.")}
        network.load_state_dict({k.removeprefix("network."): v for k, v in weights.items()})
        return cls(network, scaling, document["classes"], document["cell_types"], document["about"])
