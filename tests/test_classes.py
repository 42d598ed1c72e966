"""Classes of outputs: the table, the oracle that applies it, and how it is learnt."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geneq.errors import GeneqError
from geneq.oracles import load_oracle
from geneq.oracles.classes import Classes, ProjectedOracle, learned_classes, with_classes
from twins import classes as twin

pytestmark = pytest.mark.usefixtures("one_thread")
SEED = 11


def dna(n: int, length: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, 5, (n, length)).astype(np.uint8)


def written(path, text: str):
    path.write_text(text.replace(" ", "\t"))
    return path


# --- the table --------------------------------------------------------------------------------

TABLE = """output class weight mean sd
AA poly 1 0.1 0.5
TT poly 3 0.2 0.25
CG island -2 0.05 0.1
AA both 1 0 1
CG both 1 0 1
"""


@pytest.mark.parametrize("form", ["tsv", "parquet"])
def test_scores_are_those_of_the_reference(tmp_path, form):
    rows = [tuple(float(cell) if i > 1 else cell for i, cell in enumerate(line.split()))
            for line in TABLE.splitlines()[1:]]  # fmt: skip
    path = tmp_path / f"classes.{form}"
    if form == "tsv":
        written(path, TABLE)
    else:
        pd.DataFrame(rows, columns=TABLE.splitlines()[0].split()).to_parquet(path)
    inner = load_oracle("kmers:2")
    oracle, tokens, edges = with_classes(inner, path), dna(4, 60), np.array([0, 20, 60])
    assert oracle.targets == ["poly", "island", "both"]
    for found, scores in (
        (oracle.predict(tokens)[:, None], inner.predict(tokens)[:, None]),
        (oracle.predict_bins(tokens, edges), inner.predict_bins(tokens, edges)),
    ):
        flat = dict(zip(inner.targets, scores.reshape(-1, 16).T.tolist(), strict=True))
        expected = np.array(list(twin.class_scores(flat, rows).values())).T
        np.testing.assert_allclose(found.reshape(-1, 3), expected, rtol=1e-4, atol=1e-5)


def test_weight_mean_and_sd_are_optional(tmp_path):
    path = written(tmp_path / "c.tsv", "class note output\nx mine AA\nx yours CC\n")
    inner, tokens = load_oracle("kmers:2"), dna(3, 30)
    scores = inner.predict(tokens)
    expected = scores[:, [inner.targets.index("AA"), inner.targets.index("CC")]].mean(1)
    np.testing.assert_allclose(with_classes(inner, path).predict(tokens)[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs the columns output and class|must have at least one row"),
        ("output class\n", "at least one row: 'it is empty'"),
        ("output weight\nAA 1\n", "needs the columns output and class: 'there is no class'"),
        ("output class\nAA x\nQQ x\nXX x\n", "the model does not have: 'QQ, XX'.*It has AA"),
        ("output class\nAA x\nCC x\nAA x\n", "in a class only once: 'AA in row 3'"),
        ("output class weight\nAA x heavy\n", "weight must be a number: 'heavy in row 1'"),
        ("output class weight\nAA x inf\n", "weight must be a number: 'inf in row 1'"),
        ("output class weight\nAA x \n", "weight must be a number"),
        ("output class sd\nAA x 0\n", "sd must be positive: '0.0 in row 1'"),
        ("output class mean\nAA x nan\n", "mean must be a number: 'nan in row 1'"),
        ("output class weight\nAA x 1\nCC y 0\n", "a weight other than 0: 'y'"),
        ("output class\nAA \n", "class must not be empty: 'row 1'"),
        ("output class\nAA x y z\n", "Not a table of classes|at least one row|model does not have"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, message):
    path = written(tmp_path / "c.tsv", text)
    with pytest.raises(GeneqError, match=message) as error:
        with_classes(load_oracle("kmers:2"), path)
    assert error.value.file == path


def test_files_that_are_no_tables_are_named(tmp_path):
    oracle = load_oracle("kmers:2")
    with pytest.raises(GeneqError, match="File not found"):
        with_classes(oracle, tmp_path / "none.tsv")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(GeneqError, match="Truncated or damaged parquet file"):
        with_classes(oracle, tmp_path / "c.parquet")
    (tmp_path / "c.tsv").write_bytes(b"\xff\xfe\x00output")
    with pytest.raises(GeneqError, match="Not a table of classes"):
        with_classes(oracle, tmp_path / "c.tsv")


# --- the oracle -------------------------------------------------------------------------------


def test_the_projected_oracle_has_the_properties_of_the_other(tmp_path):
    inner = load_oracle("kmers:2", strands="both")
    oracle = with_classes(inner, written(tmp_path / "mine.tsv", "output class\nAA x\n"))
    assert oracle.name == "kmers:2, classes mine.tsv"
    assert (oracle.strand, oracle.strands, oracle.flank) == ("both", "both", 0)
    assert oracle.note == "1 classes of 10 outputs"


def test_the_hash_covers_oracle_and_projection():
    tables = [
        pd.DataFrame({"output": ["AA", "CC"], "class": names, "weight": [1.0, weight]})
        for names, weight in ((["x", "x"], 1.0), (["x", "x"], 2.0), (["y", "y"], 1.0))
    ]
    hashes = [
        ProjectedOracle(load_oracle(spec, strands="both"), Classes.of(table), "x").hash
        for spec in ("kmers:2",)
        for table in tables
    ]
    hashes.append(ProjectedOracle(load_oracle("kmers:2"), Classes.of(tables[0]), "x").hash)
    assert len(set(hashes)) == 4
    again = ProjectedOracle(load_oracle("kmers:2"), Classes.of(tables[0]), "other name")
    assert again.hash == hashes[-1]


def test_batches_change_nothing(monkeypatch):
    table = Classes.of(pd.DataFrame({"output": ["AA", "CC"], "class": ["x", "y"]}))
    oracle, tokens = ProjectedOracle(load_oracle("kmers:2"), table, "t"), dna(9, 30)
    edges = np.array([0, 10, 30])
    expected = oracle.predict_bins(tokens, edges)
    monkeypatch.setattr("geneq.oracles.classes.BATCH_SCORES", 70)
    np.testing.assert_allclose(oracle.predict_bins(tokens, edges), expected, atol=1e-6)


# --- learning ---------------------------------------------------------------------------------


def planted(groups: list[int], windows: int = 400, noise: float = 0.3, seed: int = SEED):
    """Outputs that follow one signal per group, with noise, on scales of their own."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(windows, len(groups)))
    columns = [signals[:, g] + noise * rng.normal(size=windows)
               for g, size in enumerate(groups) for _ in range(size)]  # fmt: skip
    values = np.stack(columns, 1) * rng.uniform(0.1, 9, len(columns)) + rng.normal(
        size=len(columns)
    )
    names = [f"g{g}_{i}" for g, size in enumerate(groups) for i in range(size)]
    return values.astype(np.float32), names


def test_planted_groups_are_found():
    values, names = planted([3, 1, 5, 4])
    order = np.random.default_rng(2).permutation(len(names))
    values, names = values[:, order], [names[i] for i in order]
    table = learned_classes(values, names, 4).table
    groups = table.groupby("class")["output"].agg(lambda outputs: {o[:2] for o in outputs})
    assert len(groups) == 4 and all(len(group) == 1 for group in groups)
    assert all(name[:2] == group.copy().pop() for name, group in groups.items())
    assert sorted(table["output"]) == sorted(names)


def test_a_class_is_named_by_its_most_central_member_and_standardises():
    values, names = planted([5, 2], noise=0.5)
    classes = learned_classes(values, names, 2)
    central = max(names[:5], key=lambda name: sum(
        twin.correlation(values[:, names.index(name)], values[:, names.index(other)])
        for other in names[:5]))  # fmt: skip
    assert central in classes.names
    weights, offset = classes.matrix(names)
    scores = values @ weights + offset
    standard = (values - values.mean(0)) / values.std(0)
    np.testing.assert_allclose(
        scores[:, classes.names.index(central)], standard[:, :5].mean(1), atol=1e-4
    )


def test_few_outputs_are_each_a_class_and_constant_ones_none():
    values, names = planted([1, 1, 1])
    values[:, 1] = 7
    classes = learned_classes(values, names, 40)
    assert classes.names == [names[0], names[2]]
    with pytest.raises(GeneqError, match="No output differs between windows"):
        learned_classes(np.ones((5, 2), np.float32), ["a", "b"], 3)
    with pytest.raises(GeneqError, match="at least two windows"):
        learned_classes(np.ones((1, 2), np.float32), ["a", "b"], 3)


@settings(deadline=None, max_examples=30)
@given(
    names=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1)
                   .filter(str.strip), min_size=3, max_size=3, unique=True),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_what_is_written_is_read(tmp_path_factory, names, seed):
    values, _ = planted([2, 1], windows=30, seed=seed)
    classes = learned_classes(values, names, 2)
    path = tmp_path_factory.mktemp("classes") / "c.tsv"
    classes.write(path)
    read = Classes.read(path)
    pd.testing.assert_frame_equal(read.table, classes.table, rtol=1e-8)
    read.write(path.with_name("again.tsv"))
    assert path.with_name("again.tsv").read_bytes() == path.read_bytes()
