"""Check a samplesheet, and a sheet of genomes, before anything runs.

The rules of each sheet stand in `data/samplesheet.json` and `data/genomes.json`; the pipeline
reads the same files. All faults of a sheet are named at once, each with its line and column.
"""

import csv
import json
import re
from importlib.resources import files
from pathlib import Path

from ..errors import GeneqError

URL = re.compile(r"[a-z][a-z0-9+.-]*://")


def add_arguments(parser) -> None:
    """Options of `geneq validate`."""
    parser.add_argument("--input", type=Path, required=True, help="samplesheet (CSV)")
    parser.add_argument("--genomes", type=Path, help="sheet of genomes (CSV)")


def run(args) -> None:
    """Check the sheets; say how many rows they have."""
    genomes = read_genomes(args.genomes) if args.genomes else []
    samples = read_samples(args.input, [row["genome"] for row in genomes])
    print(f"{args.input}: {len(samples)} data sets, no fault")


def read_samples(path: str | Path, genomes: list[str] = ()) -> list[dict]:
    """The rows of the samplesheet at `path`: column → value, without empty cells; `line` is the
    row's line; `genome` is always given.

    genomes: the names a row may give; none stands for a single genome of any name. Raises
    GeneqError naming line and column of every fault.
    """
    sheet = Sheet(path, "samplesheet")
    allowed = list(genomes) or [row["genome"] for row in sheet.rows if "genome" in row][:1]
    for row in sheet.rows:
        if "genome" not in row and len(allowed) > 1:
            sheet.fault(row["line"], "genome", f"must be one of {', '.join(allowed)}")
        elif "genome" in row and row["genome"] not in allowed:
            text = f"must be one of the genomes given ({', '.join(allowed)})"
            sheet.fault(row["line"], "genome", text, row["genome"])
        else:
            row.setdefault("genome", allowed[0] if allowed else "genome")
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
        for name, value in row.items():
            self._check_value(line, name, value)
        self.rows.append({**row, "line": line})

    def _check_value(self, line: int, name: str, value: str) -> None:
        rule = self.columns[name]
        if "pattern" in rule and not re.fullmatch(rule["pattern"], value):
            self.fault(line, name, rule["errorMessage"], value)
        if "enum" in rule and value not in rule["enum"]:
            self.fault(line, name, f"must be one of {', '.join(rule['enum'])}", value)
        if rule.get("format") == "file-path" and not self._is_there(value):
            text = "there is no such file (relative paths start at the sheet's folder)"
            self.fault(line, name, text, value)

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
