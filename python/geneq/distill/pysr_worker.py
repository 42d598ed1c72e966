"""Run PySR on `data.npz` and `options.json` of a folder; write its front to `front.json`.

Started by `engines.PySR` in a separate process. Serial and deterministic, so that the same seed
gives the same front. With the option `targets` the last column of x is the number of a target, from
1, and expressions have PARAMETERS that differ between targets.
"""

import json
import sys
from pathlib import Path

PARAMETERS = 5


def template(columns: int, targets: int) -> dict:
    """The arguments of TemplateExpressionSpec for so many columns, the target's number the last."""
    names = [f"x{i}" for i in range(columns - 1)]
    parameters = [f"p{i + 1}" for i in range(PARAMETERS)]
    arguments = names + [f"{parameter}[category]" for parameter in parameters]
    return {
        "expressions": ["f"],
        "variable_names": [*names, "category"],
        "parameters": dict.fromkeys(parameters, targets),
        "combine": f"f({', '.join(arguments)})",
    }


def main(folder: Path) -> None:
    # Julia's libraries come first: those of NumPy may be older.
    from pysr import PySRRegressor  # isort: skip
    import numpy as np

    data = np.load(folder / "data.npz", allow_pickle=False)
    options = json.loads((folder / "options.json").read_text())
    more = {}
    if "targets" in options:
        from pysr import TemplateExpressionSpec

        spec = TemplateExpressionSpec(**template(data["x"].shape[1], options["targets"]))
        more = {"expression_spec": spec}
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
        **more,
    )
    model.fit(data["x"], data["y"])
    # Templates have no form of sympy's.
    front = [
        str(expression) for expression in model.equations_["equation" if more else "sympy_format"]
    ]
    (folder / "front.json").write_text(json.dumps(front))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
