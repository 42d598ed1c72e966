"""Who may import whom: cli → stages and tools → what they share → the extension."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "python" / "geneq"
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[tuple[str, ...]]:
    """The modules of geneq that a module imports, as parts of their names below geneq."""
    here = path.relative_to(PACKAGE).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) + 1 - node.level] + tuple(filter(None, [node.module]))
            base = tuple(".".join(base).split(".")) if base else ()
            found |= {(*base, name.name) for name in node.names}
    return found


def layer(module: tuple[str, ...]) -> str:
    return module[0] if module[0] in ("cli", "stages", "tools") else "shared"


ALLOWED = {
    "cli": {"cli", "shared"},  # commands are imported by name
    "stages": {"shared"},
    "tools": {"tools", "shared"},
    "shared": {"shared"},
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts
    wrong = [
        ".".join(target)
        for target in imported(path)
        if layer(target) not in ALLOWED[layer(own)] and target[:2] != own[:2]
    ]
    assert not wrong, f"{'.'.join(own)} imports {', '.join(wrong)}"
