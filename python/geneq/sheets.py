"""Sheets of a run (CSV): read and checked, with all errors of a sheet reported at once.

The rules of each sheet are in `data/<sheet>.json`. The pipeline reads the same files and gives the
same messages (`lib/Sheet.groovy`).
"""

import csv
import json
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from .errors import CONTROL, GeneqError, not_found, visible

__all__ = ["Sheet", "read_experiments", "read_genomes", "read_loci", "read_samples"]

URL = re.compile(r"[a-z][a-z0-9+.-]*://")
NOT_FOUND = "{} not found (relative paths start at the folder of the sheet)"
FIRST = "the name of a file or folder must not begin with '-', '#' or '~'"
NO_FILE, NO_FOLDER = NOT_FOUND.format("file"), NOT_FOUND.format("folder")
# A function in a user's file.
IN_FILE = re.compile(r"python:(.+\.py)(:.+)")
# A folder, and what is read of it: deepbind:FOLDER:VALUES, sei:FOLDER:profiles.
OF_FOLDER = re.compile(rf"[^:]+:((?:{URL.pattern})?[^:]+)((?::.*)?)")
# The type of oracle that is an equation which the same run of the pipeline finds.
OF_THE_RUN = "distill"
TYPES: dict[str, Callable[[str], str | int | float | bool]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": lambda value: value == "true",
}
# What spreadsheet programs put between fields.
SEPARATORS = (",", ";", "\t")


# --- the sheets -------------------------------------------------------------------------------


def read_samples(path: str | Path, genomes: Sequence[str] = ()) -> list[dict]:
    """Read a samplesheet.

    Parameters
    ----------
    path
        The sheet.
    genomes
        Names that a row may give as its genome; empty for a single genome of any name.

    Returns
    -------
    list of dict
        One per row: column → value of the cells that are not empty, `line`, the row's line in the
        file (from 1), and always `genome`.

    Raises
    ------
    GeneqError
        With line and column of every error in the sheet.
    """
    sheet = Sheet(path, "samplesheet")
    _name_genomes(sheet, genomes, "the genomes given")
    sheet.stop_on_errors()
    return sheet.rows


def read_genomes(path: str | Path) -> list[dict]:
    """Read a sheet of genomes.

    Parameters
    ----------
    path
        The sheet.

    Returns
    -------
    list of dict
        As from `read_samples`.

    Raises
    ------
    GeneqError
        With line and column of every error in the sheet.
    """
    sheet = Sheet(path, "genomes")
    for row in sheet.rows:
        if row.keys() & {"fasta", "gtf", "promoters"} not in ({"fasta", "gtf"}, {"promoters"}):
            sheet.error(row["line"], None, "give either fasta and gtf, or promoters alone")
    sheet.stop_on_errors()
    return sheet.rows


def read_loci(
    path: str | Path, genomes: Sequence[str] = (), datasets: Sequence[str] | None = None
) -> list[dict]:
    """Read a sheet of loci.

    Parameters
    ----------
    path
        The sheet.
    genomes
        Names of the genomes with coordinates; empty for a single genome of any name.
    datasets
        Names in the samplesheet, which `distill:DATASET:CELL TYPE` may refer to; None outside a
        run of the pipeline, where this is not checked.

    Returns
    -------
    list of dict
        As from `read_samples`; paths of oracles are resolved against the folder of the sheet.

    Raises
    ------
    GeneqError
        With line and column of every error in the sheet.
    """
    sheet = Sheet(path, "loci")
    _name_genomes(sheet, genomes, "the genomes with coordinates")
    _check_datasets(sheet, datasets)
    wrong = {line for line, _ in sheet.errors}
    for row in sheet.rows:
        if row["line"] not in wrong:
            _check_coordinates(sheet, row)
    sheet.stop_on_errors()
    return sheet.rows


def read_experiments(
    path: str | Path, datasets: Sequence[str] | None = None, loci: Sequence[str] = ()
) -> list[dict]:
    """Read a sheet of experiments.

    Parameters
    ----------
    path
        The sheet.
    datasets
        As for `read_loci`.
    loci
        Names of loci in the same run, which no experiment may have.

    Returns
    -------
    list of dict
        As from `read_loci`; paths of recipes are not resolved.

    Raises
    ------
    GeneqError
        With line and column of every error in the sheet.
    """
    sheet = Sheet(path, "experiments")
    _check_datasets(sheet, datasets)
    for row in sheet.rows:
        if (name := row.get("experiment")) in loci:
            sheet.error(row["line"], "experiment", "a locus has the same name", name)
    sheet.stop_on_errors()
    return sheet.rows


def _name_genomes(sheet: "Sheet", genomes: Sequence[str], what: str) -> None:
    """Check the genomes of the rows; rows without one get the only one there is."""
    allowed = list(genomes) or [row["genome"] for row in sheet.rows if "genome" in row][:1]
    for row in sheet.rows:
        if "genome" not in row and len(allowed) > 1:
            sheet.error(row["line"], "genome", f"must be one of {', '.join(allowed)}")
        elif "genome" in row and row["genome"] not in allowed:
            text = f"must be one of {what} ({', '.join(allowed)})"
            sheet.error(row["line"], "genome", text, row["genome"])
        else:
            row.setdefault("genome", allowed[0] if allowed else "genome")


def _check_datasets(sheet: "Sheet", datasets: Sequence[str] | None) -> None:
    """Check that equations of this run belong to data sets of this run."""
    if datasets is None:
        return
    for row in sheet.rows:
        oracle, _, what = row.get("oracle", "").partition(":")
        dataset = what.partition(":")[0]
        if oracle == OF_THE_RUN and dataset not in datasets:
            text = "the samplesheet has no such data set"
            sheet.error(row["line"], "oracle", text, dataset)


def _check_coordinates(sheet: "Sheet", row: dict) -> None:
    start, end = row["start"], row["end"]
    if end <= start:
        sheet.error(row["line"], "end", f"must be greater than start ({start})", str(end))
    if ("window_start" in row) != ("window_end" in row):
        sheet.error(row["line"], None, "give both window_start and window_end, or neither")
    elif "window_start" in row and not start <= row["window_start"] < row["window_end"] <= end:
        window = f"{row['window_start']}-{row['window_end']}"
        sheet.error(row["line"], None, f"the window must be inside {start}-{end}", window)


# --- reading and checking ---------------------------------------------------------------------


class Sheet:
    """A sheet, read and checked by the rules of its schema.

    Fields are separated by commas, or by semicolons or tabs where the header is: spreadsheet
    programs of many countries save CSV so. Empty rows, and empty fields after the last column of
    the header, are ignored.

    Parameters
    ----------
    path
        The sheet (UTF-8, with or without a byte order mark).
    schema
        Name of the schema: samplesheet, genomes, loci or experiments.

    Attributes
    ----------
    rows : list of dict
        Column → value of the cells that are not empty, and `line`, the row's line (from 1).
    errors : list of (int, str)
        Line and message of what is wrong in the rows.

    Raises
    ------
    GeneqError
        If the file cannot be read, or its header is wrong.
    """

    def __init__(self, path: str | Path, schema: str):
        self.path = Path(path)
        self.rows: list[dict] = []
        self.errors: list[tuple[int, str]] = []
        rules = json.loads((files("geneq") / "data" / f"{schema}.json").read_text())
        self.title, self.required = rules["title"], rules["required"]
        self.columns = rules["properties"]
        lines = re.split(r"\r\n|\r|\n", self._text())
        first = next((i for i, text in enumerate(lines) if re.search(r"[^\s,;]", text)), 0)
        self.separator = max(SEPARATORS, key=lines[first].count)
        header = _without_empty_end(self._fields(lines[first], first + 1), 0)
        self._check_header(header, first + 1)
        self.stop_on_errors()
        for number, text in enumerate(lines[first + 1 :], first + 2):
            self._add_row(header, self._fields(text, number), number)
        if not self.rows and not self.errors:
            self.error(first + 2, None, "there must be at least one row below the header")
        self._check_unique()

    def error(self, line: int, column: str | None, text: str, value: str | None = None) -> None:
        """Note an error, to be raised by `stop_on_errors`."""
        place = f"line {line}" + (f", column {column}" if column else "")
        shown = "" if value is None else f": '{value}'"
        self.errors.append((line, visible(f"{place}: {text}{shown}")))

    def stop_on_errors(self) -> None:
        """Raise GeneqError with all errors noted, in the order of their lines, if there are any."""
        if self.errors:
            texts = "\n  ".join(text for _, text in sorted(self.errors, key=lambda error: error[0]))
            raise GeneqError(f"{self.path.name} is not a valid {self.title}\n  {texts}")

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except (FileNotFoundError, IsADirectoryError):
            raise not_found(self.path) from None
        except UnicodeDecodeError:
            raise GeneqError(
                "A sheet must be UTF-8 text", file=self.path, fix="Save it as CSV (UTF-8)"
            ) from None

    def _fields(self, text: str, line: int) -> list[str]:
        try:
            reader = csv.reader([text], delimiter=self.separator, strict=True)
            return [field.strip() for field in next(reader, [])]
        except csv.Error:
            self.error(line, None, "quotes must enclose a complete field and be closed on its line")
            return []

    def _check_header(self, header: list[str], line: int) -> None:
        known = ", ".join(self.columns)
        for number, name in enumerate(header, 1):
            if not name:
                self.error(line, None, f"column {number} has no name")
        for name in filter(None, dict.fromkeys(header)):
            if name not in self.columns:
                self.error(line, name, f"unknown column; the columns are {known}")
            elif header.count(name) > 1:
                self.error(line, name, "duplicate column")
        for name in self.required:
            if name not in header:
                self.error(line, name, "the column is missing")

    def _add_row(self, header: list[str], fields: list[str], line: int) -> None:
        if not any(fields):
            return
        fields = _without_empty_end(fields, len(header))
        if len(fields) != len(header):
            text = f"has {len(fields)} fields, but the header has {len(header)}"
            self.error(line, None, text)
            return
        row = {name: value for name, value in zip(header, fields, strict=True) if value}
        for name in self.required:
            if name not in row:
                self.error(line, name, "a value is missing")
        self.rows.append({
            **{name: self._checked(line, name, value) for name, value in row.items()},
            "line": line,
        })  # fmt: skip

    def _checked(self, line: int, name: str, value: str) -> str | int | float | bool:
        """The value, in the type that its rule names."""
        rule, before = self.columns[name], len(self.errors)
        if CONTROL.search(value):
            self.error(line, name, "must not contain control characters", value)
        if "pattern" in rule and not re.fullmatch(rule["pattern"], value):
            self.error(line, name, rule["errorMessage"], value)
        if "enum" in rule and value not in rule["enum"]:
            self.error(line, name, f"must be one of {', '.join(rule['enum'])}", value)
        if rule.get("format") == "file-path":
            self._check_path(line, name, value, self._is_file(value), NO_FILE)
        if rule.get("format") == "directory-path":
            self._check_path(line, name, value, self._is_folder(value), NO_FOLDER)
        if len(self.errors) > before:
            return value
        if rule.get("format") in ("oracle", "function"):
            return self._named(line, name, value)
        return TYPES[rule["type"]](value)

    def _named(self, line: int, name: str, value: str) -> str:
        """TYPE:WHAT, with the path of its file or folder resolved against that of the sheet."""
        (type_, _, path), rest, rule = value.partition(":"), "", self.columns[name]
        known, error = self._is_file, None
        if match := IN_FILE.fullmatch(value):
            (path, rest), error = match.groups(), NO_FILE
        elif type_ in rule.get("folders", ()):
            match = OF_FOLDER.fullmatch(value)
            path, rest = match.groups() if match else (path, "")
            error, known = NO_FOLDER, self._is_folder
        elif type_ in rule.get("files", ()) and value not in rule["names"]:
            error = NO_FILE
        elif type_ in rule.get("plain", [type_]) or value in rule["names"]:
            return value
        # An oracle of another package may have a file or folder, or neither.
        found = known(path) or (error is None and self._is_folder(path))
        if found or error:
            self._check_path(line, name, path, found, error)
        if found:
            return f"{type_}:{path if URL.match(path) else self.path.parent / path}{rest}"
        return value

    def _check_path(self, line: int, name: str, path: str, found: bool, error: str | None) -> None:
        """Note an error unless there is what must be at `path`, with a name that tasks can use."""
        if not found and error:
            self.error(line, name, error, path)
        # In the command of a task they begin an option, a comment or the name of a home folder.
        elif path.rstrip("/").rpartition("/")[2].startswith(("-", "#", "~")):
            self.error(line, name, FIRST, path)

    # URLs are checked by the pipeline, which can read them.
    def _is_file(self, value: str) -> bool:
        return bool(URL.match(value)) or (self.path.parent / value).is_file()

    def _is_folder(self, value: str) -> bool:
        return bool(URL.match(value)) or (self.path.parent / value).is_dir()

    def _check_unique(self) -> None:
        for name in (name for name, rule in self.columns.items() if rule.get("unique")):
            first: dict[str, int] = {}
            for row in self.rows:
                line = first.setdefault(row.get(name, f"line {row['line']}"), row["line"])
                if line != row["line"]:
                    self.error(row["line"], name, f"already used in line {line}", row[name])


def _without_empty_end(fields: list[str], n: int) -> list[str]:
    """`fields` without the empty ones after the last that is not, but at least `n` where given."""
    length = max((i for i, field in enumerate(fields, 1) if field), default=0)
    return fields[: max(length, n)]
