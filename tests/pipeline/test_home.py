"""Tasks neither need a home folder that can be written, nor write to it."""

from geneq.libraries import GlobalLibrary

from .conftest import pipeline

WARNINGS = ("matplotlib", "cache", "Permission denied", "Read-only", "No such file", "\x1b[")


def test_caches_are_in_the_folder_of_the_task(tmp_path):
    library = GlobalLibrary("N" * 8 + "TGACTCA" + "N" * 8, n=300, windows=[(8, 15)], seed=1)
    (tmp_path / "r.json").write_text(library.to_json())
    (tmp_path / "sheet.csv").write_text(
        "experiment,recipe,oracle,target,replicates\nx,r.json,motifs:core,AP1,0\n"
    )
    # A site's own beforeScript runs too.
    (tmp_path / "site.config").write_text("process.beforeScript = 'touch site'\n")
    # No user, not even root, can make this folder.
    env = {"HOME": "/proc/none", "MPLCONFIGDIR": "/proc/none", "XDG_CACHE_HOME": "/proc/none"}
    run = pipeline(tmp_path, "-c", "site.config", "--experiments", "sheet.csv", env=env)
    assert run.status == 0, run.text
    tasks = [path.parent for path in tmp_path.glob("work/*/*/.command.run")]
    assert len(tasks) == 3
    for task in tasks:
        assert (task / "site").exists()
        text = (task / ".command.err").read_text()
        assert not [word for word in WARNINGS if word in text], text
    # Drawing has made matplotlib's cache, and it is not among the results.
    assert [task for task in tasks if (task / ".cache" / "matplotlib").is_dir()]
    assert not list((tmp_path / "results").rglob(".cache"))
