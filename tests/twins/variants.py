"""Slow, obvious doubles of the VCF reader and of variants in genome context."""

BREAKENDS = ("[", "]")


def kind(ref: str, alt: str) -> str:
    """Why an alternative is left out before the genome is looked at; "" where it stays."""
    if alt == ".":
        return "no_alternative"
    if alt == "*":
        return "overlapping_deletion"
    if alt.startswith("<") and alt.endswith(">"):
        return "symbolic"
    if any(mark in alt for mark in BREAKENDS) or alt.startswith(".") or alt.endswith("."):
        return "breakend"
    return "same_as_reference" if alt.upper() == ref.upper() else ""


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
            reason = kind(ref, alt) or _on_genome(row, contigs, rows)
            if reason:
                skipped[reason] = skipped.get(reason, 0) + 1
            else:
                rows.append(row)
    return rows, skipped


def _on_genome(row: tuple, contigs: dict[str, str], before: list[tuple]) -> str:
    chrom, _, start, _, ref, alt, _ = row
    if chrom not in contigs:
        return "contig_absent"
    if start < 0 or start + len(ref) > len(contigs[chrom]):
        return "beyond_contig"
    there = contigs[chrom][start : start + len(ref)].upper()
    if any(a != b and a in "ACGT" for a, b in zip(there, ref, strict=True)):
        return "reference_differs"
    same = [(chrom, start, ref, alt) == (b[0], b[2], b[4], b[5]) for b in before]
    return "duplicated" if any(same) else ""


def trimmed(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """The variant without the symbols both alleles share: from the end, then from the beginning."""
    while ref and alt and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while ref and alt and ref[0] == alt[0]:
        start, ref, alt = start + 1, ref[1:], alt[1:]
    return start, ref, alt


def fits(start: int, ref: str, alt: str, length: int, anchor: int, keep: str) -> bool:
    """Do both alleles lie wholly in the window?"""
    _, ref, alt = trimmed(start, ref, alt)
    place = place_of(ref, alt, anchor, keep)
    return anchor + len(ref) <= length and 0 <= place <= length - len(alt)


def place_of(ref: str, alt: str, anchor: int, keep: str) -> int:
    """Column of the alternative's first symbol, from what must stay where it is."""
    right = anchor + len(ref) - len(alt)
    return {"left": anchor, "right": right, "centre": (anchor + right) // 2}[keep]


def pair(
    contig: str, start: int, ref: str, alt: str, length: int, anchor: int, keep: str
) -> tuple[str, str]:
    """Both windows: the variant put into the whole contig, then the window cut out of it."""
    start, ref, alt = trimmed(start, ref, alt)
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
    """The sequence of a locus [first, end) with the variant: what lies on that side of column
    `fixed` (of the locus' strand) on which the variant is moves, the rest stays."""
    start, ref, alt = trimmed(start, ref, alt)
    pivot = first + fixed if strand == "+" else end - 1 - fixed
    text = contig[:start] + alt + contig[start + len(ref) :]
    gained = len(alt) - len(ref)
    moved = gained if start + len(ref) <= pivot else 0
    cut = _cut(text, first + moved, end - first)
    return cut if strand == "+" else cut.translate(str.maketrans("ACGTN", "TGCAN"))[::-1]
