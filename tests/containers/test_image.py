"""What is in the image, and what is not."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from pipeline.conftest import ROOT

from .conftest import inside, output

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def test_labels_say_what_it_was_built_from(image):
    (about,) = json.loads(output("podman", "inspect", image))
    label = {k.removeprefix("org.opencontainers.image."): v for k, v in about["Labels"].items()}
    assert (label["title"], label["version"], label["licenses"]) == ("geneq", "0.1.0", "MIT")
    head = output("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    assert label["revision"] in (head, f"{head}-modified")
    assert "@" not in label.get("source", "") and not label.get("source", "").startswith("/")
    assert about["User"] == "geneq"


def test_it_has_no_gpu_libraries(image):
    """6.75 GB with triton and NVIDIA's libraries."""
    (about,) = json.loads(output("podman", "image", "inspect", image))
    assert about["Size"] < 2.6e9
    assert inside("geneq doctor").count("GPU                  none") == 1


def test_nothing_of_the_build_is_left(image):
    listed = "find / -xdev -not -path '/proc/*' -printf '%p\\n' 2>/dev/null || true"
    names = inside(listed).splitlines()
    assert "/opt/geneq/bin/geneq" in names
    built = r"/bin/(pip3?|gcc|cc|ld|cargo|rustc|maturin)$|/site-packages/pip/|\.whl$|^/build"
    assert [name for name in names if re.search(built, name)] == []
    assert [name for name in names if "/locks/" in name or name.endswith("site.crt")] == []


def test_certificates_are_those_of_debian(image):
    texts = inside(
        "cat /usr/share/ca-certificates/mozilla/*.crt; echo SPLIT; cat /etc/ssl/certs/*.crt"
    )
    debian, found = ({*PEM.findall(part)} for part in texts.split("SPLIT"))
    assert found == debian != set()
    assert inside("ls -A /usr/local/share/ca-certificates") == ""
    site = os.environ.get("SSL_CERT_FILE")
    if site:
        ours = {*PEM.findall(Path(site).read_text())} - debian
        assert not ours & found


def test_a_user_without_rights_or_home_draws_and_trains_on_a_read_only_root(image):
    script = """
import torch, captum.attr, matplotlib.pyplot as plt, sklearn.ensemble, pyoperon
from pathlib import Path
plt.plot([1, 2]); plt.savefig('/tmp/a.png')
net = torch.nn.Conv1d(4, 8, 5)
net(torch.randn(3, 4, 20, requires_grad=True)).sum().backward()
torch.linalg.svd(torch.randn(9, 9)); torch.fft.fft(torch.randn(8))
with torch.autocast('cpu', torch.bfloat16):
    net(torch.randn(3, 4, 20))
assert not torch.cuda.is_available()
"""
    text = inside(f"""
        python -W error::UserWarning - <<'END'\n{script}\nEND
        id -u; grep CapEff /proc/self/status; ls /tmp
        for place in / /home/geneq /opt/geneq; do ! touch $place/file 2>/dev/null; done
    """)
    user, capabilities, *names = text.split("\n")[:-1]
    assert int(user) == (12345 if os.getuid() == 0 else os.getuid()) != 0
    assert capabilities.split()[1] == "0" * 16
    assert {*names} == {"a.png", "cache"}


def test_the_list_of_packages_is_that_of_the_image(image):
    document = json.loads((ROOT / "containers/geneq-cpu.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "geneq"
    listed = {(part["name"], part["version"]) for part in document["components"]}
    script = (ROOT / "containers/installed.py").read_text()
    installed = {
        (re.sub("[-_.]+", "-", name).lower(), version)
        for name, version in (
            line.split("==") for line in inside(f"python - <<'END'\n{script}END").splitlines()
        )
    }
    assert installed - listed == {("geneq", "0.1.0")} and listed < installed
    for part in document["components"]:
        hashes = [h for place in part["externalReferences"] for h in place.get("hashes", ())]
        assert hashes and {h["alg"] for h in hashes} == {"SHA-256"}, part["name"]


@pytest.fixture(scope="session")
def sif_folder(image):
    output(ROOT / "bin/geneq-image", "sif", "--folder")
    folder = ROOT / "containers/geneq-cpu.folder"
    yield folder
    shutil.rmtree(folder)


def test_a_sif_is_made_from_the_files_and_settings_of_the_image(sif_folder):
    text = (sif_folder / "geneq.def").read_text()
    assert text.startswith(f"Bootstrap: localimage\nFrom: {sif_folder}/root\n")
    assert "\n    export PATH='/opt/geneq/bin:" in text
    assert "\n    export CUDA_VISIBLE_DEVICES=''\n" in text
    assert "\n    org.opencontainers.image.version 0.1.0\n" in text
    program = (sif_folder / "root/opt/geneq/bin/geneq").read_text()
    assert program.startswith("#!/opt/geneq/bin/python")
    assert (sif_folder / "root/opt/geneq/bin/python3").is_symlink()


@pytest.mark.skipif(
    not (shutil.which("apptainer") or shutil.which("singularity")),
    reason="apptainer is not installed",
)
def test_a_sif_runs(image):
    output(ROOT / "bin/geneq-image", "sif")
    assert not (ROOT / "containers/geneq-cpu.folder").exists()
    tool = shutil.which("apptainer") or shutil.which("singularity")
    text = output(
        tool,
        "exec",
        "--no-privs",
        "--containall",
        ROOT / "containers/geneq-cpu.sif",
        "geneq",
        "doctor",
    )
    assert "GPU                  none" in text
