"""`geneq STAGE …`: one command a stage or tool.

A command is a module with a docstring (its help), `add_arguments(parser)` and `run(args)`; only
the module that is called for is imported.
"""

import argparse
import importlib
import os
import signal
import sys
import warnings

from . import __version__
from .errors import GeneqError, out_of_memory

COMMANDS = {
    "genes": "stages.genes",
    "featurize": "stages.featurize",
    "pseudobulk": "stages.pseudobulk",
    "search": "stages.search",
    "distill": "stages.distill",
    "score": "stages.score",
    "surrogate": "stages.surrogate",
    "variants": "stages.variants",
    "loci_report": "stages.loci_report",
    "report": "stages.report",
    "atlas": "stages.atlas",
    "mutagenize": "tools.mutagenize",
    "attribute": "tools.attribute",
    "simulate": "tools.simulate",
    "validate": "tools.validate",
    "doctor": "tools.doctor",
}

# How Python shows a warning.
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
    parser = argparse.ArgumentParser(prog="geneq", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"geneq {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, module in COMMANDS.items():
        if name not in (command, "-h", "--help", None):
            continue
        code = importlib.import_module(f"geneq.{module}")
        summary = code.__doc__.split("\n\n")[0].replace("\n", " ")
        child = commands.add_parser(
            command, help=summary, description=code.__doc__, allow_abbrev=False
        )
        child.add_argument(
            "--threads",
            type=int,
            default=len(os.sched_getaffinity(0)),
            help="threads to use (default: as many as this process may run on)",
        )
        child.add_argument(
            "--code_digest", help="stop unless this geneq was built from code of this digest"
        )
        code.add_arguments(child)
        child.set_defaults(run=code.run)
    if name and name not in (*COMMANDS, "-h", "--help", "--version"):
        known = ", ".join(COMMANDS)
        parser.error(
            f"the command comes first, and there is no command {name!r}; there are: {known}"
        )
    return parser


def _warn_in_one_line(command: str) -> None:
    """Show warnings that are meant for users without the line of code that gives them."""

    def shown(text, category, *where) -> str:
        if category is UserWarning:
            return f"geneq {command}: warning: {text}\n"
        return USUAL(text, category, *where)

    warnings.formatwarning = shown


def _check_code_digest(wanted: str | None) -> None:
    from ._ext import CODE_DIGEST

    if wanted and wanted != CODE_DIGEST:
        raise GeneqError(
            f"The installed geneq holds other code than the checkout (digest {CODE_DIGEST[:12]}, "
            f"checkout {wanted[:12]})",
            fix="Rebuild the image or the virtual environment from the checkout (make install), "
            "or check out the code that the image was built from",
        )


def _use_threads(threads: int) -> None:
    """Hold the thread pools of NumPy, torch and the extension to what the task was given."""
    if threads < 1:
        raise GeneqError("--threads must be at least 1", value=threads)
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)


if __name__ == "__main__":
    sys.exit(main())
