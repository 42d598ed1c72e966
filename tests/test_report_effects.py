"""Effects of variants on expression in the report and in the atlas."""

import pandas as pd
import pytest

import synthetic
from geneq import artifacts
from geneq.cli import main
from test_report import Page, refused

TYPES = synthetic.ODD_NAMES
SILENT = TYPES[-1]


def write_effects(folder, cell_types=TYPES, n=30, truth=True):
    """What `geneq variants --equations` writes: `n` effects of each type, the last by the teacher
    alone."""
    rows = [
        {
            "cell_type": cell_type, "chrom": "chr<b>1", "pos": 1000 + i, "id": "rs<i>7", "ref": "A",
            "alt": "C" * (60 if i == 0 else 1), "gene_id": f"g{i}", "gene_name": "GENE<u>",
            "equation": float("nan") if cell_type == SILENT else 5 - i / 10,
            "equation_percentile": float("nan") if cell_type == SILENT else 99.9,
            "teacher": i / 10 - 4.25, "teacher_percentile": 98.7,
        }
        for cell_type in cell_types
        for i in range(n)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(artifacts.LARGEST_EFFECTS.columns))
    artifacts.LARGEST_EFFECTS.write(frame, folder / "largest_effects.parquet")
    about = {"variants": 1234, "pairs": 2345, "background": {"n": 5000}}
    if truth:
        about["truth"] = {"measured": 77, "matched": 66, "averaged": 0, "skipped": {}}
        found = {"cell_type": TYPES[0], "method": "equation", "n": 66, "pearson": 0.8765}
        table = pd.DataFrame([found]).reindex(columns=artifacts.EXPRESSION_AGREEMENT.columns)
        table = table.fillna({"n_common": 65})
        artifacts.EXPRESSION_AGREEMENT.write(table, folder / "agreement.parquet")
    artifacts.write_json(about, folder / "variants.json")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report with effects of variants, and the atlas of it and of one without."""
    root = tmp_path_factory.mktemp("effects")
    first, second = (synthetic.outputs(root / name, dataset=name) for name in ("one", "two"))
    variants = write_effects(root / "variants")
    assert main(first.args(root / "report", "--variants", str(variants))) == 0
    assert main(second.args(root / "other")) == 0
    reports = ("--reports", str(root / "report"), str(root / "other"))
    assert main(["atlas", *reports, "--out", str(root / "atlas")]) == 0
    return root


def test_the_report_has_the_largest_effects_of_every_cell_type(made):
    page = Page(made / "report" / "report.html")
    assert "#variants" in page.links
    assert "1,234 variants, 2,345 of them with a gene" in page.text
    assert "of 5,000 random substitutions with a smaller effect" in page.text
    assert page.text.count("1,009 A → C") == len(TYPES) and "1,010 A → C" not in page.text
    assert "5.000" in page.text and "−4.250" in page.text and "99.9" in page.text
    quoted = artifacts.LARGEST_EFFECTS.read(made / "report" / "largest_effects.parquet")
    assert quoted.groupby("cell_type").size().to_dict() == dict.fromkeys(TYPES, 10)


def test_names_of_variants_are_text(made):
    for path in (made / "report" / "report.html", made / "atlas" / "atlas.html"):
        page = Page(path)
        assert "chr<b>1" in page.text and "GENE<u>" in page.text
        assert page.count("u") == 0 and page.count("script") == 1


def test_the_report_has_the_agreement_with_measured_effects(made, tmp_path):
    text = Page(made / "report" / "report.html").text
    assert "66 of 77 measured effects were matched" in text and "0.876" in text
    first = synthetic.outputs(tmp_path / "made")
    variants = write_effects(tmp_path / "variants", truth=False)
    assert main(first.args(tmp_path / "report", "--variants", str(variants))) == 0
    assert "measured effect" not in Page(tmp_path / "report" / "report.html").text


def test_the_atlas_has_some_effects_of_every_cell_type(made):
    page = Page(made / "atlas" / "atlas.html")
    assert page.text.count("1,002 A → C") == len(TYPES) and "1,003 A → C" not in page.text
    assert "#variants" in page.links


def test_without_variants_no_page_speaks_of_them(made, tmp_path):
    page = Page(made / "other" / "report.html")
    assert "#variants" not in page.links and "percentile" not in page.text
    words = ["atlas", "--reports", str(made / "other"), "--out", str(tmp_path)]
    assert main(words) == 0
    assert "#variants" not in Page(tmp_path / "atlas.html").links


def test_variants_without_any_effect_are_reported(tmp_path):
    first = synthetic.outputs(tmp_path / "made")
    variants = write_effects(tmp_path / "variants", n=0, truth=False)
    assert main(first.args(tmp_path / "report", "--variants", str(variants))) == 0
    assert "No variant has an effect." in Page(tmp_path / "report" / "report.html").text


def test_effects_of_another_data_set_are_refused(tmp_path, capsys):
    first = synthetic.outputs(tmp_path / "made")
    variants = write_effects(tmp_path / "variants", ("other type",))
    words = first.args(tmp_path / "report", "--variants", str(variants))
    message = refused(capsys, words, tmp_path / "report")
    assert "The effects of variants are not of this data set" in message and "other type" in message
