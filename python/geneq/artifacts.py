"""The files that stages exchange: columns and types, atomic writing, checks when reading.

Tables are parquet, documents JSON; features have a module of their own. Every writer uses a
temporary name next to the destination and renames it at the end, so a killed task leaves no partial
file.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from .checks import available_memory, check_format
from .errors import GeneqError, not_found

__all__ = [
    "ABSOLUTE", "SPECIFIC", "SPLITS", "TARGETS", "Table", "of_target", "parse_json", "plain",
    "read_json", "read_object", "read_parquet", "remove", "write_json",
]  # fmt: skip

FORMAT_VERSION = 1

SPLITS = ("train", "valid", "test")
# Of expression: log2(CPM + 1), and that minus the gene's mean over cell types.
TARGETS = ABSOLUTE, SPECIFIC = "absolute", "specific"


def of_target(folder: str | Path, target: str) -> Path:
    """Where a folder has the files of a target: of absolute expression in itself."""
    return Path(folder) if target == ABSOLUTE else Path(folder) / target


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path next to `path`; rename it to `path` on success, remove it on failure.

    Works for files and for folders; a folder takes the place of an existing one. Raises GeneqError
    when nothing can be written there, or a file would take the place of a folder.
    """
    path = Path(os.path.abspath(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise GeneqError("Cannot write here", value=error.strerror, file=path) from None
    temporary = scratch / path.name
    try:
        yield temporary
        if path.is_dir() and not temporary.is_dir():
            raise GeneqError("A folder exists where a file is to be written", file=path)
        if path.is_dir():
            os.replace(path, scratch / f".{path.name}")
        os.replace(temporary, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove(path: str | Path) -> None:
    """Remove a file or folder, if there is one: what an earlier run wrote and this one does not.

    A folder is renamed first, so that a killed task leaves no part of it.
    """
    path = Path(os.path.abspath(path))
    if path.exists():
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        os.replace(path, scratch / path.name)
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(document: dict | list, path: str | Path) -> None:
    """Write `document` as JSON; NaN and infinity are written as null."""
    with atomic_path(path) as temporary:
        text = json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON document. Raises GeneqError when the file is missing or truncated."""
    try:
        return parse_json(Path(path).read_bytes(), path)
    except FileNotFoundError:
        raise not_found(path) from None


def parse_json(text: bytes, path: str | Path) -> Any:
    """A JSON document in UTF-8 from the file at `path`, which GeneqError names if it is none."""
    try:
        return json.loads(text.decode("utf-8"))
    # ValueError: also of numbers with thousands of digits; RecursionError: of lists in lists in …
    except (ValueError, RecursionError) as error:
        raise GeneqError(
            "Truncated or damaged JSON document", value=str(error), file=path
        ) from None


def read_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON object. Raises GeneqError when the file is missing, truncated, or no object."""
    document = read_json(path)
    if not isinstance(document, dict):
        raise GeneqError("Not a JSON object", value=type(document).__name__, file=path)
    return document


def plain(value) -> Any:
    """`value` with NumPy scalars, arrays and non-finite numbers made plain JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def read_parquet(path: str | Path) -> pa.Table:
    """Read a parquet file. Raises GeneqError when it is missing, cut short or damaged."""
    with parquet_errors(path):
        _check_fits(pq.read_metadata(path), path)
        return pq.read_table(path, page_checksum_verification=True)


def _check_fits(metadata: pq.FileMetaData, path: str | Path) -> None:
    """Raises GeneqError if the columns do not fit into memory.

    Run lengths store any number of equal values in a few bytes.
    """
    size, available = 8 * metadata.num_rows * metadata.num_columns, available_memory()
    if size > available:
        raise GeneqError(
            "The table is too large for memory",
            value=f"{metadata.num_rows:,} rows take {size / 1e9:,.1f} GB or more, "
            f"{available / 1e9:,.1f} GB are available",
            file=path,
            fix="Give a smaller table, or more memory",
        )


@contextmanager
def parquet_errors(path: str | Path) -> Iterator[None]:
    """Turn what pyarrow raises while it reads the file at `path` into GeneqError."""
    try:
        yield
    except FileNotFoundError:
        raise not_found(path) from None
    except (pa.ArrowException, OSError) as error:
        raise GeneqError("Truncated or damaged parquet file", value=str(error), file=path) from None


@dataclass(frozen=True)
class Table:
    """The contract of a parquet table.

    Attributes
    ----------
    name : str
    columns : dict
        Name → pandas dtype, in order.
    key : tuple of str
        Columns that identify a row; no two rows share them. Without any, rows may be equal.
    extra : str, optional
        Dtype of further columns, which are then allowed.
    """

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    extra: str | None = None

    def write(self, frame: pd.DataFrame, path: str | Path) -> None:
        """Write `frame` (checked, columns in the table's order) to `path`."""
        table = self._arrow(frame, path)
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary)

    def write_parts(self, frames: Iterable[pd.DataFrame], path: str | Path) -> None:
        """Write a table that is made in parts, one of which is in memory at a time.

        There must be at least one part. Only within each are rows checked to differ.
        """
        with atomic_path(path) as temporary, ExitStack() as stack:
            writer = None
            for frame in frames:
                table = self._arrow(frame, path)
                writer = writer or stack.enter_context(pq.ParquetWriter(temporary, table.schema))
                writer.write_table(table)

    def _arrow(self, frame: pd.DataFrame, path) -> pa.Table:
        table = pa.Table.from_pandas(self._checked(frame, path), preserve_index=False)
        about = json.dumps({"format": f"geneq-{self.name}", "version": FORMAT_VERSION}).encode()
        return table.replace_schema_metadata({**(table.schema.metadata or {}), b"geneq": about})

    def read(self, path: str | Path) -> pd.DataFrame:
        """Read and check the table at `path`. Raises GeneqError when it is not such a table."""
        table = read_parquet(path)
        about = parse_json((table.schema.metadata or {}).get(b"geneq", b"{}"), path)
        if about:
            what = f"a table of {self.name}"
            check_format(about, what, f"geneq-{self.name}", FORMAT_VERSION, path)
        return self._checked(table.to_pandas(), path)

    def _checked(self, frame: pd.DataFrame, path) -> pd.DataFrame:
        missing = [name for name in self.columns if name not in frame]
        if missing:
            raise GeneqError(
                f"The table '{self.name}' lacks columns", value=", ".join(missing), file=path
            )
        extra = [name for name in frame if name not in self.columns]
        if extra and self.extra is None:
            raise GeneqError(
                f"The table '{self.name}' has unknown columns", value=", ".join(extra), file=path
            )
        types = {**self.columns, **dict.fromkeys(extra, self.extra)}
        try:
            frame = frame[list(types)].astype(types).reset_index(drop=True)
        except (TypeError, ValueError) as error:
            raise GeneqError(
                f"A column of the table '{self.name}' has values of another type",
                value=str(error),
                file=path,
            ) from None
        if self.key and (repeated := frame.duplicated(list(self.key))).any():
            row = frame.loc[repeated.idxmax(), list(self.key)].to_dict()
            raise GeneqError(
                f"Rows of the table '{self.name}' must differ in {', '.join(self.key)}",
                value=row,
                file=path,
            )
        return frame


GENES = Table(
    "genes",
    {
        "gene_id": "object",  # Ensembl id without version, or the annotation's own id
        "gene_name": "object",  # symbol; the id where there is none
        "chrom": "object",  # as the FASTA spells it; "" for promoters without chromosome
        "tss": "int64",  # 0-based; -1 for promoters
        "strand": "object",  # "+", "-"; "." for promoters
        "records": "object",  # promoters: record names joined by " "; "" with an annotation
        "fold": "int8",  # 0…4
        "split": "object",  # train, valid, test
        "family": "int32",  # similar genes of other chromosomes or blocks share it; -1: none
    },
    key=("gene_id",),
)

# Of the GTF, where it has transcripts and exons; NaN for genes without exons.
GENE_FEATURES = Table("gene_features", {"gene_id": "object"}, key=("gene_id",), extra="float64")

EXPRESSION = Table(
    "expression",
    {
        "gene_id": "object",
        "cell_type": "object",
        "log2cpm": "float64",  # log2(CPM + 1)
        "counts": "float64",  # summed over the type's cells; NaN where the file has CPM
        "n_cells": "int64",
        "se": "float64",  # standard error of log2cpm over cells (donors where given)
    },
    key=("cell_type", "gene_id"),
)

TRIALS = Table(
    "trials",
    {
        "trial": "int64",
        "state": "object",  # complete, pruned, failed
        "loss": "float64",  # reliability-weighted validation MSE, standardised targets
        "out_of_fold_loss": "float64",  # over training and validation genes; NaN if not a finalist
        "complexity": "int64",  # parameters of the network
        "epochs": "int64",
        "parameters": "object",  # JSON
        "chosen": "bool",  # its network is the teacher
    },
    key=("trial",),
)

# Columns past `measured` are predictions: teacher, teacher_sd (standard deviation over its
# members, NaN where it is not the network alone), teacher_out_of_fold (NaN for test genes),
# equation, faithful, shared, and those of baselines: elastic_net, lasso2, ridge, trees, ebm, gam.
PREDICTIONS = Table(
    "predictions",
    {
        "gene_id": "object",
        "cell_type": "object",
        "fold": "int8",
        "split": "object",
        "oracle": "object",  # trained, held_out, unknown, untrained: see geneq.leakage
        "measured": "float64",
    },
    key=("cell_type", "gene_id"),
    extra="float64",
)

EQUATIONS = Table(
    "equations",
    {
        "cell_type": "object",
        "member": "int64",  # place on the Pareto front; 0 is the constant
        "engine": "object",
        "complexity": "int64",  # nodes of the sympy expression
        "classes": "int64",  # sequence classes that its variables read
        "infix": "object",  # in the variables' names, constants as refitted to measured data
        "fidelity": "float64",  # R² against the teacher, training genes
        "oof_mse": "float64",  # against measured expression, out of fold
        "oof_delta": "float64",  # oof_mse minus that of the best member
        "oof_delta_se": "float64",  # paired standard error of oof_delta
        "conditioning": "float64",  # what the terms add up to over their sum; 1: nothing cancels
        "chosen": "bool",
        "faithful": "bool",  # the member with the lowest error
    },
    key=("cell_type", "member"),
)

# The terms of the shared expression in the cell types for which it was selected.
SHARED = Table(
    "shared",
    {
        "cell_type": "object",
        "place": "int64",  # of the term, from 0
        "term": "object",  # infix without constants
        "coefficient": "float64",
        "se": "float64",  # standard error of the coefficient
        # Standard deviation of the term over training genes, in log2 units; negative where
        # expression falls as the term, written without constants, rises.
        "effect": "float64",
    },
    key=("cell_type", "place"),
)

REPLICATES = Table(
    "replicates",
    {
        "cell_type": "object",
        "replicate": "int64",  # from 0; the seed of its genes follows from it
        "selected": "bool",  # whether any equation was
        "complexity": "int64",
        # Of the equation found; variables have the names of the chosen equation where they are the
        # same, see geneq.stages.stability.
        "infix": "object",
    },
    key=("cell_type", "replicate"),
)

STABILITY = Table(
    "stability",
    {
        "cell_type": "object",
        "part": "object",  # structure, variable, term, constant, r
        "name": "object",  # of the variable or constant; the term; "" otherwise
        "share": "float64",  # of the replicates in which it comes back; NaN for constants and r
        "value": "float64",  # of constants and r
        "low": "float64",  # interval of that; NaN where unknown
        "high": "float64",
    },
    key=("cell_type", "part", "name"),
)

METRICS = Table(
    "metrics",
    {
        "cell_type": "object",
        "model": "object",  # equation, faithful, shared, teacher, or a baseline
        "against": "object",  # expression, teacher
        # absolute: log2cpm; specific: minus the gene's mean over cell types; specific_models: the
        # same, by models that were fitted to it
        "kind": "object",
        # test: one run's test genes; cv: every gene, out of fold; test_held_out, cv_held_out: those
        # on chromosomes that no oracle was trained on, where it was trained on others
        "split": "object",
        "oracle": "object",  # of the genes together: trained, held_out, unknown, untrained
        "n": "int64",
        "r": "float64",  # Pearson; NaN for a constant prediction
        "low": "float64",  # 95 % interval of r (Fisher z)
        "high": "float64",
        "ceiling": "float64",  # square root of the reliability; NaN where unknown
    },
    key=("cell_type", "model", "against", "kind", "split"),
    # Columns past `ceiling` are of the model: terms, seconds, and in cross-validation, where they
    # are means over the runs, terms_low, terms_high, …; see geneq.model_sizes.
    extra="float64",
)

# How much each sequence class counts in the boosted trees: see geneq.stages.distill.peers.
SHAP = Table(
    "shap",
    {
        "cell_type": "object",
        "block": "int64",  # its place in the features
        "class": "object",
        "shap": "float64",  # mean of |SHAP value| over genes, summed over bins; log2 units
    },
    key=("cell_type", "block", "class"),
)

VARIANTS = Table(
    "variants",
    {
        "locus": "object",
        "chrom": "object",  # as the genome spells it
        "pos": "int64",  # 1-based, as in the VCF
        "id": "object",
        "ref": "object",
        "alt": "object",
        "target": "object",
        "method": "object",  # surrogate, ism, gradient, oracle
        "effect": "float64",  # in units of the oracle's score; NaN where the method has none
        "error": "float64",  # standard error of effect; NaN where none is known
        "note": "object",  # why the method has no effect; "" otherwise
    },
    key=("locus", "chrom", "pos", "ref", "alt", "target", "method"),
)

EXPRESSION_EFFECTS = Table(
    "expression_effects",
    {
        "chrom": "object",  # as the genome spells it
        "pos": "int64",  # 1-based, as in the VCF
        "id": "object",
        "ref": "object",
        "alt": "object",
        "gene_id": "object",
        "gene_name": "object",
        "cell_type": "object",
        "method": "object",  # equation, teacher
        # Of log2(CPM + 1); NaN where the genome or alt has N, or alt does not fit into the window.
        "effect": "float64",
        "percentile": "float64",  # of |effect| among random substitutions; NaN without background
    },
    key=("chrom", "pos", "ref", "alt", "gene_id", "cell_type", "method"),
)

# The largest effects of each cell type, by the equation; by the teacher where none was selected.
LARGEST_EFFECTS = Table(
    "largest_effects",
    {
        "cell_type": "object",
        "chrom": "object",
        "pos": "int64",
        "id": "object",
        "ref": "object",
        "alt": "object",
        "gene_id": "object",
        "gene_name": "object",
        "equation": "float64",  # effect; NaN where no equation was selected
        "equation_percentile": "float64",
        "teacher": "float64",  # NaN without a teacher
        "teacher_percentile": "float64",
    },
    key=("cell_type", "chrom", "pos", "ref", "alt", "gene_id"),
)

BACKGROUND = Table(
    "background",
    {
        "method": "object",
        "cell_type": "object",
        "size": "float32",  # |effect| of a random substitution
    },
    key=(),
)

AGREEMENT = Table(
    "agreement",
    {
        "locus": "object",
        "target": "object",
        "method": "object",
        "n": "int64",  # variants that are measured and have an effect by the method
        "pearson": "float64",
        "low": "float64",  # 95 % interval of pearson (Fisher z)
        "high": "float64",
        "spearman": "float64",
        # The same over the variants that all methods of this locus and target have in common.
        "n_common": "int64",
        "pearson_common": "float64",
        "low_common": "float64",
        "high_common": "float64",
        "spearman_common": "float64",
    },
    key=("locus", "target", "method"),
)

COMPARISONS = Table(
    "comparisons",
    {
        "locus": "object",
        "target": "object",
        "method_1": "object",
        "method_2": "object",
        "kind": "object",  # pearson, spearman
        "n": "int64",  # variants that are measured and have an effect by both
        "r_1": "float64",
        "r_2": "float64",
        "difference": "float64",
        "t": "float64",  # Williams' t
        "p": "float64",  # two-sided
    },
    key=("locus", "target", "method_1", "method_2", "kind"),
)


def _by_cell_type(table: Table) -> Table:
    """The same table of effects on expression: by cell type in place of locus and target."""
    replaced = ("locus", "target")
    columns = {name: kind for name, kind in table.columns.items() if name not in replaced}
    key = tuple(name for name in table.key if name not in replaced)
    return Table(
        f"expression_{table.name}", {"cell_type": "object", **columns}, ("cell_type", *key)
    )


EXPRESSION_AGREEMENT, EXPRESSION_COMPARISONS = map(_by_cell_type, (AGREEMENT, COMPARISONS))


# --- of surrogates: `geneq surrogate` and `geneq attribute` -----------------------------------
#
# Positions are 0-based, in the sequence that was mutated. `symbol` is a symbol of the library's
# alphabet: a base of DNA, an amino acid, … . phi: in units of the latent phenotype, whose standard
# deviation over training rows is 1; y: in units of the scores. Standard errors (`se_`) are NaN
# where none is known.

EFFECTS = Table(
    "effects",
    {
        "target": "object",
        "position": "int32",
        "wild": "object",  # symbol of the wild type at this position
        "symbol": "object",
        "phi": "float64",  # NaN outside the windows that the library mutates
        "y": "float64",  # phi times the slope dy/dφ at the wild type
        "se_phi": "float64",
        "se_y": "float64",
    },
    key=("target", "position", "symbol"),
)

# Sorted by target, then by falling |phi|; pairs without an effect have no row.
PAIRS = Table(
    "pairs",
    {
        "target": "object",
        "position_1": "int32",  # below position_2
        "symbol_1": "object",
        "position_2": "int32",
        "symbol_2": "object",
        "phi": "float64",
        "y": "float64",
        "se_phi": "float64",
        "se_y": "float64",
    },
    key=("target", "position_1", "symbol_1", "position_2", "symbol_2"),
)

# Sorted by target, then by falling |phi|.
ELEMENTS = Table(
    "elements",
    {
        "target": "object",
        "element_1": "object",
        "element_2": "object",  # the same as element_1 for the sum within an element
        "pairs": "int64",  # pairs of positions that the map has
        "phi": "float64",  # sum of the interactions of the wild type's symbols
        "y": "float64",
        "se_phi": "float64",
        "se_y": "float64",
        "variance": "float64",  # contribution to the variance of φ in the library, which is 1
    },
    key=("target", "element_1", "element_2"),
)

LEVELS = Table(
    "levels",
    {
        "target": "object",
        "motif": "object",
        "sequence": "object",  # name of the motif's sequence; "" where the motif is absent
        "start": "int32",  # 0-based; -1 where the motif is absent
        "strand": "object",  # "+", "-"; "" where the motif is absent
        "phi": "float64",
        "y": "float64",
        "se_phi": "float64",
        "se_y": "float64",
    },
    key=("target", "motif", "sequence", "start", "strand"),
)

# Columns as in LEVELS. Sorted by target, then by falling |phi|.
LEVEL_PAIRS = Table(
    "level_pairs",
    {
        "target": "object",
        "motif_1": "object",
        "sequence_1": "object",
        "start_1": "int32",
        "strand_1": "object",
        "motif_2": "object",
        "sequence_2": "object",
        "start_2": "int32",
        "strand_2": "object",
        "phi": "float64",
        "y": "float64",
        "se_phi": "float64",
        "se_y": "float64",
    },
    key=(
        "target",
        *("motif_1", "sequence_1", "start_1", "strand_1"),
        *("motif_2", "sequence_2", "start_2", "strand_2"),
    ),
)

# Means over the places at which both motifs have this spacing; other motifs at their first level.
SPACINGS = Table(
    "spacings",
    {
        "target": "object",
        "motif_1": "object",  # the motif nearer to the start of the sequence
        "motif_2": "object",
        "sequence_1": "object",
        "sequence_2": "object",
        "strand_1": "object",
        "strand_2": "object",
        "spacing": "int32",  # symbols between the end of motif_1 and the start of motif_2
        "y": "float64",  # predicted effect of both motifs on the score
        "alone": "float64",  # sum of the predicted effects of each motif without the other
        "phi": "float64",  # interaction of both motifs in φ
        "measured": "float64",  # effect of both motifs in the scores, mean over backgrounds
        "se_y": "float64",
        "se_alone": "float64",
        "se_phi": "float64",
        "se_measured": "float64",  # over backgrounds
    },
    key=(
        "target",
        *("motif_1", "motif_2", "sequence_1", "sequence_2", "strand_1", "strand_2", "spacing"),
    ),
)

SURROGATE_METRICS = Table(
    "surrogate_metrics",
    {
        "target": "object",
        # r2, explained, i_pred and i_var (bits), coverage_0.5 … coverage_0.95, ks, ks_p: on test
        # rows, see geneq.surrogates.quality.
        "metric": "object",
        "value": "float64",
        "error": "float64",  # standard error
    },
    key=("target", "metric"),
)

# Test rows, which the surrogate was not fitted to.
LATENT = Table(
    "latent",
    {
        "target": "object",
        "row": "int64",  # of mave.parquet, 0-based
        "phi": "float32",
        "y": "float32",
    },
    key=("target", "row"),
)

ATTRIBUTIONS = Table(
    "attributions",
    {
        "target": "object",
        "method": "object",  # ism, saliency, …, ridge, lasso, lime, surrogate
        "position": "int32",
        "wild": "object",
        "symbol": "object",
        "effect": "float64",  # score with the symbol in place of the wild type's, minus without
    },
    key=("target", "method", "position", "symbol"),
)

ATTRIBUTION_AGREEMENT = Table(
    "attribution_agreement",
    {
        "target": "object",
        "method_1": "object",
        "method_2": "object",
        "r": "float64",  # Pearson, of effects minus their mean at each position; NaN if constant
    },
    key=("target", "method_1", "method_2"),
)
