"""Slow, obvious reference implementations of the VCF reader and of variants in genome context."""

import re
from functools import cache

BREAKENDS = ("[", "]")
CODES = "RYSWKMBDHV"


def kind(ref: str, alt: str) -> str:
    """Why an alternative is skipped before the genome is looked at; "" where it is kept."""
    if _is_of(ref, "ACGTN" + CODES) and not _is_of(ref, "ACGTN"):
        return "iupac_code"
    if not _is_of(ref, "ACGTN"):
        return "malformed_allele"
    if alt == ".":
        return "no_alternative"
    if alt == "*":
        return "overlapping_deletion"
    if alt.startswith("<") and alt.endswith(">") and len(alt) > 2:
        return "symbolic"
    if any(mark in alt for mark in BREAKENDS):
        return "breakend"
    if (alt.startswith(".") or alt.endswith(".")) and _is_of(alt.replace(".", "", 1), "ACGTN"):
        return "breakend"
    if _is_of(alt, "ACGTN"):
        return "same_as_reference" if alt.upper() == ref.upper() else ""
    return "iupac_code" if _is_of(alt, "ACGTN" + CODES) else "malformed_allele"


def _is_of(text: str, symbols: str) -> bool:
    return text != "" and all(symbol in symbols for symbol in text.upper())


def read(text: str, contigs: dict[str, str]) -> tuple[list[tuple], dict[str, int]]:
    """Rows (chrom, pos, start, id, ref, alt, line) and counts by reason."""
    rows, skipped = [], {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if line == "" or line.startswith("#"):
            continue
        chrom, pos, name, ref, alts = line.split("\t")[:5]
        start = int(pos) - 1
        for alt in alts.split(","):
            row = (chrom, start + 1, start, name, ref.upper(), alt.upper(), number)
            reason = kind(ref, alt) or _on_genome(row, contigs)
            if not reason and any(same_edit(row, before, contigs) for before in rows):
                reason = "duplicated"
            if reason:
                skipped[reason] = skipped.get(reason, 0) + 1
            else:
                rows.append(row)
    return rows, skipped


def same_edit(a: tuple, b: tuple, contigs: dict[str, str]) -> bool:
    """Do two rows change the genome in the same way?"""
    one, other = (
        (chrom, *normal(contigs[chrom], start, ref, alt))
        for chrom, _, start, _, ref, alt, _ in (a, b)
    )
    return one == other


def _on_genome(row: tuple, contigs: dict[str, str]) -> str:
    chrom, _, start, _, ref, *_ = row
    if chrom not in contigs:
        return "contig_absent"
    if start < 0 or start + len(ref) > len(contigs[chrom]):
        return "beyond_contig"
    there = contigs[chrom][start : start + len(ref)].upper()
    differs = any(a != b and a in "ACGT" for a, b in zip(there, ref, strict=True))
    return "reference_differs" if differs else ""


@cache
def normal(contig: str, start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """The normal form: the edited contig beside the contig, both without what they share, from the
    end and then from the beginning. No N of the contig equals another base."""
    marked = re.sub("[^ACGT]", lambda found: chr(0x1000 + found.start()), contig.upper())
    before, after = marked[:start], marked[start + len(ref) :]
    one, other = before + ref + after, before + alt + after
    end, first, shorter = 0, 0, min(len(one), len(other))
    while end < shorter and one[-1 - end] == other[-1 - end]:
        end += 1
    while first < shorter - end and one[first] == other[first]:
        first += 1
    return first, one[first : len(one) - end], other[first : len(other) - end]


def fits(contig: str, start: int, ref: str, alt: str, length: int, anchor: int, keep: str) -> bool:
    """Are both alleles completely in the window?"""
    _, ref, alt = normal(contig, start, ref, alt)
    place = place_of(ref, alt, anchor, keep)
    return anchor + len(ref) <= length and 0 <= place <= length - len(alt)


def place_of(ref: str, alt: str, anchor: int, keep: str) -> int:
    """Column of the alternative's first base, from what must stay where it is."""
    right = anchor + len(ref) - len(alt)
    return {"left": anchor, "right": right, "centre": (anchor + right) // 2}[keep]


def pair(
    contig: str, start: int, ref: str, alt: str, length: int, anchor: int, keep: str
) -> tuple[str, str]:
    """Both windows: the variant inserted into the complete contig, then the window cut from it."""
    start, ref, alt = normal(contig, start, ref, alt)
    place = place_of(ref, alt, anchor, keep)
    end = start + len(ref)
    return (
        _cut(contig[:start] + ref + contig[end:], start - anchor, length),
        _cut(contig[:start] + alt + contig[end:], start - place, length),
    )


def _cut(text: str, first: int, length: int) -> str:
    places = range(first, first + length)
    symbols = [text[place].upper() if 0 <= place < len(text) else "N" for place in places]
    return "".join(symbol if symbol in "ACGT" else "N" for symbol in symbols)


def in_locus(
    contig: str, start: int, ref: str, alt: str, first: int, end: int, strand: str, fixed: int
) -> str:
    """The sequence of a locus [first, end) with the variant: the side of column `fixed` (of the
    locus' strand) that has the variant moves, the other side stays."""
    start, ref, alt = normal(contig, start, ref, alt)
    pivot = first + fixed if strand == "+" else end - 1 - fixed
    text = contig[:start] + alt + contig[start + len(ref) :]
    gained = len(alt) - len(ref)
    moved = gained if start + len(ref) <= pivot else 0
    cut = _cut(text, first + moved, end - first)
    return cut if strand == "+" else cut.translate(str.maketrans("ACGTN", "TGCAN"))[::-1]
