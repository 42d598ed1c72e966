"""`geneq STAGE …`: one command per stage or tool.

A command is a module with a docstring (its help), `add_arguments(parser)` and `run(args)`; only
the module of the command given is imported.
"""

import argparse
import ast
import importlib.util
import os
import signal
import sys
import warnings
from pathlib import Path

from . import __version__
from .errors import GeneqError, out_of_memory

COMMANDS = {
    "genes": "stages.genes",
    "featurize": "stages.featurize",
    "pseudobulk": "stages.pseudobulk",
    "search": "stages.search",
    "distill": "stages.distill",
    "stability": "stages.stability",
    "score": "stages.score",
    "surrogate": "stages.surrogate",
    "variants": "stages.variants",
    "background": "stages.background",
    "loci_report": "stages.loci_report",
    "report": "stages.report",
    "atlas": "stages.atlas",
    "classes": "tools.classes",
    "features": "tools.features",
    "mutagenize": "tools.mutagenize",
    "attribute": "tools.attribute",
    "simulate": "tools.simulate",
    "validate": "tools.validate",
    "doctor": "tools.doctor",
}

# Threads that wait must not keep a CPU busy: on a machine at work with other things, boosted trees
# on two threads otherwise take forty times as long. Read when scikit-learn and torch are imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Python's format of warnings.
USUAL = warnings.formatwarning


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status.

    1 bad input, 2 bad usage, 130 interrupted, 137 out of memory.
    """
    argv = sys.argv[1:] if argv is None else argv
    parser = _parser(argv[0] if argv else None)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _warn_in_one_line(argv[0])
    try:
        _check_code_digest(args.code_digest)
        _use_threads(args.threads)
        args.run(args)
    except (GeneqError, OSError) as error:
        print(f"geneq {argv[0]}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"geneq {argv[0]}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not out_of_memory(error):
            raise
        print(f"geneq {argv[0]}: error: out of memory: {error}", file=sys.stderr)
        return 137  # as if the kernel had killed it: the pipeline retries with more memory
    return 0


def _parser(name: str | None) -> argparse.ArgumentParser:
    """The parser of command `name`; with none, or for help, one that lists every command."""
    parser = argparse.ArgumentParser(
        prog="geneq",
        description=_help("geneq"),
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=16),
    )
    parser.add_argument("--version", action="version", version=f"geneq {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    if name in COMMANDS:
        _add_command(commands, name)
        return parser
    if name and name not in ("-h", "--help", "--version"):
        known = ", ".join(COMMANDS)
        parser.error(
            f"the command comes first, and there is no command {name!r}; there are: {known}"
        )
    for command, module in COMMANDS.items():
        summary = _help(f"geneq.{module}").split("\n\n")[0].replace("\n", " ")
        commands.add_parser(command, help=summary)
    return parser


def _add_command(commands, name: str) -> None:
    code = importlib.import_module(f"geneq.{COMMANDS[name]}")
    parser = commands.add_parser(name, description=code.__doc__, allow_abbrev=False)
    parser.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="threads to use (default: as many as this process may run on)",
    )
    parser.add_argument(
        "--code_digest", help="stop unless this geneq was built from code of this digest"
    )
    code.add_arguments(parser)
    parser.set_defaults(run=code.run)


def _help(module: str) -> str:
    """The docstring of a module, read from its file: the module is not imported."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None, module
    return ast.get_docstring(ast.parse(Path(spec.origin).read_bytes())) or ""


def _warn_in_one_line(command: str) -> None:
    """Show warnings that are meant for users without the line of code that gives them."""

    def shown(message, category, filename, lineno, line=None) -> str:
        if category is UserWarning:
            return f"geneq {command}: warning: {message}\n"
        return USUAL(message, category, filename, lineno, line)

    warnings.formatwarning = shown


def _check_code_digest(wanted: str | None) -> None:
    from ._ext import CODE_DIGEST

    if wanted and wanted != CODE_DIGEST:
        raise GeneqError(
            "The installed geneq was built from other code than the checkout "
            f"(digest {CODE_DIGEST[:12]}, checkout {wanted[:12]})",
            fix="Rebuild the image or the virtual environment from the checkout (make install), "
            "or check out the code that the image was built from",
        )


def _use_threads(threads: int) -> None:
    """Limit the thread pools of torch, scikit-learn and the extension to `threads`.

    BLAS (NumPy's and SciPy's matrix products) has one: the last bits of its results depend on the
    number of threads, and with them which of two equations that are about equally good is taken.
    """
    if threads < 1:
        raise GeneqError("--threads must be at least 1", value=threads)
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads, "openmp")
    threadpool_limits(1, "blas")


if __name__ == "__main__":
    sys.exit(main())
