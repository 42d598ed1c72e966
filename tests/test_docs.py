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
