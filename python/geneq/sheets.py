"""Sheets of comma-separated values, with all their faults named at once.

The rules of each sheet stand in `data/<sheet>.json`; the pipeline reads the same files.
"""

import csv
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from .errors import GeneqError

URL = re.compile(r"[a-z][a-z0-9+.-]*://")
ABSENT = "there is no such file (relative paths start at the sheet's folder)"
# A function in a file of one's own.
OWN = re.compile(r"python:(.+\.py)(:.+)")
# The kind of oracle that is the equation which a run of the pipeline finds for a cell type.
OF_THE_RUN = "distill"
TYPES = {"integer": int, "number": float, "boolean": lambda value: value == "true"}


# --- the sheets there are ---------------------------------------------------------------------


def read_samples(path: str | Path, genomes: Sequence[str] = ()) -> list[dict]:
    """The rows of the samplesheet at `path`: column → value, without empty cells; `line` is the
    row's line; `genome` is always given.

    genomes: the names a row may give; none stands for a single genome of any name. Raises
    GeneqError naming line and column of every fault.
    """
    sheet = Sheet(path, "samplesheet")
    _name_genomes(sheet, genomes, "the genomes given")
    sheet.stop_on_faults()
    return sheet.rows


def read_genomes(path: str | Path) -> list[dict]:
    """The rows of the sheet of genomes at `path`, as `read_samples` gives those of its sheet."""
    sheet = Sheet(path, "genomes")
    for row in sheet.rows:
        if row.keys() & {"fasta", "gtf", "promoters"} not in ({"fasta", "gtf"}, {"promoters"}):
            sheet.fault(row["line"], None, "a genome has fasta and gtf, or promoters alone")
    sheet.stop_on_faults()
    return sheet.rows


def read_loci(
    path: str | Path, genomes: Sequence[str] = (), datasets: Sequence[str] | None = None
) -> list[dict]:
    """The rows of the sheet of loci at `path`, as `read_samples` gives those of its sheet.

    genomes: names of those with coordinates. datasets: names of the samplesheet; None where there
    is no run that oracles could be equations of. Paths of oracles are resolved against the sheet's
    folder.
    """
    sheet = Sheet(path, "loci")
    _name_genomes(sheet, genomes, "the genomes with coordinates")
    _check_datasets(sheet, datasets)
    faulty = {line for line, _ in sheet.faults}
    for row in sheet.rows:
        if row["line"] not in faulty:
            _check_coordinates(sheet, row)
    sheet.stop_on_faults()
    return sheet.rows


def read_experiments(
    path: str | Path, datasets: Sequence[str] | None = None, loci: Sequence[str] = ()
) -> list[dict]:
    """The rows of the sheet of experiments at `path`, as `read_loci` gives those of its sheet.

    loci: names that are taken. Paths of recipes are as they stand there.
    """
    sheet = Sheet(path, "experiments")
    _check_datasets(sheet, datasets)
    for row in sheet.rows:
        if (name := row.get("experiment")) in loci:
            sheet.fault(row["line"], "experiment", "a locus has this name", name)
    sheet.stop_on_faults()
    return sheet.rows


def _name_genomes(sheet: "Sheet", genomes: Sequence[str], what: str) -> None:
    """Check the genomes of the rows; give a row without one the only one there is."""
    allowed = list(genomes) or [row["genome"] for row in sheet.rows if "genome" in row][:1]
    for row in sheet.rows:
        if "genome" not in row and len(allowed) > 1:
            sheet.fault(row["line"], "genome", f"must be one of {', '.join(allowed)}")
        elif "genome" in row and row["genome"] not in allowed:
            text = f"must be one of {what} ({', '.join(allowed)})"
            sheet.fault(row["line"], "genome", text, row["genome"])
        else:
            row.setdefault("genome", allowed[0] if allowed else "genome")


def _check_datasets(sheet: "Sheet", datasets: Sequence[str] | None) -> None:
    """Check that oracles which are equations of a run are those of its data sets."""
    for row in sheet.rows if datasets is not None else ():
        kind, _, what = row.get("oracle", "").partition(":")
        dataset = what.partition(":")[0]
        if kind == OF_THE_RUN and dataset not in datasets:
            text = "the samplesheet has no such data set"
            sheet.fault(row["line"], "oracle", text, dataset)


def _check_coordinates(sheet: "Sheet", row: dict) -> None:
    start, end = row["start"], row["end"]
    if end <= start:
        sheet.fault(row["line"], "end", f"must be above start, which is {start}", str(end))
    if ("window_start" in row) != ("window_end" in row):
        sheet.fault(row["line"], None, "window_start and window_end go together")
    elif "window_start" in row and not start <= row["window_start"] < row["window_end"] <= end:
        window = f"{row['window_start']}-{row['window_end']}"
        sheet.fault(row["line"], None, f"the window must lie in {start}-{end}", window)


# --- reading and checking ---------------------------------------------------------------------


class Sheet:
    """A sheet of comma-separated values, read and checked by the rules of its schema.

    rows: column → value for the cells that are not empty, and `line`, the row's line (from 1).
    """

    def __init__(self, path: str | Path, schema: str):
        self.path = Path(path)
        self.rows: list[dict] = []
        self.faults: list[tuple[int, str]] = []
        rules = json.loads((files("geneq") / "data" / f"{schema}.json").read_text())
        self.columns, self.required = rules["properties"], rules["required"]
        lines = re.split(r"\r\n|\r|\n", self._text())
        header = self._fields(lines[0], 1)
        self._check_header(header)
        self.stop_on_faults()
        for number, text in enumerate(lines[1:], 2):
            if text.strip():
                self._add_row(header, self._fields(text, number), number)
        if not self.rows and not self.faults:
            self.fault(2, None, "there must be at least one row below the header")
        self._check_unique()

    def fault(self, line: int, column: str | None, text: str, value: str | None = None) -> None:
        """Note that a rule is broken."""
        place = f"line {line}" + (f", column {column}" if column else "")
        shown = "" if value is None else f": '{value}'"
        self.faults.append((line, f"{place}: {text}{shown}"))

    def stop_on_faults(self) -> None:
        """Raise GeneqError with all faults noted, if there are any."""
        if self.faults:
            texts = "\n  ".join(text for _, text in sorted(self.faults, key=lambda fault: fault[0]))
            raise GeneqError(f"{self.path.name} breaks the rules of its sheet\n  {texts}")

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except (FileNotFoundError, IsADirectoryError):
            raise GeneqError("There is no such file", file=self.path) from None
        except UnicodeDecodeError:
            raise GeneqError(
                "A sheet must be UTF-8 text", file=self.path, fix="Save it as CSV (UTF-8)"
            ) from None

    def _fields(self, text: str, line: int) -> list[str]:
        try:
            return [field.strip() for field in next(csv.reader([text], strict=True), [])]
        except csv.Error:
            self.fault(line, None, "quotes must enclose a whole field and be closed on its line")
            return []

    def _check_header(self, header: list[str]) -> None:
        known = ", ".join(self.columns)
        for name in dict.fromkeys(header):
            if name not in self.columns:
                self.fault(1, name, f"there is no such column; the columns are {known}")
            elif header.count(name) > 1:
                self.fault(1, name, "the column stands there twice")
        for name in self.required:
            if name not in header:
                self.fault(1, name, "the column is missing")

    def _add_row(self, header: list[str], fields: list[str], line: int) -> None:
        if len(fields) != len(header):
            if fields:
                text = f"has {len(fields)} fields where the header has {len(header)}"
                self.fault(line, None, text)
            return
        row = {name: value for name, value in zip(header, fields, strict=True) if value}
        for name in self.required:
            if name not in row:
                self.fault(line, name, "a value is missing")
        self.rows.append({
            **{name: self._checked(line, name, value) for name, value in row.items()},
            "line": line,
        })  # fmt: skip

    def _checked(self, line: int, name: str, value: str) -> str | int | float | bool:
        """The value, in the type that its rule names."""
        rule, before = self.columns[name], len(self.faults)
        if "pattern" in rule and not re.fullmatch(rule["pattern"], value):
            self.fault(line, name, rule["errorMessage"], value)
        if "enum" in rule and value not in rule["enum"]:
            self.fault(line, name, f"must be one of {', '.join(rule['enum'])}", value)
        if rule.get("format") == "file-path" and not self._is_there(value):
            self.fault(line, name, ABSENT, value)
        if len(self.faults) > before:
            return value
        if rule.get("format") in ("oracle", "function"):
            return self._named(line, name, value)
        return TYPES.get(rule["type"], str)(value)

    def _named(self, line: int, name: str, value: str) -> str:
        """KIND:WHAT, its file against the sheet's folder where it has one."""
        (kind, _, file), rule = value.partition(":"), self.columns[name]
        of_files = rule.get("files", ())
        is_file, rest = kind in of_files and value not in rule["names"], ""
        if own := OWN.fullmatch(value):
            is_file, (file, rest) = True, own.groups()
        if (is_file or of_files) and self._is_there(file):
            return f"{kind}:{file if URL.match(file) else self.path.parent / file}{rest}"
        if is_file:
            self.fault(line, name, ABSENT, file)
        return value

    def _is_there(self, value: str) -> bool:
        # What stands at a URL is looked for by the pipeline, which has the ways to read it.
        return bool(URL.match(value)) or (self.path.parent / value).is_file()

    def _check_unique(self) -> None:
        for name in (name for name, rule in self.columns.items() if rule.get("unique")):
            first: dict[str, int] = {}
            for row in self.rows:
                line = first.setdefault(row.get(name, f"line {row['line']}"), row["line"])
                if line != row["line"]:
                    text = f"must be unlike that of line {line}"
                    self.fault(row["line"], name, text, row[name])
