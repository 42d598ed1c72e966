"""Slow, obvious doubles of global and factorial libraries: a recipe as JSON gives rows as text.

Shuffles are handed in: they have doubles of their own. Imports nothing of geneq.
"""

from itertools import chain, product
from math import floor

from . import libraries
from .libraries import HALF, Numbers, canonical, positions_of, symbols_of, unknown_of

BACKGROUND, DESIGN = 3, 5
PAIRS = dict(zip("ACGTUN", "TGCAAN", strict=True))
CODES = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
         "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"}  # fmt: skip


# --- backgrounds ------------------------------------------------------------------------------


def background(recipe: dict, row: int, length: int) -> str:
    """Background `row`, not a shuffled one."""
    if recipe["background"] == "given":
        return canonical(recipe["sources"][row % len(recipe["sources"])], recipe["alphabet"])
    symbols = symbols_of(recipe["alphabet"])
    weights = recipe["composition"] or [1.0] * len(symbols)
    numbers, drawn = Numbers(recipe["seed"], BACKGROUND, row), []
    while len(drawn) < length:
        drawn += next_symbols(symbols, weights, numbers)
    return "".join(drawn[:length])


def next_symbols(symbols: str, weights: list[float], numbers: Numbers) -> list[str]:
    """The symbols that the next number stands for: several when bits alone choose them."""
    number, size = numbers.u32(), len(symbols)
    ends = [floor(sum(weights[: n + 1]) / sum(weights) * HALF + 0.5) for n in range(len(weights))]
    bits = size.bit_length() - 1
    if ends != [n * HALF // size for n in range(1, size + 1)] or 2**bits != size:
        return [symbols[sum(number >= end for end in ends)]]
    return [symbols[number >> bits * place & size - 1] for place in range(32 // bits)]


# --- global -----------------------------------------------------------------------------------


def global_rows(recipe: dict, backgrounds: list[str]) -> list[str]:
    """Rows of the random library of the same fields, the symbols outside replaced in order."""
    rows = libraries.rows({**recipe, "kind": "random"})
    inside = positions_of(recipe["windows"], len(recipe["wild_type"]))
    return [surrounded(row, inside, drawn) for row, drawn in zip(rows, backgrounds, strict=True)]


def surrounded(row: str, inside: list[int], drawn: str) -> str:
    outside = iter(drawn)
    return "".join(row[at] if at in inside else next(outside) for at in range(len(row)))


def outside(text: str, windows) -> str:
    inside = positions_of(windows, len(text))
    return "".join(symbol for at, symbol in enumerate(text) if at not in inside)


# --- factorial --------------------------------------------------------------------------------


def sequences(motif: dict) -> list[tuple[str, str]]:
    """Names and symbols to choose between."""
    if isinstance(motif["sequence"], str):
        return [(motif["name"], motif["sequence"])]
    return [tuple(pair) for pair in motif["sequence"]]


def points(recipe: dict) -> list[tuple]:
    """Of every design point for each motif None, or number of the sequence, start, strand."""

    def levels(motif: dict):
        places = motif["positions"] or motif["spacings"] or [None]
        sides = [None] * motif["optional"] + list(motif["orientations"])
        return list(product(range(len(sequences(motif))), places, sides))

    combined = product(*map(levels, recipe["motifs"]))
    return list(dict.fromkeys(placed(recipe, combination) for combination in combined))


def placed(recipe: dict, combination: tuple) -> tuple:
    entries, end = [], 0
    for motif, (number, place, side) in zip(recipe["motifs"], combination, strict=True):
        symbols = len(sequences(motif)[number][1])
        start = place
        if motif["spacings"]:
            start = end + place
        elif place is None:
            start = (recipe["length"] - symbols) // 2
        end = start + symbols
        entries.append(side and (number, start, side))
    return tuple(entries)


def factorial_rows(recipe: dict, backgrounds: list[str]) -> list[str]:
    """All points in the first background, in the second…; or each in the next one."""
    design, rows = points(recipe), []
    for index in range(recipe["n_backgrounds"]):
        for point in design:
            drawn = index if recipe["paired"] else len(rows)
            rows.append(embedded(recipe, point, backgrounds[drawn], drawn))
    return rows


def embedded(recipe: dict, point: tuple, background: str, drawn: int) -> str:
    row, words = list(background), [sequences(motif) for motif in recipe["motifs"]]
    for number, entry in enumerate(point):
        if entry:
            choice, start, strand = entry
            word = len(list(chain(*words[:number]))) + choice
            numbers = Numbers(recipe["seed"], DESIGN, drawn, word)
            symbols = spelled(words[number][choice][1], recipe["alphabet"], numbers)
            if strand == "-":
                symbols = [PAIRS[symbol] for symbol in reversed(symbols)]
                symbols = ["U" if x == "T" and recipe["alphabet"] == "rna" else x for x in symbols]
            for at, symbol in enumerate(symbols, start):
                row[at] = row[at] if symbol == unknown_of(recipe["alphabet"]) else symbol
    return "".join(row)


def spelled(word: str, alphabet: str, numbers: Numbers) -> list[str]:
    """The symbols of a motif, one base of every code but N."""
    symbols = []
    for symbol in word:
        bases = CODES.get(symbol, "") if alphabet in ("dna", "rna") else ""
        symbols.append(bases[numbers.below(len(bases))] if bases else symbol)
    return ["U" if x == "T" and alphabet == "rna" else x for x in symbols]
