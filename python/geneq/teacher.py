"""The teacher: the searched network from features to expression.

    x   features, scaled and standardised                               [genes, columns]
    z   variables, each a weighted sum of columns                        [genes, variables]
          pooled features: of the bins of one class (one or more profiles a class)
          programmes: of all columns
    s   gated: z times a gate per variable, driven towards 0 by its penalty
    e   s and its encoding (none, piecewise linear, periodic)
    h   hidden units: act(W e + b), which mix variables (dense), or act(w s + b), which read one
        each (additive)
    y   one linear head per cell type over e, h and products (U s)(V s)

Nothing nonlinear happens before the variables, except a monotone scale of each column, so every
variable is an explicit weighted sum over bins and classes, and an equation in the variables is one
in the DNA.

Everything after s exists several times, as an ensemble: members differ in initialisation and
dropout, each is trained to predict expression alone, and the prediction is their mean (cf. TabM,
Gorishniy et al. 2024). All members share profiles, programmes and gates, and therefore the
variables. Columns are dropped at random while training: without that, boosted trees are better on
real genomes.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.nn import functional

from .artifacts import ABSOLUTE, TARGETS, atomic_path, read_json, write_json
from .checks import check_format
from .errors import GeneqError
from .features import Features

__all__ = [
    "Architecture", "BlockShape", "Scaling", "Teacher", "TrainedTeacher", "Variable", "dropout",
    "shapes_of",
]  # fmt: skip

FORMAT, VERSION = "geneq-teacher", 3
POOLINGS = ("shared", "partial", "class", "attention", "convolution", "decay", "promoter_distal")
ENCODINGS = ("none", "piecewise", "periodic")
LINKS = ("identity", "softplus")
HIDDEN = ("none", "dense", "additive")
# Far below the data: there, softplus is the identity.
NO_FLOOR = -30.0
# All but relu can be written in an equation; relu is its limit of softplus.
NONLINEARITIES: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
}
# Decays per 200 nt, upstream and downstream of the TSS (ExPecto: Zhou et al., Nat. Genet. 50:1171).
DECAYS = np.array([0.01, 0.02, 0.05, 0.1, 0.2])
# Bins whose centre is within so many nt of the TSS are the promoter's.
PROMOTER = 250
# Knots of the piecewise-linear encoding of gated variables.
KNOTS = (-1.5, -0.5, 0.5, 1.5)
FREQUENCIES = 3


@dataclass(frozen=True)
class Architecture:
    """A network of the search space, see `geneq.stages.search.space`; members: of the ensemble."""

    scale: str = "raw"
    pooling: str = "class"
    profiles: int = 1
    programmes: int = 0
    hidden: str = "dense"
    width: int = 64
    depth: int = 1
    products: int = 0
    encoding: str = "none"
    nonlinearity: str = "silu"
    link: str = "identity"
    input_dropout: float = 0.6
    dropout: float = 0.4
    weight_decay: float = 0.3
    gate_penalty: float = 0.0
    budget: int = 0
    learning_rate: float = 0.002
    members: int = 8


class BlockShape(NamedTuple):
    """Number of bins and classes of a block, and the centres of its bins.

    centres: nt from the TSS, or None where there is no TSS.
    """

    bins: int
    classes: int
    centres: tuple[float, ...] | None = None

    @property
    def columns(self) -> int:
        return self.bins * self.classes

    @classmethod
    def of(cls, bins: int, classes: int, centres: list[float] | None) -> "BlockShape":
        """From JSON, which has lists."""
        return cls(bins, classes, None if centres is None else tuple(centres))


def shapes_of(features: Features) -> list[BlockShape]:
    """The shapes of the blocks of features."""
    found = []
    for block in features.blocks:
        edges = block.meta.get("bin_edges") if block.meta.get("window") else None
        centres = edges and tuple((low + high) / 2 for low, high in pairwise(edges))
        _, bins, classes = block.values.shape
        found.append(BlockShape(bins, classes, centres))
    return found


# --- layers -----------------------------------------------------------------------------------


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
        if x.dim() == 2:  # all members read the same: one product instead of many
            together = self.weight.transpose(0, 1).flatten(1)
            y = (x @ together).view(len(x), len(self.weight), self.units).transpose(0, 1)
        else:
            y = x @ self.weight
        return y if self.bias is None else y + self.bias


class Additive(nn.Module):
    """Hidden units that read one variable each.

    float32[n, inputs] → float32[members, n, inputs × width].
    """

    def __init__(self, members: int, inputs: int, width: int):
        super().__init__()
        self.units = inputs * width
        self.slope = nn.Parameter(torch.randn(members, 1, inputs, width))
        self.shift = nn.Parameter(torch.randn(members, 1, inputs, width))

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        return (s[..., None] * self.slope + self.shift).flatten(2)


class Pooling(nn.Module):
    """One or more weighted sums over the bins of every class of a block.

    shared: one profile for all classes; class: one per class; partial: one per class that departs
    from a shared one; attention: weights of a class are positive (a softmax); convolution: one per
    class, smoothed by a kernel that all share; decay: sums of exponential decays from the TSS;
    promoter_distal: two profiles per class, of the bins within PROMOTER nt of the TSS and of the
    others. Every profile has unit length.
    """

    basis: torch.Tensor
    mask: torch.Tensor

    def __init__(self, shape: BlockShape, kind: str, profiles: int):
        super().__init__()
        self.shape, self.kind = shape, kind
        even, size = shape.bins**-0.5, (shape.bins, shape.classes, profiles)
        # Profiles of a class begin differently, or they would remain equal.
        spread = 0.3 * even if profiles > 1 else 0.0
        self.common = self.own = self.kernel = None
        if kind in ("shared", "partial"):
            start = even + spread * torch.randn(shape.bins, 1, profiles)
            self.common = nn.Parameter(start)
        if kind == "partial":
            self.own = nn.Parameter(torch.zeros(size))
        elif kind == "attention":
            self.own = nn.Parameter(spread / even * torch.randn(size))
        elif kind == "decay":
            self.register_buffer("basis", decay_basis(shape), persistent=False)
            start = torch.randn(len(self.basis), shape.classes, profiles) if profiles > 1 else 0.0
            ones = torch.ones(len(self.basis), shape.classes, profiles) / len(self.basis)
            self.own = nn.Parameter(ones + 0.3 * start / len(self.basis))
        elif kind != "shared":
            self.own = nn.Parameter(even + spread * torch.randn(size))
        if kind == "convolution":
            self.kernel = nn.Parameter(torch.tensor([0.25, 0.5, 0.25]))
        if kind == "promoter_distal":
            self.register_buffer("mask", promoter_mask(shape)[:, None], persistent=False)

    def weights(self) -> torch.Tensor:
        """float32[bins, classes, profiles]."""
        parts = [part for part in (self.common, self.own) if part is not None]
        weights = torch.stack(torch.broadcast_tensors(*parts)).sum(0)
        if self.kind == "attention":
            weights = weights.softmax(0)
        elif self.kind == "decay":
            weights = torch.einsum("kb,kcp->bcp", self.basis, weights)
        elif self.kernel is not None:
            flat = weights.flatten(1).T[:, None]
            flat = functional.conv1d(flat, self.kernel[None, None], padding=1)[:, 0].T
            weights = flat.reshape(weights.shape)
        elif self.kind == "promoter_distal":
            weights = weights * self.mask
        weights = weights / weights.norm(dim=0, keepdim=True).clamp(min=1e-6)
        return weights.expand(-1, self.shape.classes, -1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, bins × classes] → float32[n, profiles × classes], a profile after another."""
        x = x.view(len(x), self.shape.bins, self.shape.classes)
        return torch.cat([(x * profile).sum(1) for profile in self.weights().unbind(2)], dim=1)


def profiles_of(shape: BlockShape, architecture: Architecture) -> int:
    """Profiles of each class of a block; where there is one bin, one."""
    if shape.bins == 1:
        return 1
    return 2 if architecture.pooling == "promoter_distal" else architecture.profiles


def decay_basis(shape: BlockShape) -> torch.Tensor:
    """float32[decays, bins], each of unit length; a constant where there is no TSS."""
    if shape.centres is None:
        return torch.full((1, shape.bins), shape.bins**-0.5)
    centres = np.array(shape.centres)
    curves = np.exp(-DECAYS[:, None] * np.abs(centres) / 200)
    basis = np.concatenate([curves * (centres < 0), curves * (centres >= 0)])
    basis = basis[basis.any(1)]
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    return torch.from_numpy(basis.astype(np.float32))


def promoter_mask(shape: BlockShape) -> torch.Tensor:
    """float32[bins, 2]: which bins are the promoter's and which are not.

    All are both where that would leave one of the two without bins.
    """
    near = np.abs(np.array(shape.centres or np.zeros(shape.bins))) <= PROMOTER
    mask = np.column_stack([near, ~near])
    if not mask.any(0).all():
        mask[:] = True
    return torch.from_numpy(mask.astype(np.float32))


class Encoding(nn.Module):
    """A variable and functions of it: float32[n, variables] → float32[n, variables × parts].

    piecewise: hinges at fixed knots (cf. Gorishniy et al., NeurIPS 2022, arXiv:2203.05556);
    periodic: sines and cosines of learned frequencies (the same).
    """

    knots: torch.Tensor

    def __init__(self, kind: str, variables: int):
        super().__init__()
        self.kind = kind
        extra = {"none": 0, "piecewise": len(KNOTS), "periodic": 2 * FREQUENCIES}[kind]
        self.units = variables * (1 + extra)
        self.frequency = None
        if kind == "periodic":
            self.frequency = nn.Parameter(0.3 * torch.randn(variables, FREQUENCIES))
        self.register_buffer("knots", torch.tensor(KNOTS), persistent=False)

    def forward(self, s: torch.Tensor) -> torch.Tensor:
        if self.kind == "none":
            return s
        if self.frequency is None:
            parts = functional.relu(s[..., None] - self.knots)
        else:
            angle = 2 * np.pi * s[..., None] * self.frequency
            parts = torch.cat([angle.sin(), angle.cos()], dim=-1)
        return torch.cat([s[..., None], parts], dim=-1).flatten(1)


def dropout(x: torch.Tensor, rate: float, training: bool = True) -> torch.Tensor:
    """`x` with a share of its values set to 0, the rest scaled up to the same mean.

    Draws a random byte a value, eight at a time; torch's own draws are as slow as all the rest of
    the training. The rate is rounded to a 256th.
    """
    threshold = round(256 * rate)
    if not training or threshold == 0:
        return x
    if threshold == 256:
        return torch.zeros_like(x)
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    bytes_ = words.random_(-(2**63), None).view(torch.uint8)[: x.numel()].view(x.shape)
    kept = (bytes_ >= threshold).to(x.dtype)  # a product is much faster than torch.where
    return x * kept.mul_(256 / (256 - threshold))


# --- the network ------------------------------------------------------------------------------


class Teacher(nn.Module):
    """See the module's docstring. Inputs and outputs are standardised.

    outputs: number of heads, see `TrainedTeacher`.
    """

    kept: torch.Tensor
    floor: torch.Tensor
    sides: torch.Tensor
    left: Linear | None
    right: Linear | None

    def __init__(self, architecture: Architecture, shapes: list[BlockShape], outputs: int):
        super().__init__()
        self.architecture, self.shapes, a = architecture, shapes, architecture
        self.pooling = nn.ModuleList(
            Pooling(s, a.pooling if s.bins > 1 else "class", profiles_of(s, a)) for s in shapes
        )
        columns = sum(s.columns for s in shapes)
        start = torch.randn(columns, a.programmes) * columns**-0.5
        self.programmes = nn.Parameter(start) if a.programmes else None
        self.variables = sum(s.classes * profiles_of(s, a) for s in shapes) + a.programmes
        self.gate = nn.Parameter(torch.ones(self.variables))
        self.register_buffer("kept", torch.ones(self.variables))
        # Expression that is 0, in standardised units: the least value of the link softplus.
        self.register_buffer("floor", torch.full((outputs,), NO_FLOOR))
        self.encoding = Encoding(a.encoding, self.variables)
        self.activation = NONLINEARITIES[a.nonlinearity]()
        layers = self._hidden_layers()
        self.hidden = nn.ModuleList(layers)
        self.register_buffer("sides", self._sides(), persistent=False)
        pairs = [Linear(a.members, self.variables, a.products, bias=False) for _ in range(2)]
        self.left, self.right = pairs if a.products else (None, None)
        units = {"encoded": self.encoding.units, "products": a.products}
        units |= {"hidden": layers[-1].units} if layers else {}
        heads = {k: Linear(a.members, n, outputs, bias=False) for k, n in units.items() if n}
        for head in heads.values():
            nn.init.zeros_(head.weight)
        self.heads = nn.ModuleDict(heads)
        self.constant = nn.Parameter(torch.zeros(a.members, 1, outputs))

    def _hidden_layers(self) -> list[Linear | Additive]:
        a = self.architecture
        if a.hidden == "none":
            return []
        first: Linear | Additive
        if a.hidden == "additive":
            first = Additive(a.members, self.variables, max(1, a.width // 8))
        else:
            first = Linear(a.members, self.encoding.units, a.width)
        more = [Linear(a.members, first.units, a.width)] if a.depth > 1 else []
        return [first, *more]

    def profiles(self) -> list[torch.Tensor]:
        """The weights of each block's pooling, float32[bins, classes, profiles]."""
        return [cast(Pooling, pooling).weights() for pooling in self.pooling]

    def _sides(self) -> torch.Tensor:
        """float32[2, variables]: what either factor of a product reads.

        All variables; with promoter and distal profiles, one factor reads the promoters' and the
        other, as a gate, the distal ones'.
        """
        sides = torch.ones(2, self.variables)
        if self.architecture.pooling != "promoter_distal":
            return sides
        profile = [
            p if shape.bins > 1 else -1
            for shape in self.shapes
            for p in range(profiles_of(shape, self.architecture))
            for _ in range(shape.classes)
        ]
        profile += [-1] * self.architecture.programmes
        sides[0] = torch.tensor([p != 1 for p in profile])
        sides[1] = torch.tensor([p != 0 for p in profile])
        return sides

    def pool(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, columns] → variables, float32[n, variables]."""
        parts = x.split([shape.columns for shape in self.shapes], dim=1)
        z = [pooling(part) for pooling, part in zip(self.pooling, parts, strict=True)]
        if self.programmes is not None:
            z.append(x @ self.programmes)
        return torch.cat(z, dim=1)

    @torch.no_grad()
    def weights(self, variable: int) -> torch.Tensor:
        """float32[columns]: what a variable is the weighted sum with."""
        weights = torch.zeros(sum(shape.columns for shape in self.shapes))
        place, first = variable, 0
        for shape, own in zip(self.shapes, self.profiles(), strict=True):
            if place < own[0].numel():
                profile, label = divmod(place, shape.classes)
                columns = slice(first + label, first + shape.columns, shape.classes)
                weights[columns] = own[:, label, profile].cpu()
                return weights
            place, first = place - own[0].numel(), first + shape.columns
        assert self.programmes is not None, "variables beyond the profiles are programmes"
        return self.programmes[:, place].detach().cpu().clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """float32[n, columns] → float32[n, outputs], the mean of the members."""
        return self.members(self.pool(x)).mean(0)

    def members(self, z: torch.Tensor) -> torch.Tensor:
        """Variables float32[n, variables] → float32[members, n, outputs]."""
        s = z * (self.gate * self.kept)
        encoded = self.encoding(s)
        h = s if self.architecture.hidden == "additive" else encoded
        y = self.constant + self.heads["encoded"](encoded)
        for layer in self.hidden:
            h = dropout(self.activation(layer(h)), self.architecture.dropout, self.training)
        if self.hidden:
            y = y + self.heads["hidden"](h)
        if self.left is not None and self.right is not None:
            right = self.right(s * self.sides[1])
            if self.architecture.pooling == "promoter_distal":
                right = right.sigmoid()
            y = y + self.heads["products"](self.left(s * self.sides[0]) * right)
        if self.architecture.link == "softplus":
            y = self.floor + functional.softplus(y - self.floor)
        return y

    @torch.no_grad()
    def prune(self) -> None:
        """Keep only the `budget` variables with the largest gates, if there is a budget."""
        if 0 < self.architecture.budget < self.variables:
            order = self.gate.abs().argsort(descending=True, stable=True)
            self.kept[order[self.architecture.budget :]] = 0.0


# --- trained ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scaling:
    """Means and standard deviations of training genes; constant features have deviation 1.

    x_mean, x_sd: float32[columns]; y_mean, y_sd: float32[heads].
    """

    x_mean: np.ndarray
    x_sd: np.ndarray
    y_mean: np.ndarray
    y_sd: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> "Scaling":
        """From features [n, columns] and expression [n, heads] (NaN is missing)."""
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

    @property
    def floor(self) -> torch.Tensor:
        """Expression of 0, standardised: float32[heads]."""
        return torch.from_numpy((-self.y_mean / self.y_sd).astype(np.float32))


class Variable(NamedTuple):
    """What a variable reads: the place of its block and its class; both None for a programme."""

    block: int | None
    name: str | None


@dataclass(frozen=True)
class TrainedTeacher:
    """A trained teacher.

    Its heads predict log2(CPM + 1) of the cell types; where specific expression was asked for, as
    many more predict each minus the gene's mean over cell types.

    Attributes
    ----------
    network : Teacher
    scaling : Scaling
    classes : list of list of str
        Of each block.
    cell_types : list of str
    about : dict
        dataset, test_fold, seed, features (`Features.about`), weights of the heads, ceilings and
        specific_ceilings of the cell types.
    """

    network: Teacher
    scaling: Scaling
    classes: list[list[str]]
    cell_types: list[str]
    about: dict

    @property
    def scale(self) -> str:
        """How columns are scaled, see `Features.matrix`."""
        return self.network.architecture.scale

    @property
    def targets(self) -> tuple[str, ...]:
        """What its heads predict: absolute expression, and where it was asked for specific."""
        return _targets(self.about)

    def head(self, cell_type: str, target: str = ABSOLUTE) -> int:
        """The head that predicts this expression of a cell type."""
        first = self.targets.index(target) * len(self.cell_types)
        return first + self.cell_types.index(cell_type)

    @property
    def variables(self) -> list[Variable]:
        """What each variable reads."""
        found = []
        for i, profiles in enumerate(self.network.profiles()):
            found += [Variable(i, name) for name in self.classes[i]] * profiles.shape[2]
        return found + [Variable(None, None)] * self.network.architecture.programmes

    @torch.inference_mode()
    def pool(self, columns: np.ndarray) -> np.ndarray:
        """Features on its scale, float32[n, columns] → variables, float32[n, variables]."""
        return self.network.pool(self.scaling.x(columns)).numpy()

    def pooled(self, features: Features) -> np.ndarray:
        """The variables of genes, float32[genes, variables]."""
        return self.pool(features.matrix(self.scale))

    @torch.inference_mode()
    def members(self, pooled: np.ndarray) -> np.ndarray:
        """Variables float32[n, variables] → what every member predicts, [members, n, heads]."""
        y = self.network.eval().members(torch.from_numpy(pooled)).numpy()
        return y * self.scaling.y_sd + self.scaling.y_mean

    def predict_pooled(self, pooled: np.ndarray) -> np.ndarray:
        """Variables float32[n, variables] → what the heads predict, float32[n, heads]."""
        return self.members(pooled).mean(0)

    def predict(self, features: Features) -> np.ndarray:
        """float32[genes, cell types], log2(CPM + 1)."""
        return self.predict_pooled(self.pooled(features))[:, : len(self.cell_types)]

    def weights(self, variable: int) -> tuple[np.ndarray, float]:
        """Weights and offset of a variable, in units of the scaled columns.

        Returns
        -------
        weights : ndarray of float64[columns]
        offset : float
            pooled[n, variable] = offset + Σ_column weight · features.matrix(scale)[n, column]
        """
        weights = self.network.weights(variable).double().numpy() / self.scaling.x_sd
        return weights, -float(weights @ self.scaling.x_mean)

    def save(self, folder: str | Path) -> None:
        """Write `teacher.safetensors` and `teacher.json`."""
        folder = Path(folder)
        tensors = {f"network.{k}": v.contiguous() for k, v in self.network.state_dict().items()}
        scaling = asdict(self.scaling)
        tensors |= {
            f"scaling.{k}": torch.from_numpy(np.array(v, np.float32)) for k, v in scaling.items()
        }
        with atomic_path(folder / "teacher.safetensors") as path:
            # save_file would make a file that others of the user's group cannot read.
            path.write_bytes(save(tensors, metadata={"format": FORMAT}))
        document = {
            "format": FORMAT,
            "version": VERSION,
            "architecture": asdict(self.network.architecture),
            "shapes": [shape._asdict() for shape in self.network.shapes],
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
        shapes = [BlockShape.of(**shape) for shape in document["shapes"]]
        architecture = Architecture(**document["architecture"])
        outputs = len(_targets(document["about"])) * len(document["cell_types"])
        network = Teacher(architecture, shapes, outputs)
        weights = {k: v for k, v in tensors.items() if k.startswith("network.")}
        network.load_state_dict({k.removeprefix("network."): v for k, v in weights.items()})
        return cls(network, scaling, document["classes"], document["cell_types"], document["about"])


def _targets(about: dict) -> tuple[str, ...]:
    return TARGETS if about.get("specific_ceilings") else TARGETS[:1]
