"""A narrow Sei: its weights and files, from a seed, as the published folder has them.

tests/data/sei_golden.npz has what the published code (FunctionLab/sei-framework: model/sei.py with
the channels 480, 640 and 960 replaced by 12, 16 and 24, utils.py; strands averaged by Selene's
NonStrandSpecific) computes from these weights and `sequences`: `profiles` of `sequences()`,
`projection` (all rows) of them, and `variants`, the scores of `alleles()`.
"""

from pathlib import Path

import numpy as np
import torch

SEED, WIDTH, PROFILES, CLASSES, ROWS = 42, 12, 30, 40, 61
HISTONES = np.array([1, 2, 3, 5, 8, 13, 21, 29])
FIRST, SECOND, THIRD = WIDTH, WIDTH * 4 // 3, WIDTH * 2
SHAPES = {
    "lconv1.0": (FIRST, 4, 9), "lconv1.1": (FIRST, FIRST, 9),
    "conv1.0": (FIRST, FIRST, 9), "conv1.2": (FIRST, FIRST, 9),
    "lconv2.2": (SECOND, FIRST, 9), "lconv2.3": (SECOND, SECOND, 9),
    "conv2.1": (SECOND, SECOND, 9), "conv2.3": (SECOND, SECOND, 9),
    "lconv3.2": (THIRD, SECOND, 9), "lconv3.3": (THIRD, THIRD, 9),
    "conv3.1": (THIRD, THIRD, 9), "conv3.3": (THIRD, THIRD, 9),
    **{f"dconv{i}.1": (THIRD, THIRD, 5) for i in range(1, 6)},
    "classifier.0": (PROFILES, THIRD * 16), "classifier.2": (PROFILES, PROFILES),
}  # fmt: skip


def weights() -> dict[str, torch.Tensor]:
    """The state dict, under the published names."""
    rng, found = np.random.default_rng(SEED), {}
    for name, shape in SHAPES.items():
        # Splines add up about 16 positions each.
        scale = (0.03 if name == "classifier.0" else 1.2) / np.prod(shape[1:]) ** 0.5
        found[f"{name}.weight"] = torch.tensor(rng.normal(0, scale, shape), dtype=torch.float32)
        found[f"{name}.bias"] = torch.tensor(rng.normal(0, 0.1, shape[0]), dtype=torch.float32)
    return found


def projection() -> np.ndarray:
    """float64[61, profiles]."""
    return np.random.default_rng(SEED + 1).uniform(0, 2, (ROWS, PROFILES))


def sequences() -> np.ndarray:
    """uint8[4, 4096]; the last has Ns."""
    tokens = np.random.default_rng(SEED + 2).integers(0, 4, (4, 4096)).astype(np.uint8)
    tokens[3, 1000:1100] = tokens[3, 2048] = 4
    return tokens


def alleles() -> tuple[np.ndarray, np.ndarray]:
    """Sequences with the reference and the alternative: two substitutions at 2,047, a deletion."""
    ref = sequences()[[0, 1, 2]]
    alt = ref.copy()
    alt[:2, 2047] = (ref[:2, 2047] + [1, 2]) % 4
    alt[2, 2050:-5] = ref[2, 2055:]
    return ref, alt


def write_folder(folder: Path) -> Path:
    """The folder as it is published."""
    torch.save(weights(), folder / "sei.pth")
    np.save(folder / "projvec_targets.npy", projection())
    np.save(folder / "histone_inds.npy", HISTONES)
    (folder / "seqclass.names").write_text("\n".join(f"C{i} class" for i in range(CLASSES)))
    (folder / "target.names").write_text(
        "".join(f"cell | mark | ID:{i}\n" for i in range(PROFILES))
    )
    return folder
