"""Samplesheets as spreadsheet programs save them: bytes, and what is right. The Python package and
the pipeline read the same cases."""

ROWS = [{"dataset": "a", "cell_type_key": "k"}, {"dataset": "b", "cell_type_key": "cell type"}]


def lines(*texts, end="\n"):
    """A file with these lines."""
    return (end.join(texts) + end).encode()


HEADER, A, B = "dataset,h5ad,cell_type_key", "a,a.h5ad,k", "b,a.h5ad,cell type"

# Read as ROWS, whatever the separator, the quotes and the empty cells.
READ = {
    "plain": lines(HEADER, A, B),
    "byte order mark and CRLF": lines("\ufeff" + HEADER, A, B, end="\r\n"),
    "CR": lines(HEADER, A, B, end="\r"),
    "empty rows": lines(HEADER, ",,", A, ",,,,,", "", "  ", B, ",,"),
    "empty rows first": lines(",,", "", HEADER, A, B),
    "empty last columns": lines(HEADER + ",,", A + ",,", B + ",,", end="\r\n"),
    "empty last fields": lines(HEADER, A + ",,", B + ","),
    "empty last columns of the header": lines(HEADER + ",,", A, B),
    "semicolons": lines(
        "dataset;h5ad;cell_type_key;;", "a;a.h5ad;k;;", "b;a.h5ad;cell type;;", ";;;;"
    ),
    "tabs": lines(
        "dataset\th5ad\tcell_type_key\t", "a\ta.h5ad\tk\t", "b\ta.h5ad\tcell type\t", "\t\t\t"
    ),
    "quotes": lines(
        '"dataset","h5ad","cell_type_key"',
        '"a","a.h5ad","k"',
        '"b","a.h5ad","cell type"',
        '"","",""',
    ),
    "quotes and semicolons": lines(
        '"dataset";"h5ad";"cell_type_key"', '"a";"a.h5ad";"k"', 'b;"a.h5ad";"cell type"'
    ),
    "spaces, also those that do not break": lines(
        "dataset, h5ad ,cell_type_key\xa0",
        " a\xa0,a.h5ad,k",
        "b,a.h5ad,\u3000cell type\xa0",
        "\xa0,,",
    ),
}

# Refused: what the message says, line by line.
REFUSED = {
    "a column without a name": (
        b"dataset,,h5ad,cell_type_key\na,,a.h5ad,k\n",
        ["line 1: column 2 has no name"],
    ),
    "a value right of the header": (
        b"dataset,h5ad,cell_type_key,\na,a.h5ad,k,,note\n",
        ["line 2: has 5 fields, but the header has 3"],
    ),
    "a row with too few fields": (
        b"dataset,h5ad,cell_type_key\na,a.h5ad\n",
        ["line 2: has 2 fields, but the header has 3"],
    ),
    "another separator": (
        b"dataset|h5ad|cell_type_key\na|a.h5ad|k\n",
        [
            "line 1, column dataset|h5ad|cell_type_key: unknown column; the columns are dataset, "
            "h5ad, cell_type_key, layer, scale, donor_key, genome",
            "line 1, column dataset: the column is missing",
            "line 1, column h5ad: the column is missing",
            "line 1, column cell_type_key: the column is missing",
        ],
    ),
    "commas below a header of semicolons": (
        b"dataset;h5ad;cell_type_key\na,a.h5ad,k\n",
        ["line 2: has 1 fields, but the header has 3"],
    ),
    "a quote that is not closed": (
        b'dataset;h5ad;cell_type_key\na;"a.h5ad;k\n',
        ["line 2: quotes must enclose a complete field and be closed on its line"],
    ),
    "only empty rows": (
        b"dataset,h5ad,cell_type_key\r\n,,\r\n,,\r\n",
        ["line 2: there must be at least one row below the header"],
    ),
    "nothing": (
        b"",
        [
            "line 1, column dataset: the column is missing",
            "line 1, column h5ad: the column is missing",
            "line 1, column cell_type_key: the column is missing",
        ],
    ),
    "lines are counted with the empty ones": (
        b",,\n\ndataset,h5ad,cell_type_key\n,,\na a,gone.h5ad,k\nb,a.h5ad,k\nb,a.h5ad,\n",
        [
            "line 5, column dataset: must start with a letter or digit and contain only letters, "
            "digits, '_', '.' and '-': 'a a'",
            "line 5, column h5ad: file not found (relative paths start at the folder of the "
            "sheet): 'gone.h5ad'",
            "line 7, column cell_type_key: a value is missing",
            "line 7, column dataset: already used in line 6: 'b'",
        ],
    ),
}

# Not text at all.
NOT_UTF8 = {
    "UTF-16": "dataset,h5ad,cell_type_key\n".encode("utf-16"),
    "Latin-1": "dataset,h5ad,cell_type_key\na,a.h5ad,Zelltyp für alle\n".encode("latin-1"),
    "a spreadsheet": b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00b\xee\x9dh^\x01\x00\x00",
}
