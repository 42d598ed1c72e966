"""What is known of an image before it is built; tests/containers has the rest."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_package_that_is_not_locked_is_named(tmp_path):
    (tmp_path / "lock.txt").write_text(
        "a-b==1 \\\n    --hash=sha256:00\nc==2 ; x \\\n    --hash=sha256:11\n"
    )
    command = ["python3", ROOT / "containers/locked.py", tmp_path / "lock.txt", tmp_path / "none"]
    run = subprocess.run(command, input="A.b==1\ngeneq==0.1.0\n", text=True, capture_output=True)
    assert run.stdout == "a-b==1 \\\n    --hash=sha256:00\n"
    run = subprocess.run(command, input="A.b==1\nc==3\n", text=True, capture_output=True)
    assert run.returncode == 1 and run.stderr.endswith(": c==3\n")


def test_the_cpu_build_of_torch_is_locked_from_another_index(tmp_path):
    """A folder as the index, with an empty wheel."""
    version = re.search(r"^torch==(\S+)", (ROOT / "locks/runtime.txt").read_text(), re.M).group(1)
    for name in ("bin/geneq-image", "locks/runtime.txt"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    wheel = tmp_path / f"index/torch/torch-{version}+cpu-cp311-cp311-linux_x86_64.whl"
    wheel.parent.mkdir(parents=True)
    about = f"torch-{version}+cpu.dist-info"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}+cpu\n"
        )
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\n")
        file.writestr(f"{about}/RECORD", "")
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    env = {**os.environ, "GENEQ_TORCH_INDEX": f"file://{tmp_path}/index", "PYTHON": sys.executable}
    subprocess.run([tmp_path / "bin/geneq-image", "torch-lock"], env=env, check=True)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert (tmp_path / "locks/torch-cpu.txt").read_text() == (
        f"torch=={version}+cpu \\\n    --hash=sha256:{digest}\n"
    )
    (tmp_path / "locks/torch-cpu.txt").unlink()
    run = subprocess.run([tmp_path / "bin/geneq-image"], env=env, text=True, capture_output=True)
    assert run.returncode == 1 and "needs locks/torch-cpu.txt" in run.stderr
    run = subprocess.run([tmp_path / "bin/geneq-image", "tpu"], text=True, capture_output=True)
    assert run.returncode == 1 and "there is no target tpu: cpu, gpu" in run.stderr
