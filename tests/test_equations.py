"""Equations: what text is taken, that it means what it says, and that documents are checked."""

import json
import warnings

import numpy as np
import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geneq import load_equation
from geneq.equations import (
    FUNCTIONS,
    Equation,
    Form,
    about_features,
    class_label,
    class_shares,
    evaluate,
    infix,
    parse,
    round_to,
    to_sympy,
    used_blocks,
    used_variables,
    with_numbers,
)
from geneq.errors import GeneqError
from geneq.features import Block, Features
from twins import equations as twin
from twins import features as scores


def form(text: str) -> Form:
    return Form.of(to_sympy(parse(text)))


# --- text -----------------------------------------------------------------------------------------

EVIL = [
    "__import__('os').system('true')",
    "x.__class__",
    "open(x)",
    "eval(x)",
    "max(x, 1)",
    "exp(x, y)",
    "exp(x=1)",
    "exp(*x)",
    "lambda: 1",
    "[x for x in y]",
    "{x: 1}",
    "(x, y)",
    "x[0]",
    "'text'",
    "f'{x}'",
    "b'1'",
    "1j",
    "True",
    "None",
    "...",
    "x if y else 1",
    "x and y",
    "not x",
    "~x",
    "x < y",
    "x // y",
    "x % y",
    "x @ y",
    "x << y",
    "await x",
    "(yield)",
]


@pytest.mark.parametrize("text", EVIL)
def test_only_arithmetic_is_an_expression(text):
    with pytest.raises(GeneqError, match="Not an expression") as raised:
        parse(text)
    assert repr(text) in str(raised.value) or text in str(raised.value)


@pytest.mark.parametrize("text", ["", " ", "x +", "x; y", "x = 1", "x := 1", "x\ny", "\0", "x y"])
def test_broken_text_is_no_expression(text):
    with pytest.raises(GeneqError, match="Not an expression"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * 100_001, "longer than 100000 characters"),
        ("x" + "+x" * 40_000, "too deeply nested"),
        ("x" + "+x" * 500, "too deeply nested"),
        ("-" * 50_000 + "x", "too deeply nested"),
        ("(" * 50_000 + "x" + ")" * 50_000, "nested|longer"),
        ("exp(" * 250 + "x" + ")" * 250, "nested"),
        ("9" * 5_000, "digits"),
        ("9" * 4_000, "too large"),
        ("1e999", "not allowed"),
    ],
)
def test_huge_text_is_refused_with_a_short_message(text, why):
    with pytest.raises(GeneqError, match=why) as raised:
        parse(text)
    assert len(str(raised.value)) < 400


def test_the_longest_text_taken_can_be_evaluated_and_printed():
    text = "x" + "+x*y" * 198
    tree = parse(text)
    assert evaluate(tree, {"x": 2.0, "y": 3.0}) == 2 + 198 * 6
    assert infix(to_sympy(tree)) == "198*x*y + x"


def test_errors_name_the_file():
    with pytest.raises(GeneqError, match=r"in some\.json"):
        parse("x.y", "some.json")


NUMBERS = st.floats(-3, 3).map(lambda v: round(v, 3)) | st.integers(-3, 3).map(float)
LEAVES = NUMBERS | st.sampled_from(["x", "y", "z_SP1"])


def _grown(children):
    whole = st.sampled_from([-2, -1, 2, 3])
    return (
        st.tuples(st.sampled_from(["+", "-", "*", "/"]), children, children)
        | st.tuples(st.sampled_from(["exp", "tanh", "square", "abs"]), children)
        | st.tuples(st.just("**"), children, whole)
    )


TREES = st.recursive(LEAVES, _grown, max_leaves=8)
ROWS = {
    "x": np.array([-1.7, 0.3, 1.1, 2.9]),
    "y": np.array([0.8, -2.1, 0.45, 1.3]),
    "z_SP1": np.array([0.15, 1.9, -0.6, -1.2]),
}


def _by_twin(tree) -> np.ndarray:
    """The value by the twin; examples whose parts are too large or small to compare are left."""
    seen: list[float] = []
    try:
        columns = [column.tolist() for column in ROWS.values()]
        rows = [dict(zip(ROWS, row, strict=True)) for row in zip(*columns, strict=True)]
        values = np.array([twin.value(tree, row, seen) for row in rows])
    except (ZeroDivisionError, OverflowError, ValueError):
        assume(False)
    assume(max(seen) < 1e4)
    assume(all(part == 0 or part > 1e-4 for part in seen))
    return values


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TREES)
def test_an_expression_has_one_value_however_it_is_evaluated(tree):
    expected = _by_twin(tree)
    text = twin.text(tree)
    close = {"rtol": 1e-7, "atol": 1e-7 * max(1, np.abs(expected).max())}
    value = evaluate(parse(text), ROWS)
    np.testing.assert_allclose(np.broadcast_to(value, 4), expected, **close)
    namespace = {name: function for name, (function, _) in FUNCTIONS.items()}
    with np.errstate(all="ignore"):
        by_numpy = eval(text, {"__builtins__": {}}, {**namespace, **ROWS})
    np.testing.assert_allclose(value, by_numpy, rtol=1e-12)
    symbolic = to_sympy(parse(text))
    for i in range(4):
        row = {sympy.Symbol(name, real=True): ROWS[name][i] for name in ROWS}
        number = symbolic.subs(row).evalf()
        assert abs(float(number) - expected[i]) <= 1e-6 * max(1, abs(expected[i]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(TREES)
def test_naming_the_numbers_leaves_the_value(tree):
    expected = _by_twin(tree)
    made = form(twin.text(tree))
    close = {"rtol": 1e-6, "atol": 1e-6 * max(1, np.abs(expected).max())}
    np.testing.assert_allclose(made.values(made.start, ROWS, 4), expected, **close)
    constants = {f"c{i}": c for i, c in enumerate(made.start)}
    read_back = evaluate(parse(made.text), {**ROWS, **constants})
    np.testing.assert_allclose(np.broadcast_to(read_back, 4), expected, **close)
    assert not made.expression.atoms(sympy.Float)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_the_same_in_numpy_and_sympy(name):
    x = np.array([0.2, 1.7, 3.1])
    tree = parse(f"{name}(x)")
    symbolic = sympy.lambdify(sympy.Symbol("x", real=True), to_sympy(tree), "numpy")
    np.testing.assert_allclose(evaluate(tree, {"x": x}), symbolic(x), rtol=1e-12)
    expected = [twin.FUNCTIONS[name.lower()](value) for value in x]
    np.testing.assert_allclose(evaluate(tree, {"x": x}), expected, rtol=1e-12)


def test_overflow_and_division_by_zero_are_infinite_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(evaluate(parse("exp(1000*x)"), {"x": 1.0}))
        assert np.isinf(evaluate(parse("1/x"), {"x": 0.0}))
        assert np.isnan(evaluate(parse("log(x)"), {"x": -1.0}))


# --- forms ----------------------------------------------------------------------------------------

WRITINGS = {
    "c0 + c1*x": ["0.5*(2*x + 1)", "1.0*x + 0.5", "0.7 - -0.3*x", "2*(x + 0.25)*0.5",
                  "0.25*(2*(2*x + 1) + 0.0)", "x*0.3 + 0.4 + 0.3", "(x + 0.5)*1.0 - 0.2*x"],
    "c0 + c1*x*y": ["0.5*x*y", "0.5*(x*(y*2.0)) + 1", "x*0.7*y*0.3 - 1.5", "(0.1*x)*(0.3*y)"],
    "c0 + c1*tanh(c2 + c3*x)": ["2.0*tanh(0.5*(2*x + 1)) + 1", "1 + tanh(x*0.1 + 0.2)*3.0",
                                "0.5*(2.0 + 3.0*tanh(0.4*x - 0.1))"],
    "c0 + (c1*x + c2*y)*tanh(c3*z)": [
        "0.5 + 2.0*(0.1*x + 0.3*y)*tanh(0.7*z)", "0.5 + 2.0*tanh(0.7*z)*(0.1*x + 0.3*y)",
        "0.5 - tanh(0.7*z)*(0.1*x + 0.3*y)", "0.5 + (2.0*x + 3.0*y)*tanh(0.7*z)*0.5",
    ],
    "c0 + c1*x**2": ["0.5*x*x", "0.5*square(x) + 1", "x**2*0.1", "0.1*x*x + 0.2*x**2"],
}  # fmt: skip


@pytest.mark.parametrize("written", WRITINGS)
def test_writings_of_one_form_are_counted_alike(written):
    wanted = sum(1 for _ in sympy.preorder_traversal(to_sympy(parse(written))))
    for text in WRITINGS[written]:
        assert form(text).complexity == wanted, text
        assert len(form(text).start) == written.count("c"), text


@pytest.mark.parametrize(
    ("text", "complexity", "start"),
    [
        ("3.5", 1, [3.5]),  # a constant
        ("x", 3, [0.0]),  # c0 + x: a factor of exactly one is none
        ("-x", 5, [0.0, -1.0]),  # c0 + c1*x
        ("x**2", 5, [0.0]),  # c0 + x**2: whole exponents stay
        ("x**0.5", 5, [0.0, 0.5]),  # c0 + x**c1
        ("0.5**x", 5, [0.0, 0.5]),  # c0 + c1**x
        ("exp(1)*x", 5, [0.0, np.e]),  # c0 + c1*x: no constant of sympy's own
    ],
)
def test_what_becomes_a_constant(text, complexity, start):
    made = form(text)
    assert made.complexity == complexity
    np.testing.assert_allclose(made.start, start)
    x = {"x": np.array([0.3, 1.2])}
    expected = np.broadcast_to(evaluate(parse(text), x), 2)
    np.testing.assert_allclose(made.values(made.start, x, 2), expected)


@pytest.mark.parametrize(
    ("truth", "start"),
    [
        ("3 + 0.5*a - 0.2*a*b", "1 + 1.5*a + 1.5*a*b"),
        ("3 + 0.5*tanh(1.7*a + 0.3)", "1 + 2.0*tanh(2.0*a + 0.1)"),
        ("3 + 0.5*exp(0.7*a)", "1 + 2.0*exp(0.1*a)"),
        ("3 + 0.5/(2.0 + a**2)", "1 + 2.0/(1.0 + a**2)"),
        ("3 + 2e-4*large + 5000.0*small", "1 + 1.5*large + 1.5*small"),
    ],
)
def test_fit_finds_the_planted_constants(truth, start):
    rng = np.random.default_rng(3)
    x = {"a": rng.normal(size=800), "b": rng.normal(size=800)}
    x |= {"large": 1e4 * rng.normal(size=800) + 3e4, "small": 1e-4 * rng.normal(size=800)}
    y = evaluate(parse(truth), x)
    made = form(start)
    found = made.fit(x, y, made.start)
    np.testing.assert_allclose(made.values(found, x, 800), y, atol=1e-3 * y.std())
    noisy = made.fit(x, y + rng.normal(0, 0.2, 800), made.start)
    error = np.sqrt(((made.values(noisy, x, 800) - y) ** 2).mean())
    assert error < 3 * 0.2 * np.sqrt(len(made.start) / 800)


@pytest.mark.parametrize(
    "text",
    ["exp(1000*a)", "exp(exp(9*a))", "1e300*a*1e10*b", "1e200*a", "log(a)", "sqrt(a)", "a/0.0",
     "a**b", "(1e160*a)*b", "b/(a - a)"],
)  # fmt: skip
def test_a_form_that_explodes_cannot_be_fitted(text):
    rng = np.random.default_rng(4)
    x = {"a": rng.normal(size=100), "b": rng.normal(size=100)}
    made = form(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert made.fit(x, x["a"] + 3, made.start) is None


def test_a_fit_that_goes_too_far_ends():
    x = {"a": np.random.default_rng(5).normal(size=100)}
    for text in ("1/(0.5*a)", "exp(3.0*a)", "0.5*tanh(1e9*a)", "0.1/(1e-9 + a**2)"):
        made = form(text)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = made.fit(x, x["a"] + 3, made.start)
        assert found is None or np.isfinite(made.values(found, x, 100)).all()


def test_numbers_are_printed_to_the_digits_asked_for():
    made = form("0.5*x*tanh(0.25*y) + 1")
    constants = np.array([1234.5678, -0.000123456, 0.98765])
    text = infix(with_numbers(made, constants))
    named = dict(zip(("c0", "c1", "c2"), [1230.0, -0.000123, 0.988], strict=True))
    values = {"x": 0.7, "y": 1.3}
    assert evaluate(parse(text), values) == pytest.approx(
        float(evaluate(parse(made.text), {**values, **named})), rel=1e-9
    )
    assert "0.000123" in text and "0.988" in text and "1.23e+03" in text
    assert [round_to(v, 3) for v in (0.0, -12345.0, 0.00098765)] == [0.0, -12300.0, 0.000988]
    assert np.isinf(round_to(np.inf, 3))


# --- documents ------------------------------------------------------------------------------------


CLASSES = ["SP1", "a b", "<x>", "YY1", "GC"]
META = {
    "hash": "ab" * 32, "strands": "both", "window": [-200, 200], "tss_index": 200,
    "bin_edges": [-200, -50, 0, 200], "orientation": "the gene's strand",
}  # fmt: skip
OTHER = {**META, "hash": "ef" * 32, "bin_edges": [-10, 10], "window": [-10, 10], "tss_index": 10}


def features(n: int = 30, meta: dict | None = None) -> Features:
    """Motifs, k-mers (which have a class GC, too) and a table."""
    rng = np.random.default_rng(6)

    def values(*shape: int) -> np.ndarray:
        return rng.gamma(2, 1, (n, *shape)).astype(np.float32)

    blocks = [
        Block("motifs:core", values(3, 5), CLASSES, {**META, **(meta or {})}),
        Block("kmers:2", values(1, 2), ["GC", "AA"], OTHER),
        Block("table:t.tsv", values(1, 2), ["half_life", "utr"], {"hash": "cd", "missing": {}}),
    ]
    genes = np.array([f"g{i}" for i in range(n)], dtype=object)
    return Features(genes, blocks, {"genome": "12" * 32}).complete()


def weight(block: int, b: int, name: str, value: float) -> dict:
    return {"block": block, "bin": b, "class": name, "weight": value}


VARIABLES = [
    {"name": "z_SP1", "class": "SP1", "offset": 0.25, "range": [0, 1],
     "weights": [weight(0, 1, "SP1", 0.5), weight(0, 2, "SP1", -1.0)]},
    {"name": "z_mix", "class": None, "offset": 0.0, "range": [0, 1],
     "weights": [weight(0, 2, "GC", 2.0), weight(1, 0, "GC", -0.7), weight(2, 0, "utr", 0.1)]},
    {"name": "z_idle", "class": "AA", "offset": 0.0, "range": [0, 1],
     "weights": [weight(1, 0, "AA", 1.0)]},
]  # fmt: skip


def document(scale: str = "raw") -> dict:
    """An equation over the features above, of which it uses two variables."""
    return {
        "format": "geneq-equation",
        "version": 3,
        "dataset": "hand",
        "cell_type": "B",
        "selected": True,
        **about_features(features(), scale, VARIABLES),
        "variables": VARIABLES,
        "expression": "c0 + c1*z_SP1 + exp(c2*z_mix)",
        "constants": {"c0": 7.0, "c1": 0.5, "c2": -0.1},
        "y": {"transform": "log2(CPM + 1)"},
        "infix": "7 + 0.5*z_SP1 + exp(-0.1*z_mix)",
        "latex": "",
        "complexity": 11,
        "fit": {},
    }


def written(path, on: str = "raw", **changes):
    made = {**document(on), **changes}
    path.write_text(json.dumps({key: value for key, value in made.items() if value is not ...}))
    return path


def by_hand(x: list[np.ndarray]) -> np.ndarray:
    """The equation's values from scaled blocks [gene, bin, class]."""
    sp1 = 0.25 + 0.5 * x[0][:, 1, 0] - x[0][:, 2, 0]
    mix = 2 * x[0][:, 2, 4] - 0.7 * x[1][:, 0, 0] + 0.1 * x[2][:, 0, 1]
    return 7 + 0.5 * sp1 + np.exp(-0.1 * mix)


def test_an_equation_predicts_by_its_own_weights(tmp_path):
    equation = load_equation(written(tmp_path / "0.json"))
    x = features()
    expected = by_hand([block.values.astype(float) for block in x.blocks])
    np.testing.assert_allclose(equation.predict(x), expected, rtol=1e-12)
    assert equation.selected and str(equation) == document()["infix"]


def test_an_equation_of_normal_scores_carries_its_own_quantiles(tmp_path):
    equation = load_equation(written(tmp_path / "0.json", "normal"))
    x = features()
    scaled = []
    for block in x.blocks:
        curves = block.quantiles.reshape(-1, 25)
        flat = scores.normal_scores(block.values.reshape(30, -1), curves)
        scaled.append(flat.reshape(block.values.shape))
    np.testing.assert_allclose(equation.predict(x), by_hand(scaled), atol=1e-5)
    # Of other genes, which need not be complete.
    part = Features(x.gene_id[:4], [Block(b.name, b.values[:4], b.classes, b.meta)
                                    for b in x.blocks], {})  # fmt: skip
    np.testing.assert_array_equal(equation.predict(part), equation.predict(x)[:4])


def test_blocks_are_found_by_name_and_others_may_be_there(tmp_path):
    equation = load_equation(written(tmp_path / "0.json"))
    x = features()
    more = Block("kmers:3", np.ones((30, 1, 1), np.float32), ["AAA"], META)
    turned = Features(x.gene_id, [more, *x.blocks[::-1]], x.meta)
    np.testing.assert_array_equal(equation.predict(turned), equation.predict(x))


def test_blocks_that_the_expression_does_not_use_need_not_be_there(tmp_path):
    changes = {"expression": "c0 + z_SP1", "constants": {"c0": 1.0}}
    equation = load_equation(written(tmp_path / "0.json", **changes))
    x = features()
    assert used_blocks(equation.document) == [0]
    found = equation.predict(Features(x.gene_id, x.blocks[:1], x.meta))
    np.testing.assert_array_equal(found, equation.predict(x))


def test_the_description_of_features_is_complete(tmp_path):
    made = features()
    about = about_features(made.of_genes(made.gene_id[:9]), "normal", VARIABLES)
    motifs, kmer, table = about["blocks"]
    assert motifs == {"name": "motifs:core", "classes": CLASSES, **META}
    assert kmer["hash"] == OTHER["hash"]
    medians = np.median(made.blocks[2].values[:9, 0], axis=0)
    assert table == {
        "name": "table:t.tsv", "hash": "cd", "classes": ["half_life", "utr"],
        "medians": {"half_life": medians[0], "utr": medians[1]},
    }  # fmt: skip
    places = [(entry["block"], entry["bin"], entry["class"]) for entry in about["quantiles"]]
    assert places == [(w["block"], w["bin"], w["class"]) for v in VARIABLES for w in v["weights"]]
    np.testing.assert_array_equal(
        about["quantiles"][0]["values"], made.blocks[0].quantiles[1, 0].tolist()
    )
    assert "quantiles" not in about_features(made, "raw", VARIABLES)


def test_classes_of_variables_are_named_and_weighed():
    named, mixed, _ = VARIABLES
    assert class_shares(named) == {(0, "SP1"): 1.0}
    shares = class_shares(mixed)
    assert list(shares) == [(0, "GC"), (1, "GC"), (2, "utr")]
    np.testing.assert_allclose(list(shares.values()), np.array([2, -0.7, 0.1]) / 2.8)
    labels = [class_label(*key, document()) for key in shares]
    assert labels == ["GC (motifs:core)", "GC (kmers:2)", "utr"]


def test_saving_changes_nothing(tmp_path):
    equation = Equation.load(written(tmp_path / "0.json"))
    equation.save(tmp_path / "again.json")
    assert Equation.load(tmp_path / "again.json").document == document()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.json", "again.json"]


def test_an_unselected_equation_is_a_constant(tmp_path):
    path = written(tmp_path / "0.json", selected=False, expression="c0", constants={"c0": 6.5},
                   variables=[])  # fmt: skip
    equation = load_equation(path)
    assert not equation.selected
    np.testing.assert_array_equal(equation.predict(features()), np.full(30, 6.5))


def test_only_variables_of_the_expression_are_used():
    names = [v["name"] for v in used_variables({**document(), "expression": "c0 + exp(z_mix)"})]
    assert names == ["z_mix"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "Not an equation written by geneq"),
        ({"version": 2}, "an equation of format version 3: 2.*or make the file again"),
        ({"version": ...}, "an equation of format version 3"),
        ({"expression": ..., "constants": ...}, "lacks entries: 'expression, constants'"),
        ({"expression": "__import__('os')"}, r"Not an expression.*__import__"),
        ({"expression": "c0.real"}, "is not allowed"),
        ({"expression": ["c0"]}, "is not allowed"),
        ({"expression": "c0 + c9*z_NONE"}, "neither constants nor variables: 'c9, z_NONE'"),
        ({"expression": "c0 + exp"}, "neither constants nor variables: 'exp'"),
    ],
)
def test_a_bad_document_is_refused_by_name(tmp_path, changes, message):
    path = written(tmp_path / "bad.json", **changes)
    with pytest.raises(GeneqError, match=message) as raised:
        load_equation(path)
    assert "bad.json" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Truncated or damaged JSON document"),
        ("[1]", "Not an equation"),
        ("\xff", "Truncated or damaged JSON"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(GeneqError, match=message):
        load_equation(path)
    with pytest.raises(GeneqError, match="File not found"):
        load_equation(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "meta", [{"hash": "00" * 32}, {"bin_edges": [-200, 0, 200]}], ids=["oracle", "bins"]
)
def test_features_made_otherwise_are_refused(tmp_path, meta):
    equation = load_equation(written(tmp_path / "0.json"))
    with pytest.raises(GeneqError, match=f"{next(iter(meta))} of motifs:core is") as raised:
        equation.predict(features(meta=meta))
    assert "Featurize with motifs:core and the equation's bin edges" in str(raised.value)


def test_features_without_a_block_are_refused(tmp_path):
    equation, x = load_equation(written(tmp_path / "0.json")), features()
    with pytest.raises(GeneqError, match=r"no block table:t.tsv: 'motifs:core, kmers:2'"):
        equation.predict(Features(x.gene_id, x.blocks[:2], x.meta))


def changed_weight(**changes) -> list[dict]:
    first = VARIABLES[0]
    return [{**first, "weights": [{**first["weights"][0], **changes}]}, *VARIABLES[1:]]


@pytest.mark.parametrize(
    ("scale", "changes", "message"),
    [
        ("raw", {"scale": "ranks"}, "scale must be one of raw, normal: 'ranks'"),
        ("raw", {"variables": changed_weight(**{"class": "SP9"})}, "bin 1, class SP9"),
        ("raw", {"variables": changed_weight(block=3)}, "The equation file is incomplete"),
        ("raw", {"variables": changed_weight(block=-1)}, "block -1, bin 1, class SP1"),
        ("raw", {"variables": changed_weight(bin=3)}, "block 0, bin 3, class SP1"),
        ("raw", {"variables": [{"name": "z_SP1"}, VARIABLES[1]]}, "incomplete.*weights"),
        ("normal", {"quantiles": ...}, "incomplete.*quantiles"),
        ("normal", {"quantiles": []}, "a column that the document does not describe: 'block 0"),
        ("normal", {"variables": changed_weight(bin=0)}, "block 0, bin 0, class SP1"),
    ],
)
def test_columns_that_the_document_lacks_are_refused(tmp_path, scale, changes, message):
    with pytest.raises(GeneqError, match=message):
        load_equation(written(tmp_path / "0.json", scale, **changes))
