"""Run PySR on `data.npz` and `options.json` of a folder; write its front to `front.json`.

Started by `engines.PySR` in a separate process. Serial and deterministic, so that the same seed
gives the same front.
"""

import json
import sys
from pathlib import Path


def main(folder: Path) -> None:
    # Julia's libraries come first: those of NumPy may be older.
    from pysr import PySRRegressor  # isort: skip
    import numpy as np

    data = np.load(folder / "data.npz", allow_pickle=False)
    options = json.loads((folder / "options.json").read_text())
    model = PySRRegressor(
        niterations=options["generations"],
        binary_operators=["+", "-", "*", "/"],
        unary_operators=["exp", "tanh", "square"],
        maxsize=options["max_length"],
        random_state=options["seed"],
        deterministic=True,
        parallelism="serial",
        progress=False,
        verbosity=0,
        temp_equation_file=True,
    )
    model.fit(data["x"], data["y"])
    front = [str(expression) for expression in model.equations_["sympy_format"]]
    (folder / "front.json").write_text(json.dumps(front))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
