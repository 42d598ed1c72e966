"""Print versions, threads, GPU, Julia, and the digest of the installed code.

With --oracles: the types of oracles, what each needs, and where its files come from. geneq
downloads none of them.
"""

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from .._ext import CODE_DIGEST

PACKAGES = ("numpy", "torch", "anndata", "optuna", "pyoperon", "pysr", "sympy", "zarr")


def add_arguments(parser) -> None:
    """Options of `geneq doctor`."""
    parser.add_argument(
        "--versions", metavar="NAME", help="print versions only, as YAML below NAME, and stop"
    )
    parser.add_argument("--oracles", action="store_true", help="list the types of oracles and stop")


def run(args) -> None:
    """Print the findings, or with --versions or --oracles these alone."""
    if args.versions:
        print(versions_yaml(args.versions), end="")
        return
    if args.oracles:
        print("\n".join(oracle_lines()))
        return
    findings = {**versions(), **machine(args.threads)}
    width = max(map(len, findings))
    for name, value in findings.items():
        print(f"{name:{width}}  {value}")


def versions() -> dict[str, str]:
    """Name → version of geneq, Python and the packages that decide on results and are there."""
    found = {"geneq": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def versions_yaml(name: str) -> str:
    """`versions()` as YAML: a mapping below the key `name`."""
    rows = (f'  {package}: "{number}"\n' for package, number in versions().items())
    return f"{name}:\n{''.join(rows)}"


def oracle_lines() -> list[str]:
    """The types of oracles, a paragraph each, and those of other packages."""
    # These take seconds, and only this needs them.
    from ..oracles.catalogue import CATALOGUE
    from ..oracles.user import plugins

    lines = []
    for kind, about in CATALOGUE.items():
        lines += [
            f"{kind}:{about.what}",
            f"    needs  {about.needs}",
            f"    bins   {about.bins}",
            f"    files  {about.source}",
        ]
    return lines + [f"{kind}:…\n    added by another package" for kind in plugins()]


def machine(threads: int) -> dict[str, str]:
    """What the machine offers: threads, GPU, engines of symbolic regression; the code digest."""
    return {
        "threads": f"{threads} of {os.cpu_count()}",
        "GPU": _gpu(),
        "julia": shutil.which("julia") or "none",
        "symbolic regression": ", ".join(_engines()) or "none",
        "code digest": CODE_DIGEST,
    }


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none"
    return ", ".join(map(torch.cuda.get_device_name, range(torch.cuda.device_count())))


def _engines() -> list[str]:
    """Engines that can run. PySR is not imported: without Julia that tries to download one."""
    pysr = importlib.util.find_spec("pysr") and shutil.which("julia")
    operon = importlib.util.find_spec("pyoperon")
    return [name for name, there in (("operon", operon), ("pysr", pysr)) if there]
