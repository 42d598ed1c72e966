"""A library with its scores goes to a file and comes back; other files are refused."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from geneq import encoding
from geneq.errors import GeneqError
from geneq.libraries import FactorialLibrary, Motif, RandomLibrary, SaturationLibrary
from geneq.mave import Mave, user_table

WILD = "ACGTTGCAACGG"
SEQUENCES = ["ACGT", "ACGA", "TCGT", "ACGT", "ACCA"]


def simulated(n: int = 40) -> Mave:
    """Random scores, with errors, of a random library."""
    rng = np.random.default_rng(5)
    library = RandomLibrary(WILD, n=n, rate=0.2)
    y = rng.normal(size=(n, 2)).astype(np.float32)
    sigma = rng.uniform(0.1, 1, (n, 2)).astype(np.float32)
    return Mave(library, None, "dna", y, ["dev", "hk"], sigma, {"name": "none", "hash": "0"})


def table(tmp_path, name: str = "t.csv", **columns):
    """A user-supplied table."""
    frame = pd.DataFrame({"sequence": SEQUENCES, **columns})
    path = tmp_path / name
    if name.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if ".tsv" in name else ",", index=False)
    return path


def same(one: Mave, other: Mave) -> bool:
    pairs = [(one.y, other.y), (one.sigma, other.sigma), (one.tokens, other.tokens),
             (one.wild_type, other.wild_type)]  # fmt: skip
    return all(np.array_equal(a, b) for a, b in pairs) and (
        (one.library, one.alphabet, one.targets, one.oracle)
        == (other.library, other.alphabet, other.targets, other.oracle)
    )


def test_a_recipe_with_scores_comes_back(tmp_path):
    mave = simulated()
    mave.save(tmp_path / "mave.parquet")
    back = Mave.load(tmp_path / "mave.parquet")
    assert same(mave, back) and back.y.dtype == np.float32
    assert (len(back), back.length) == (40, 12)
    names = pq.read_schema(tmp_path / "mave.parquet").names
    assert names == ["row", "y:dev", "y:hk", "sigma:dev", "sigma:hk"]
    np.testing.assert_array_equal(back.mutations().symbol, mave.library.mutations().symbol)
    assert encoding.strings(back.wild_type[None]) == [WILD]


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "T.CSV.gz", "t.parquet"])
def test_a_user_supplied_table_comes_back(tmp_path, name):
    path = table(tmp_path, name, y=[1, 2, 3, 4, 5.5], sigma=[1.0] * 5, note=list("abcde"))
    mave = Mave.read_table(path)
    mave.save(tmp_path / "mave.parquet")
    assert same(mave, Mave.load(tmp_path / "mave.parquet"))
    assert mave.targets == ["y"] and mave.y[:, 0].tolist() == [1, 2, 3, 4, 5.5]
    assert mave.sigma[:, 0].tolist() == [1] * 5


def test_tables_may_have_several_targets(tmp_path):
    path = table(tmp_path, **{"y:a": range(5), "y:b": range(5, 10)})
    mave = Mave.read_table(path)
    assert mave.targets == ["a", "b"] and mave.y[1].tolist() == [1, 6]


def test_the_wild_type_of_a_table_is_its_consensus(tmp_path):
    mave = Mave.read_table(table(tmp_path, y=range(5)))
    assert encoding.strings(mave.wild_type[None]) == ["ACGT"]
    mutations = mave.mutations()
    assert mutations.row.tolist() == [1, 2, 4, 4]
    assert mutations.position.tolist() == [3, 0, 2, 3]
    assert mutations.symbol.tolist() == [0, 3, 1, 0]
    assert [column.dtype for column in mutations] == [np.int64, np.int32, np.uint8]


def test_the_wild_type_of_a_table_can_be_given(tmp_path):
    mave = Mave.read_table(table(tmp_path, y=range(5)), wild_type="ACGA")
    assert mave.mutations().row.tolist() == [0, 2, 2, 3, 4]
    mave.save(tmp_path / "mave.parquet")
    assert same(mave, Mave.load(tmp_path / "mave.parquet"))


def test_unknown_symbols_of_all_sequences_are_no_mutations(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("sequence,y\nANG,1\nANT,2\nANG,3\n")
    mave = Mave.read_table(path)
    assert mave.wild_type.tolist() == [0, 4, 2] and mave.mutations().row.tolist() == [1]
    path.write_text("sequence,y\nACG,1\nANG,2\nACG,3\n")
    with pytest.raises(GeneqError, match="not a substitution: 'rows 1 "):
        Mave.read_table(path).mutations()


def test_libraries_without_wild_type_say_so():
    motifs = [Motif("AP1", "TGACTCA", optional=True)]
    library = FactorialLibrary(motifs=motifs, length=20, n_backgrounds=2)
    mave = Mave(library, None, "dna", np.zeros((len(library), 1), np.float32), ["y"])
    with pytest.raises(GeneqError, match="no wild type: 'factorial'"):
        _ = mave.wild_type
    with pytest.raises(GeneqError, match="sparse form"):
        mave.mutations()


def test_scores_that_are_not_numbers_are_refused_with_their_rows():
    library = SaturationLibrary("ACGT")
    y = np.zeros((13, 1), np.float32)
    y[[2, 5, 6, 7, 8, 12]] = [[np.nan], [np.inf], [-np.inf], [np.nan], [np.nan], [np.nan]]
    message = r"Scores must be finite: 'rows 2, 5, 6, 7, 8 and 1 more \(0-based\)'"
    with pytest.raises(GeneqError, match=message):
        Mave(library, None, "dna", y, ["y"])
    with pytest.raises(GeneqError, match="errors must be finite and above 0: 'rows 3 "):
        Mave(
            library,
            None,
            "dna",
            np.zeros((13, 1)),
            ["y"],
            np.where(np.arange(13) == 3, 0, 1)[:, None],
        )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"z": range(5)}, "lacks columns: 'y'"),
        ({"y": [1, 2, 1e40, 4, 5]}, "Scores must be finite: 'rows 2 "),
        ({"y": [1, 2, "x", 4, 5]}, "Scores must be numbers"),
        ({"y": [1, 2, None, 4, 5]}, "Scores must be finite: 'rows 2 "),
        ({"y": range(5), "sigma": [1, 1, 0, 1, 1]}, "above 0: 'rows 2 "),
        ({"y:a": range(5), "y:b": range(5), "sigma:a": range(5)}, "lacks columns: 'sigma:b'"),
        ({"y": range(5), "sequence": ["ACG", *SEQUENCES[1:]]}, "the same length"),
        ({"y": range(5), "sequence": ["ACG!", *SEQUENCES[1:]]}, "'!'"),
        ({"y": range(5), "sequence": [None, *SEQUENCES[1:]]}, "str or bytes"),
    ],
)
def test_other_tables_are_refused(tmp_path, columns, message):
    with pytest.raises(GeneqError, match=message) as caught:
        Mave.read_table(table(tmp_path, **columns))
    assert "t.csv" in str(caught.value)


PLAIN = "a,b\nx,1\ny,2\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        "##made by hand\n##twice\n" + PLAIN,
        # As spreadsheet programs save them.
        "a,b\nx,1\n,\ny,2\n,\n,\n",
        "a,b,,\nx,1,,\ny,2,,\n",
        "a,b\nx,1,\ny,2,\n",
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        '"a";"b"\n"x";1\n"y";2\n',
        # As R's write.table saves them.
        "a,b\nrow1,x,1\nrow2,y,2\n",
        "a,b\n1,x,1\n2,y,2\n",
    ],
)
def test_tables_of_other_programs_read_the_same(tmp_path, recwarn, text):
    (tmp_path / "t.csv").write_bytes(text.encode())
    wanted = pd.DataFrame({"a": ["x", "y"], "b": [1, 2]})
    found = user_table(tmp_path / "t.csv", ())
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    as_text = user_table(tmp_path / "t.csv", None)
    assert as_text.to_dict("list") == {"a": ["x", "y"], "b": ["1", "2"]}
    assert not [one for one in recwarn if one.category is not ResourceWarning]


def test_columns_of_text_are_not_taken_for_numbers(tmp_path):
    (tmp_path / "t.tsv").write_text("name\tn\n01\t01\n1e3\t2\n")
    found = user_table(tmp_path / "t.tsv", ("name",))
    assert found.to_dict("list") == {"name": ["01", "1e3"], "n": [1, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Not a complete table: 'No columns"),
        ("##only a comment\n", "Not a complete table: 'No columns"),
        ("a,b\n1,2,3\n1,2,4\n", "'rows have more fields than the header'"),
        ("a,b\nr,s,1,2\nr,t,1,2\n", "'rows have more fields than the header'"),
        ("a,b\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        ("a,b,a\n1,2,3\n", "has duplicate columns: 'a'"),
        (b"a,b\n\xff\xfe,1\n", "Not a complete table: .*codec can't decode"),
        (b"\x1f\x8b\x08\x00cut short", "Not a complete table"),
    ],
)
def test_tables_that_cannot_be_read_rightly_are_refused(tmp_path, recwarn, text, message):
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(GeneqError, match=message) as caught:
        user_table(tmp_path / "t.csv", ())
    assert "t.csv" in str(caught.value)
    assert not [one for one in recwarn if one.category is not ResourceWarning]


def test_other_wild_types_are_refused(tmp_path):
    with pytest.raises(GeneqError, match="must have 4 symbols like the sequences: 3"):
        Mave.read_table(table(tmp_path, y=range(5)), wild_type="ACG")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "mave.parquet"
    simulated(4000).save(path)
    whole = path.read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    (tmp_path / "bad.parquet").write_bytes(whole[:middle] + b"\0" * 64 + whole[middle + 64 :])
    table(tmp_path, "own.parquet", y=range(5))
    for name, message in [
        ("none.parquet", "File not found"),
        ("cut.parquet", "Truncated or damaged parquet"),
        ("bad.parquet", "Truncated or damaged parquet"),
        ("own.parquet", "Not a MAVE written by geneq"),
    ]:
        with pytest.raises(GeneqError, match=message):
            Mave.load(tmp_path / name)


def test_the_format_is_as_documented(tmp_path):
    simulated().save(tmp_path / "mave.parquet")
    schema = pq.read_schema(tmp_path / "mave.parquet")
    about = json.loads(schema.metadata[b"geneq-mave"])
    assert (about["format"], about["version"]) == ("geneq-mave", 1)
    assert about["recipe"]["kind"] == "random" and about["targets"] == ["dev", "hk"]
    assert [str(field.type) for field in schema] == ["int64", *["float"] * 4]
