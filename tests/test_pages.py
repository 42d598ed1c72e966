"""Pages with hostile names: they are text and nothing else, wherever a page shows them."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter

import numpy as np
import pandas as pd
import pytest

import synthetic
from geneq import artifacts
from geneq.cli import main
from geneq.libraries import RandomLibrary
from geneq.locus import Failure, Locus, write_failed
from geneq.mave import Mave
from test_report import Page

# What would be an element, an attribute, a script or a template if it was not escaped.
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)</script>",
    "'/onmouseover='alert(4)",
    "</title></style><svg onload=alert(5)>",
    "<!--{{7*7}}{% raw %}&lt;b",
    "javascript:alert(6)",
    "]]><iframe srcdoc=x>",
]
# The same lengths and order, so that the same pages are made of them.
HARMLESS = [chr(ord("a") + i) * len(text) for i, text in enumerate(HOSTILE)]
# Entries of the documents of a data set that have text of users.
NAMED = {"class", "genome", "h5ad", "dataset", "examples", "notes", "layer", "donor_key", "name",
         "dropped_cell_types"}  # fmt: skip


def renamed(value, names, key=""):
    """A document with the text of users replaced by `names`, in their order."""
    if isinstance(value, dict):
        return {k: renamed(item, names, k) for k, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, names, key) for item in value]
    return names[len(value) % len(names)] if isinstance(value, str) and key in NAMED else value


def rewrite(path, names, skip=()):
    document = json.loads(path.read_text())
    kept = {key: document[key] for key in skip if key in document}
    path.write_text(json.dumps({**renamed(document, names), **kept}))


def report(root, names):
    """The report of a data set with these cell types, classes, genome and files."""
    made = synthetic.outputs(root, dataset=names[0], cell_types=(*names[1:5], "silent"), n_genes=60)
    for path in sorted(root.glob("distill/*/*.json")):
        document = json.loads(path.read_text())
        numbered = [f"{name}{i}" for i in (1, 2) for name in names][: len(synthetic.CLASSES)]
        classes = dict(zip(synthetic.CLASSES, numbered, strict=True))
        for variable in document["variables"]:
            variable["class"] = classes[variable["class"]]
            for weight in variable["weights"]:
                weight["class"] = classes[weight["class"]]
        for block in document["blocks"]:
            block["classes"] = [classes[name] for name in block["classes"]]
            block["name"] = names[6]
        path.write_text(json.dumps(document))
    rewrite(root / "genes" / "genes.json", names)
    rewrite(root / "expression" / "expression.json", names, skip=("dataset", "cell_types"))
    assert main(made.args(root / "out")) == 0
    return root / "out"


def pages_of_data(root, names):
    """The report of a data set, and the atlas of it and of one that failed."""
    given = ["--reports", report(root / "a", names), "--datasets", f"{names[0]},{names[5]}"]
    assert main(["atlas", *map(str, given), "--out", str(root / "out")]) == 0
    return [root / "a/out/report.html", root / "out/atlas.html"]


def loci(root, names):
    """The page of a locus: targets, oracle, chromosome, variants and errors have these names."""
    library = RandomLibrary("ACGTTGCAACGGTACATGTC", n=300, rate=0.1, seed=7)
    y = (library.tokens() != library.tokens()[:1]).sum(1)[:, None] + np.zeros((1, 2))
    y += np.random.default_rng(1).normal(0, 0.1, y.shape)
    Mave(library, None, "dna", y.astype(np.float32), names[:2]).save(root / "s/a/mave.parquet")
    Locus("a", names[2], 10, 30, f"motifs:{names[3]}").save(root / "s/a")
    given = ["--scores", root / "s", "--out", root / "fit", "--replicates", 0]
    assert main(["surrogate", *map(str, given)]) == 0
    rows = [("a", names[2], 11, names[4], "A", "C", target, "oracle", 1.0, 0.1, names[5])
            for target in names[:2]]  # fmt: skip
    variants = pd.DataFrame(rows, columns=[*artifacts.VARIANTS.columns])
    artifacts.VARIANTS.write(variants, root / "v/variants.parquet")
    write_failed([Failure("lost", "score", names[6])], root / "failed.tsv")
    given = [
        "--surrogates",
        root / "fit",
        "--variants",
        root / "v",
        "--failed",
        root / "failed.tsv",
    ]
    assert main(["loci_report", *map(str, given), "--out", str(root / "out")]) == 0
    return [root / "out" / "loci.html"]


@pytest.mark.parametrize("pages", [pages_of_data, loci])
def test_hostile_names_are_text_and_add_no_element_or_attribute(tmp_path, pages):
    hostile, harmless = (
        [Page(path) for path in pages(tmp_path / kind, names)]
        for kind, names in (("hostile", HOSTILE), ("harmless", HARMLESS))
    )
    for page, usual in zip(hostile, harmless, strict=True):
        assert Counter(tag for tag, _ in page.tags) == Counter(tag for tag, _ in usual.tags)
        attributes = [
            {(tag, name) for tag, found in p.tags for name in found} for p in (page, usual)
        ]
        assert attributes[0] == attributes[1]
        assert page.count("script") == 1
        assert all(link.startswith(("#", "datasets/")) for link in page.links), page.links
        assert sum(name in page.text for name in HOSTILE) >= 5


@pytest.fixture
def browser(tmp_path):
    """A page's path → the document once its scripts ran, and what a browser without network said
    about it. Skips where there is no Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if not program:
        pytest.skip("Chromium is not installed")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    options = ["--headless", "--disable-gpu", "--no-first-run", profile, "--enable-logging=stderr",
               "--host-resolver-rules=MAP * ~NOTFOUND"]  # fmt: skip
    if os.getuid() == 0:
        options.append("--no-sandbox")

    def opened(path):
        command = [program, *options, "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return opened


MARK = "document.documentElement.setAttribute(`ran`,1)"
# An alert would wait for someone to close it.
RUNNING = [re.sub(r"alert\(\d\)", MARK, name) for name in HOSTILE]


@pytest.mark.parametrize("pages", [pages_of_data, loci])
def test_in_a_browser_hostile_names_do_not_run_and_the_pages_own_script_does(
    tmp_path, browser, pages
):
    for path in pages(tmp_path, RUNNING):
        document, said = browser(path)
        assert said == []
        assert " ran=" not in document[: document.index("<head")]
        shown = tmp_path / "shown.html"
        shown.write_text(document)
        page = Page(shown)
        assert sum(name in page.text for name in RUNNING) >= 5
        assert page.count("script") == 1
        buttons = [found for tag, found in page.tags if tag == "button" and "data-column" in found]
        assert not any("disabled" in found for found in buttons)
        written = [found for tag, found in Page(path).tags if tag == "button"]
        assert all("disabled" in found for found in written if "data-column" in found)


def test_a_browser_would_run_these_names_if_they_were_not_escaped(tmp_path, browser):
    ran = []
    for i, name in enumerate(RUNNING):
        path = tmp_path / f"{i}.html"
        path.write_text(f"<html><head></head><body><p>{name}</p></body></html>")
        ran.append(" ran=" in browser(path)[0][:40])
    assert ran[:3] == [True, True, True]
