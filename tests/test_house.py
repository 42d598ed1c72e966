"""Which modules may import which: cli → stages and tools → what they share → the extension."""

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


# --- cycles -------------------------------------------------------------------------------------


def graph() -> dict[str, set[str]]:
    """The modules that every module imports, anywhere in its code; a package is its __init__."""
    names = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in MODULES
    }
    targets = {
        name: {".".join(target) for target in imported(path)} for name, path in names.items()
    }
    packages = {name: {target.rpartition(".")[0] for target in found - names.keys()}
                for name, found in targets.items()}  # fmt: skip
    return {name: ((targets[name] | packages[name]) & names.keys()) - {name} for name in names}


def reached(modules: dict[str, set[str]], start: str) -> set[str]:
    """All modules that `start` imports, directly or through others."""
    found, left = set(), [start]
    while left:
        new = modules[left.pop()] - found
        found |= new
        left += new
    return found


def test_no_module_imports_itself_through_others():
    """Imports within functions count too."""
    modules = graph()
    circular = {name for name in modules if name in reached(modules, name)}
    assert not circular, sorted(circular)


def test_a_cycle_through_a_function_is_found(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("from . import two\n")
    (tmp_path / "two.py").write_text("def late():\n    from .one import name\n")
    monkeypatch.setattr("test_house.PACKAGE", tmp_path)
    monkeypatch.setattr("test_house.MODULES", sorted(tmp_path.rglob("*.py")))
    assert graph() == {"one": {"two"}, "two": {"one"}}
    assert reached(graph(), "one") == {"one", "two"}
