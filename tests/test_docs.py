"""What the documentation shows does run."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    # ```python notest: what needs files of the user's
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_runs(tmp_path_factory, monkeypatch, code):
    # One folder for all: some read what others wrote.
    monkeypatch.chdir(tmp_path_factory.getbasetemp())
    exec(code, {})


PAGES = sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md", *DOCS.parent.glob("*/README.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_and_pictures_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, section = target.partition("#")
        if "://" in path:
            continue
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if section and found.suffix == ".md":
            assert section in anchors(found), target


def anchors(page: Path) -> set[str]:
    """Names of the sections of a page, as links give them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_pictures_are_small():
    pictures = [*DOCS.glob("pictures/*")]
    assert pictures
    assert all(picture.stat().st_size < 100_000 for picture in pictures)
