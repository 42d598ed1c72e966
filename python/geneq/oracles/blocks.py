"""The oracles of features, opened again for an equation to score other DNA.

An equation's file is data, and a model may be a program: nothing is opened because a file names it.
k-mers and motifs:core are part of geneq, motif files are looked for beside the equation; all other
models, and tables of classes, are those that the user names. Each must have the hash that the
features were made with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ..equations import SOURCE
from ..errors import GeneqError
from .base import BinnedOracle, Oracle
from .classes import Classes, with_classes
from .kmers import KmerOracle
from .motifs import MotifOracle, max_classes_of
from .tiling import DEFAULT_TILE, binned

__all__ = ["NamedOracles", "is_deep", "open_block"]

BUILT_IN = ("motifs", "kmers")


@dataclass
class NamedOracles:
    """The oracles of features that the user names, each opened at most once.

    Attributes
    ----------
    names : sequence of str
        TYPE:WHAT of each.
    classes : path or None
        The table of classes of one of them.
    load : callable
        (name, strands) → the oracle of this name.
    """

    names: Sequence[str] = ()
    classes: str | Path | None = None
    load: Callable[[str, str], Oracle] | None = None
    _opened: dict[tuple, BinnedOracle] = field(default_factory=dict, repr=False)

    def motif_file(self, name: str) -> str | None:
        """The path of the motif file called `name`, if one of the oracles has it."""
        files = (file for kind, _, file in (each.partition(":") for each in self.names)
                 if kind == "motifs")  # fmt: skip
        return next((file for file in files if Path(file).name == Path(name).name), None)

    def matching(self, about: dict, path: Path) -> BinnedOracle:
        """The oracle whose hash a block has.

        about: as in the equation's document, with name, hash, strands, window and bin_edges, and
        with tile and classes_file where these apply. path: of the equation, for errors.

        Raises GeneqError if no oracle is named, or all have another hash.
        """
        if not self.names:
            raise _unnamed("model", about, path, "--equation_oracles", "--oracle")
        has_classes = "classes_file" in about
        if has_classes and self.classes is None:
            raise _unnamed("table of classes", about, path, "--equation_classes", "--classes")
        kind, found = _kind(about["name"]), []
        # Those of the same type first: others are opened only if these do not match.
        for name in sorted(self.names, key=lambda each: _kind(each) != kind):
            plain = self._binned(name, about)
            oracle = self._projected(plain) if has_classes else plain
            if oracle is not None and oracle.hash == about["hash"]:
                return oracle
            found.append(f"{name} {oracle.hash[:12] if oracle else 'without these outputs'}")
        raise GeneqError(
            "None of the oracles of --equation_oracles has the hash of the one that the "
            "equation's features were made with",
            value=f"block {about['name']} {about['hash'][:12]}; {', '.join(found)}",
            file=path,
            fix="Name the model"
            + (", and the table of --equation_classes," if has_classes else "")
            + " that `geneq featurize` was run with, unchanged",
        )

    def _binned(self, name: str, about: dict) -> BinnedOracle:
        """The oracle of this name with bins as the block has them."""
        assert self.load is not None  # names are given with it
        strands = about["strands"] if _kind(name) in BUILT_IN else None
        first = 0 if about["window"] is None else about["bin_edges"][0]
        key = (name, strands, about.get("tile", DEFAULT_TILE), first)
        if key not in self._opened:
            self._opened[key] = binned(self.load(name, strands or "auto"), *key[2:])
        return self._opened[key]

    def _projected(self, oracle: BinnedOracle) -> BinnedOracle | None:
        """The oracle of classes of its outputs; None if it does not have these outputs."""
        assert self.classes is not None
        outputs = set(Classes.read(self.classes).table["output"])
        return with_classes(oracle, self.classes) if outputs <= set(oracle.targets) else None


def open_block(about: dict, path: Path, named: NamedOracles) -> BinnedOracle:
    """The oracle of a block of an equation.

    Parameters
    ----------
    about : dict
        name, hash, classes, strands, window and bin_edges, and for some oracles tile and
        classes_file, as in the equation's document.
    path : Path
        The equation; motif files that `named` does not have are looked for beside it, and in the
        current folder.
    named : NamedOracles
        All other oracles that may be opened.

    Raises
    ------
    GeneqError
        For models that are not named, oracles of another hash, and features that were made outside
        geneq.
    """
    if SOURCE in about:
        raise _imported(about, path)
    name, strands = about["name"], about["strands"]
    kind, _, what = name.partition(":")
    if kind not in BUILT_IN or "classes_file" in about:
        return named.matching(about, path)
    found: MotifOracle | KmerOracle
    if kind == "motifs":
        file = what if what == "core" else named.motif_file(what) or _motif_file(what, path)
        found = MotifOracle.open(file, max_classes_of(len(about["classes"]), strands), strands)
    else:
        found = KmerOracle.open(what, strands)
    if found.hash != about["hash"]:
        value = f"hash {found.hash[:12]}, the equation's {about['hash'][:12]}"
        _refuse_hash(kind, name, value, path)
    return found


def is_deep(oracle: BinnedOracle) -> bool:
    """Whether the windows that an oracle reads are counted: those of motifs and k-mers are not."""
    return not isinstance(oracle, MotifOracle | KmerOracle)


def _kind(name: str) -> str:
    return name.partition(":")[0]


# --- errors -----------------------------------------------------------------------------------


def _imported(about: dict, path: Path) -> GeneqError:
    """The error for an equation that uses features which geneq did not make."""
    source = about[SOURCE]
    return GeneqError(
        "The equation cannot score DNA: it uses features that were made outside geneq, and no "
        "oracle can make them of other DNA",
        value=f"block {about['name']}, from {source['file']} ({source['sha256'][:12]})",
        file=path,
        fix="Evaluate it on imported features, with geneq.load_equation",
    )


def _unnamed(what: str, about: dict, path: Path, option: str, given: str) -> GeneqError:
    """The error for a block whose model or table of classes the user has not named."""
    return GeneqError(
        f"The equation needs the {what} that its features were made with, and none is opened "
        "because an equation's file names it",
        value=f"block {about['name']}",
        file=path,
        fix=f"Name it with {option}, as it was given to `geneq featurize {given}`",
    )


def _refuse_hash(kind: str, name: str, value: str, path: Path) -> NoReturn:
    if kind == "motifs":
        raise GeneqError(
            f"{name} does not have the motifs that the equation was made with",
            value=value,
            file=path,
            fix="Use the motif file of that run; for motifs:core, the geneq version of that run",
        )
    raise GeneqError(
        f"{name} is not the oracle that the equation was made with",
        value=value,
        file=path,
        fix="Use the geneq version of that run",
    )


def _motif_file(name: str, path: Path) -> str:
    """The motif file `name` next to the equation, else in the current folder."""
    places = [path.parent / Path(name).name, Path(Path(name).name)]
    for place in places:
        if place.is_file():
            return str(place)
    raise GeneqError(
        f"The equation needs the motif file {name}",
        file=path,
        fix="Put it, or a link to it, beside the equation or in the current folder, or name it "
        f"with --equation_oracles motifs:PATH/{name}",
    )
