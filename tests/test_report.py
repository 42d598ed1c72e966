"""The report of a data set: what a reader finds in it, and that it is one safe, whole file."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthetic
from geneq import artifacts
from geneq.cli import main
from geneq.errors import GeneqError
from geneq.plots import mathml
from geneq.plots.classes import class_effects
from geneq.plots.strip import strip

SCRIPT, B_CELLS, _, LONG, SILENT = synthetic.ODD_NAMES


class Page(HTMLParser):
    """The elements, attributes and text of a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.links, self.words = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.links += [value for key, value in attributes if key in ("src", "href", "action")]

    def handle_data(self, data):
        self.words.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set with cross-validation and a truth, and its report."""
    root = tmp_path_factory.mktemp("made")
    made = synthetic.outputs(root)
    folds = [
        synthetic.outputs(root / f"cv{k}", test_fold=k, distill_only=True).root / "distill"
        for k in range(5)
    ]
    truth = synthetic.truth(made, root / "truth.parquet", missed=B_CELLS)
    out = root / "out"
    cv = ["--cv_distill", *map(str, folds)]
    shares = (0.94, 0.42, 0.5, 1.0, 0.88)
    stability = synthetic.stability(made, root / "stability", shares)
    given = ["--truth", str(truth), "--stability", str(stability)]
    assert main(made.args(out, *cv, *given)) == 0
    return made, out


@pytest.fixture(scope="module")
def page(made):
    return Page(made[1] / "report.html")


def test_the_file_loads_nothing(page):
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\(|https?://", page.source)
    policy = dict(page.tags[3][1])
    assert page.tags[3][0] == "meta" and policy["content"].startswith("default-src 'none'")
    assert not {"img", "link", "iframe", "object", "embed"} & {tag for tag, _ in page.tags}


def test_names_are_text_and_never_markup(page):
    assert page.count("script") == 1
    assert page.count("i") == 2  # our own: Absolute, specific
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    for name in synthetic.ODD_NAMES:
        assert name[:20] in page.text
    assert "<b>by one s.e.</b>" in page.text
    assert "<i>ENSG2</i>" in page.text and "Eryth<r>oid" in page.text


def test_equations_are_typeset_with_readable_names(page, made):
    document = artifacts.read_json(made[1] / "equations.json")[0]
    first, second, third, _ = [variable["class"] for variable in document["variables"]]
    written = str(mathml.equation(document))
    text = re.sub(r"<[^>]*>", "", written)
    assert text == (
        f"6.51 −0.312{first}1 +1.23×10−5{second}·{third} +0.424e−{first}2 +0.9{second}1.5+{first}12"
    )
    assert written in page.source
    assert "<mfrac>" in written and "<msub>" in written


def test_the_teacher_is_named_with_the_losses_it_was_chosen_by(page):
    assert (
        "The teacher is the mean of this network and boosted trees. Loss out of fold:" in page.text
    )
    assert "this network 0.900; boosted trees 0.950; the mean" in page.text


def test_a_cell_type_without_equation_says_so_with_the_reason(page):
    assert "No equation was selected. No member beats the mean" in page.text
    assert f"No equation was selected for {SILENT} ." in page.text
    assert "In 4 of 5 cell types a short equation" in page.text


def test_equations_are_called_stable_or_unstable(page, made):
    badges = re.findall(r'class="badge (good|bad)">(?:✓|✗) (stable|unstable)', page.source)
    marks = [("good", "stable"), ("bad", "unstable"), ("good", "stable"), ("good", "stable")]
    assert badges == marks
    assert f"Of the equations {B_CELLS} is unstable" in page.text
    assert "come back in 42 % of 50 replicates, without any others in 21 %." in page.text
    assert "On resampled genes none was selected in 88 % of 50 replicates." in page.text
    assert (
        "r on test genes 0.512, 90 % interval 0.430 to 0.610 over 16 blocks of genes" in page.text
    )
    assert [row["stable"] for row in artifacts.read_json(made[1] / "stability.json")] == [
        True, False, True, True, True,
    ]  # fmt: skip


def test_terms_variables_and_constants_have_their_shares_and_intervals(page, made):
    document = artifacts.read_json(made[1] / "equations.json")[0]
    assert page.text.count("13 %") == sum(
        len(each["variables"]) for each in artifacts.read_json(made[1] / "equations.json")
    )
    term = mathml.expression(f"tanh({document['variables'][0]['name']})", document)
    assert f'{term}</td><td class="n">94 %' in page.source
    assert "not in the equation: " in page.text and page.text.count("30 %") == 4
    constant = str(mathml.figure(-0.3123 - 0.25))
    assert f"<math>{constant}</math> to <math>{mathml.figure(1e12)}</math>" in page.source
    assert page.text.count("unknown") >= 4
    assert str(mathml.equation(document, numbers=False)) in page.source


def test_a_report_replaces_all_of_an_earlier_one(tmp_path):
    """The atlas shows what is in the folder."""
    made = synthetic.outputs(tmp_path)
    (tmp_path / "out").mkdir()
    optional = ("stability.json", "recovery.json", "largest_effects.parquet")
    for name in optional:
        (tmp_path / "out" / name).write_text("[]")
    assert main(made.args(tmp_path / "out")) == 0
    assert not {*optional} & {path.name for path in (tmp_path / "out").iterdir()}


def test_without_stability_nothing_is_said_of_it(tmp_path):
    made = synthetic.outputs(tmp_path, cell_types=("T", "quiet"), n_genes=60)
    assert main(made.args(tmp_path / "out")) == 0
    assert "stable" not in Page(tmp_path / "out" / "report.html").text
    assert not (tmp_path / "out" / "stability.json").exists()


def test_cross_validated_figures_come_first(page, made):
    table = artifacts.METRICS.read(made[1] / "metrics.parquet")
    assert table["split"].iloc[0] == "cv"
    cv = table[(table["split"] == "cv") & (table["cell_type"] == SCRIPT)]
    assert set(cv["n"]) == {400} and set(cv["kind"]) == {"absolute", "specific"}
    assert page.text.index("Cross-validated:") < page.text.index("Test genes of one run")
    quoted = cv.set_index(["model", "against", "kind"])["r"]["equation", "expression", "absolute"]
    assert f"{quoted:.3f}" in page.text


def test_figures_of_genes_that_the_oracle_was_trained_on_are_marked(page, made):
    """It was not trained on chr1, which has every test gene of the run."""
    assert "motifs:core, not trained on chr1" in page.text
    table = artifacts.METRICS.read(made[1] / "metrics.parquet")
    marks = table.groupby("split")["oracle"].unique().map(list).to_dict()
    assert marks == {"cv": ["trained"], "cv_held_out": ["held_out"], "test": ["held_out"]}
    cv, held_out, test = (
        page.text.index(text)
        for text in ("Cross-validated: every", "Cross-validated, genes on", "Test genes of one run")
    )
    assert cv < page.text.index("The oracle was trained on chromosomes of these") < held_out < test
    part = table[(table["split"] == "cv_held_out") & (table["kind"] == "absolute")]
    part = part[(part["model"] == "equation") & (part["against"] == "expression")]
    mean = part["r"].dropna().mean()
    assert (
        f"On the 80 genes of chromosomes that the oracle was not trained on, the mean r is "
        f"{mean:.2f}" in page.text
    )
    first = part.set_index("cell_type")["r"][SCRIPT]
    assert f"on chromosomes that the oracle was not trained on {first:.3f}" in page.text


def test_the_report_says_what_was_dropped(page):
    for words in ("window leaves the contig", "fewer than 10 cells", "no cell type", "412",
                  "Chromosome names of the annotation lacked 'chr'"):  # fmt: skip
        assert words in page.text
    assert "Test: chr1. Valid: chr2." in page.text


def test_recovery_needs_every_planted_class_and_silence_where_nothing_was_planted(made, page):
    rows = {row["cell_type"]: row for row in json.loads((made[1] / "recovery.json").read_text())}
    assert list(rows) == list(synthetic.ODD_NAMES)
    assert rows[SCRIPT]["recovered"] and rows[SCRIPT]["r_truth"] > 0.95
    assert set(rows[SCRIPT]["planted"]) <= set(rows[SCRIPT]["found"])
    assert rows[SCRIPT]["equation"].startswith("6.5 - 0.31*")
    assert not rows[B_CELLS]["recovered"] and "MISSED" not in rows[B_CELLS]["found"]
    assert rows[SILENT] == {
        "dataset": "synthetic", "cell_type": SILENT, "r_truth": None, "planted": [], "found": [],
        "equation": None, "recovered": True,
    }  # fmt: skip
    assert "✗ MISSED missed" in page.text


def test_an_equation_far_from_the_truth_is_not_recovered(tmp_path):
    made = synthetic.outputs(tmp_path, cell_types=("B", "silent"))
    truth = synthetic.truth(made, tmp_path / "truth.parquet")
    predictions = artifacts.PREDICTIONS.read(tmp_path / "distill" / "predictions.parquet")
    noise = np.random.default_rng(3).normal(0, 3, len(predictions))
    predictions["equation"] += noise
    artifacts.PREDICTIONS.write(predictions, tmp_path / "distill" / "predictions.parquet")
    assert main(made.args(tmp_path / "out", "--truth", str(truth))) == 0
    row = artifacts.read_json(tmp_path / "out" / "recovery.json")[0]
    assert row["r_truth"] < 0.95 and not row["recovered"]


def test_few_genes_carry_a_plain_warning(tmp_path, page):
    made = synthetic.outputs(tmp_path, cell_types=("only one",), n_genes=120)
    assert main(made.args(tmp_path / "out")) == 0
    few = Page(tmp_path / "out" / "report.html")
    assert "Too few genes to generalise." in few.text
    assert "72 genes to learn from and 24 test genes" in few.text
    assert "No equation was selected in any cell type" in few.text
    assert "Too few genes" not in page.text
    assert not (tmp_path / "out" / "recovery.json").exists()


def test_the_same_input_gives_the_same_bytes(made, tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    assert main(made[0].args(first)) == main(made[0].args(second)) == 0
    assert (first / "report.html").read_bytes() == (second / "report.html").read_bytes()


def test_forty_cell_types_and_nine_thousand_genes_stay_small(tmp_path):
    names = tuple(f"type {i}" for i in range(40))
    made = synthetic.outputs(tmp_path, cell_types=names, n_genes=9000)
    assert main(made.args(tmp_path / "out")) == 0
    assert (tmp_path / "out" / "report.html").stat().st_size < 2.5e6


def refused(capsys, arguments, out) -> str:
    """The message of a command that must fail and leave nothing."""
    assert main(arguments) == 1
    assert not out.exists() or not list(out.iterdir())
    return capsys.readouterr().err


def test_files_of_another_data_set_are_refused(made, tmp_path, capsys):
    arguments = made[0].args(tmp_path / "out")
    arguments[arguments.index("--dataset") + 1] = "other"
    message = refused(capsys, arguments, tmp_path / "out")
    assert "not that of the data set 'other': 'synthetic' (in " in message


def test_an_equation_cut_short_is_named(tmp_path, capsys):
    made = synthetic.outputs(tmp_path, cell_types=("B", "silent"))
    path = tmp_path / "distill" / "equations" / "0.json"
    path.write_text(path.read_text()[:100])
    message = refused(capsys, made.args(tmp_path / "out"), tmp_path / "out")
    assert "Truncated or damaged JSON document" in message and "0.json" in message


def test_an_equation_of_a_newer_format_is_refused(tmp_path, capsys):
    made = synthetic.outputs(tmp_path, cell_types=("B", "silent"))
    path = tmp_path / "distill" / "equations" / "0.json"
    artifacts.write_json({**artifacts.read_json(path), "version": 4}, path)
    message = refused(capsys, made.args(tmp_path / "out"), tmp_path / "out")
    assert "reads an equation of format version 3: 4" in message


def test_the_same_fold_given_twice_is_refused(made, tmp_path, capsys):
    fold = str(made[0].root / "cv0" / "distill")
    arguments = made[0].args(tmp_path / "out", "--cv_distill", fold, fold)
    assert "test gene in only one run" in refused(capsys, arguments, tmp_path / "out")


def test_a_truth_of_other_data_is_refused(made, tmp_path, capsys):
    other = synthetic.outputs(tmp_path / "o", dataset="other", cell_types=("B", "silent"))
    truth = synthetic.truth(other, tmp_path / "truth.parquet")
    arguments = made[0].args(tmp_path / "out", "--truth", str(truth))
    message = refused(capsys, arguments, tmp_path / "out")
    assert "The truth file has no data set 'synthetic'" in message


# Equations on the page


def document(expression, constants=None, classes=("A", "B")):
    variables = [
        {"name": f"z_{c}", "class": c, "range": [-2.0, 2.0], "weights": [], "offset": 0}
        for c in classes
    ]
    blocks = [{"name": "motifs:core", "classes": list(classes)}]
    return {
        "expression": expression,
        "constants": constants or {},
        "variables": variables,
        "blocks": blocks,
    }


def shown(*args) -> str:
    return re.sub(r"<[^>]*>", "", str(mathml.equation(document(*args))))


@pytest.mark.parametrize(
    ("expression", "constants", "text"),
    [
        ("c0 - c1*z_A", {"c0": -1.0, "c1": -2.5}, "−1 +2.5A"),
        ("c0*(z_A + c1)", {"c0": -0.123456, "c1": 2}, "−0.123(A+2)"),
        ("z_A*(c0*z_B)", {"c0": -3}, "−A·3B"),
        ("exp(z_A - z_B)", {}, "exp(A−B)"),
        ("exp(-z_A)", {}, "e−A"),
        ("tanh(z_A)**2", {}, "(tanh(A))2"),
        ("Abs(z_A)/sqrt(z_B)", {}, "|A|B"),
        ("-z_A - -z_B", {}, "−A +B"),
        ("c0*z_A", {"c0": 12345678.0}, "1.23×107A"),
    ],
)
def test_typesetting_keeps_the_meaning(expression, constants, text):
    assert shown(expression, constants) == text


@pytest.mark.parametrize("code", ["__import__('os')", "z_A.x", "[z_A]", "z_A if z_B else 1", "("])
def test_what_is_no_equation_is_refused(code):
    with pytest.raises(GeneqError, match=r"Not an expression|sums, products, powers"):
        mathml.equation(document(code))


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), min_size=1))
def test_any_class_name_is_typeset_as_it_is_written(name):
    written = mathml.equation(document("z_X", {}, ()) | {
        "variables": [{"name": "z_X", "class": name}]})  # fmt: skip
    assert ElementTree.fromstring(str(written)).findtext("mi") == name


def test_effects_of_classes_have_size_and_direction():
    effects = class_effects(document("c0 + 2*z_A - c1*z_B", {"c0": 1.0, "c1": 0.5}))
    assert effects["A"].size == pytest.approx(8) and effects["A"].direction == 1
    assert effects["B"].size == pytest.approx(2) and effects["B"].direction == -1
    hill = class_effects(document("z_A**2 + z_B"))["A"]
    assert hill.size == pytest.approx(4) and hill.direction == 0
    assert class_effects(document("z_A*z_B"))["A"].direction == 0
    assert set(class_effects(document("z_A + 1"))) == {"A"}


MIXED = {
    "name": "z_1", "class": None, "range": [0.0, 4.0], "offset": 0,
    "weights": [
        {"block": 0, "bin": 0, "class": "A", "weight": 3.0},
        {"block": 0, "bin": 1, "class": "GC", "weight": -0.5},
        {"block": 1, "bin": 0, "class": "GC", "weight": 0.5},
        *({"block": 2, "bin": 0, "class": f"t{i}", "weight": 1e-3} for i in range(9)),
    ],
}  # fmt: skip
BLOCKS = [
    {"name": "motifs:core", "classes": ["A", "GC"], "bin_edges": [-50, 0, 100]},
    {"name": "kmers:2", "classes": ["GC"], "bin_edges": [-10, 10]},
    {"name": "table:t.tsv", "classes": [f"t{i}" for i in range(9)]},
]


def test_a_variable_that_mixes_classes_is_divided_among_the_largest_of_them():
    mixed = {**document("c0 - z_1", {"c0": 1.0}), "variables": [MIXED], "blocks": BLOCKS}
    effects = class_effects(mixed)
    assert list(effects)[:3] == ["A", "GC (motifs:core)", "GC (kmers:2)"] and len(effects) == 6
    total = 4 + 9e-3
    assert effects["A"].size == pytest.approx(4 * 3 / total) and effects["A"].direction == -1
    assert effects["GC (motifs:core)"].direction == 1
    assert re.sub(r"<[^>]*>", "", str(mathml.equation(mixed))) == "1 −z_1"


def test_the_weights_of_every_block_are_drawn_over_its_own_bins():
    drawn = str(strip(MIXED, {"blocks": BLOCKS}))
    figures = ElementTree.fromstring(f"<div>{drawn}</div>")
    assert len(figures) == 3
    words = [" ".join(figure.itertext()) for figure in figures]
    for text, about in zip(words, BLOCKS, strict=True):
        assert about["name"] in text
        assert all(f"{edge}".replace("-", "−") in text for edge in about.get("bin_edges", []))
    assert "t0" in words[2] and "and 3 more classes" in words[2]


def test_the_page_names_every_oracle_and_table(tmp_path):
    made = synthetic.outputs(tmp_path, cell_types=("B", "silent"))
    for path in (tmp_path / "distill" / "equations").glob("*.json"):
        text = artifacts.read_json(path)
        other = {**text["blocks"][0], "name": "kmers:3", "hash": "ab" * 32, "window": [-300, 40]}
        table = {"name": "table:t.tsv", "hash": "cd" * 32, "classes": ["x"], "medians": {"x": 1}}
        artifacts.write_json({**text, "blocks": [*text["blocks"], other, table]}, path)
    assert main(made.args(tmp_path / "out")) == 0
    page = Page(tmp_path / "out" / "report.html")
    assert "oracle kmers:3, not trained on chr1 window −300 to 40 nt" in page.text
    assert "gene features table:t.tsv" in page.text
    assert "kmers:3 abababababab · table:t.tsv cdcdcdcdcdcd" in page.text
