"""Slow, obvious doubles of the libraries: a recipe as JSON holds it gives its rows as text.

Imports nothing of geneq, so that an error there cannot hide here.
"""

from itertools import combinations, product
from math import comb

import numpy as np

SYMBOLS = {
    "dna": "ACGT",
    "rna": "ACGU",
    "protein": "ACDEFGHIKLMNPQRSTVWY",
    "diploid": "ACGTRYSWKM",
}
UNKNOWN = {"protein": "X"}
GENOTYPES = {"A": "AA", "C": "CC", "G": "GG", "T": "TT", "R": "AG", "Y": "CT", "S": "CG"}
GENOTYPES |= {"W": "AT", "K": "GT", "M": "AC"}
MUTATIONS, SAMPLE = 1, 2
WORD, HALF = 2**64, 2**32


# --- symbols ----------------------------------------------------------------------------------


def symbols_of(alphabet: str) -> str:
    return SYMBOLS.get(alphabet) or alphabet.removeprefix("symbols:")


def unknown_of(alphabet: str) -> str:
    return UNKNOWN.get(alphabet, "N")


def tokens(rows: list[str], alphabet: str) -> np.ndarray:
    """uint8[rows, length]: the place of every symbol; what is none is the number of symbols."""
    symbols = symbols_of(alphabet)
    places = [[symbols.find(symbol) % (len(symbols) + 1) for symbol in row] for row in rows]
    return np.array(places, np.uint8)


def one_hot(rows: list[str], alphabet: str) -> np.ndarray:
    """[rows, length, symbols] by a table; genotypes count the bases."""
    symbols = symbols_of(alphabet)
    table = np.eye(len(symbols) + 1)[:, :-1]  # of the unknown symbol all is 0
    if alphabet == "diploid":
        table = np.array([[GENOTYPES[x].count(b) for b in "ACGT"] for x in symbols] + [[0] * 4])
    return table[tokens(rows, alphabet)]


def canonical(text: str, alphabet: str) -> str:
    """Upper case; a symbol that is none of the alphabet's is the unknown one."""
    symbols = symbols_of(alphabet)
    return "".join(x if x in symbols else unknown_of(alphabet) for x in text.upper())


def mutated(wild_type: str, changes: dict[int, str]) -> str:
    return "".join(changes.get(at, symbol) for at, symbol in enumerate(wild_type))


# --- random numbers ---------------------------------------------------------------------------


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 by NumPy, which adds 1 to the counter before its first block."""
    number = sum(word << 64 * place for place, word in enumerate(counter))
    before = (number - 1) % 2**256
    return np.random.Philox(counter=before, key=key[0] | key[1] << 64).random_raw(4).tolist()


class Numbers:
    """The numbers of one row: xoshiro256++ from the words of Philox at (0, row, attempt, 0)."""

    def __init__(self, seed: int, domain: int, row: int, attempt: int = 0):
        self.state = philox([0, row, attempt, 0], [seed, domain])
        self.half = None

    def u64(self) -> int:
        a, b, c, d = self.state
        result = (rotated((a + d) % WORD, 23) + a) % WORD
        c, d = c ^ a, d ^ b
        self.state = [a ^ d, b ^ c, c ^ (b << 17) % WORD, rotated(d, 45)]
        return result

    def u32(self) -> int:
        """The low half of a word, then its high half."""
        if self.half is None:
            word = self.u64()
            self.half = word >> 32
            return word % HALF
        half, self.half = self.half, None
        return half

    def below(self, bound: int) -> int:
        """Lemire: the high half of a product whose low half is not among the surplus ones."""
        while True:
            product = self.u32() * bound
            if product % HALF >= HALF % bound:
                return product // HALF

    def below_u64(self, bound: int) -> int:
        while True:
            product = self.u64() * bound
            if product % WORD >= WORD % bound:
                return product // WORD

    def below_both(self, first: int, second: int) -> tuple[int, int]:
        """Two numbers from one word, the second from what the first leaves over."""
        while True:
            one = self.u32() * first
            two = one % HALF * second
            if two % HALF >= HALF % (first * second):
                return one // HALF, two // HALF


def rotated(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) % WORD


# --- how many mutations -----------------------------------------------------------------------


def poisson(mean: float, most: int) -> list[float]:
    """Weights of 0…most, 1 at the mode; what lies beyond is added to the last."""
    weights = around(int(mean), most, lambda k: mean / (k + 1))
    k, weight = most, weights[most]
    while weight > weights[most] * 1e-18:
        weight *= mean / (k + 1)
        weights[most] += weight
        k += 1
    return weights


def binomial(trials: int, chance: float) -> list[float]:
    if chance >= 1:
        return [0.0] * trials + [1.0]
    odds = chance / (1 - chance)
    mode = min(int((trials + 1) * chance), trials)
    return around(mode, trials, lambda k: (trials - k) / (k + 1) * odds)


def around(mode: int, most: int, rise) -> list[float]:
    weights = {mode: 1.0}
    for k in range(mode, most):
        weights[k + 1] = weights[k] * rise(k)
    for k in range(mode - 1, -1, -1):
        weights[k] = weights[k + 1] / rise(k)
    return [weights[k] for k in range(most + 1)]


def shares(weights: list[float], whole: int) -> list[int]:
    """Where the share of every weight ends, of `whole`; the last that is above 0 ends there."""
    total, sums = 0.0, []
    for weight in weights:
        total += weight
        sums.append(total)
    ends = [min(int(part / total * float(whole)), whole) for part in sums]
    last = max(k for k, weight in enumerate(weights) if weight > 0)
    return ends[:last] + [whole] * (len(weights) - last)


def chosen(ends: list[int], number: int) -> int:
    return sum(end <= number for end in ends)


def counts_table(recipe: dict, positions: int) -> list[float]:
    counts = recipe["counts"]
    if counts == "poisson":
        return poisson(recipe["rate"] * positions, positions)
    if counts == "binomial":
        return binomial(positions, recipe["rate"])
    if isinstance(counts, int):
        return [0.0] * counts + [1.0]
    return counts


# --- rows of a recipe -------------------------------------------------------------------------


def rows(recipe: dict) -> list[str]:
    """Every row of a recipe."""
    wild_type = canonical(recipe["wild_type"], recipe["alphabet"])
    kinds = {
        "random": random,
        "diploid": random,
        "saturation": saturation,
        "combinatorial": combinatorial,
        "pairwise": pairwise,
    }
    return list(kinds[recipe["kind"]](recipe, wild_type))


def positions_of(windows, length: int) -> list[int]:
    if windows is None:
        return list(range(length))
    return sorted(at for start, end in windows for at in range(start, end))


def others(symbol: str, alphabet: str) -> str:
    return symbols_of(alphabet).replace(symbol, "")


def random(recipe: dict, wild_type: str):
    seen = set()
    for row in range(recipe["n"]):
        attempt, sequence = 0, wild_type
        if row or not recipe["include_wild_type"]:
            sequence = random_row(recipe, wild_type, row, attempt)
        while recipe["unique"] and sequence in seen:
            attempt += 1
            sequence = random_row(recipe, wild_type, row, attempt)
        seen.add(sequence)
        yield sequence


def random_row(recipe: dict, wild_type: str, row: int, attempt: int) -> str:
    numbers = Numbers(recipe["seed"], MUTATIONS, row, attempt)
    positions = positions_of(recipe["windows"], len(wild_type))
    if recipe["position_rates"] is not None:
        return mutated(wild_type, by_rates(recipe, wild_type, positions, numbers))
    ends = shares(counts_table(recipe, len(positions)), WORD)
    count = chosen(ends[:-1], numbers.u64())
    return mutated(wild_type, by_count(recipe, wild_type, positions, count, numbers))


def by_rates(recipe: dict, wild_type: str, positions: list[int], numbers: Numbers) -> dict:
    """Each position by itself; the rate in 2^-32."""
    changes = {}
    for at, rate in zip(positions, recipe["position_rates"], strict=True):
        if numbers.u32() < int(rate * 2.0**32):
            choice = numbers.below(len(others(wild_type[at], recipe["alphabet"])))
            changes[at] = new_symbol(recipe, wild_type[at], choice, numbers)
    return changes


def by_count(
    recipe: dict, wild_type: str, positions: list[int], count: int, numbers: Numbers
) -> dict:
    """Floyd's sampling: a number is replaced by the last one when it is taken already."""
    taken, changes = set(), {}
    for last in range(len(positions) - count, len(positions)):
        many = len(others(wild_type[positions[last]], recipe["alphabet"]))
        drawn, choice = numbers.below_both(last + 1, many)
        place = last if drawn in taken else drawn
        taken.add(place)
        at = positions[place]
        changes[at] = new_symbol(recipe, wild_type[at], choice, numbers)
    return changes


def new_symbol(recipe: dict, wild: str, choice: int, numbers: Numbers) -> str:
    if recipe["symbol_weights"] is None:
        return others(wild, recipe["alphabet"])[choice]
    symbols = symbols_of(recipe["alphabet"])
    weights = list(recipe["symbol_weights"][symbols.index(wild)])
    weights[symbols.index(wild)] = 0.0
    return symbols[chosen(shares(weights, HALF), numbers.u32())]


def saturation(recipe: dict, wild_type: str):
    alphabet = recipe["alphabet"]
    positions = positions_of(recipe["windows"], len(wild_type))
    if recipe["include_wild_type"]:
        yield wild_type
    if recipe["substitutions"]:
        for at in positions:
            for symbol in others(wild_type[at], alphabet):
                yield edited(recipe, wild_type, at, 1, symbol)
    for length in range(1, recipe["deletions"] + 1):
        for at in positions:
            if set(range(at, at + length)) <= set(positions):
                yield edited(recipe, wild_type, at, length, "")
    for length in range(1, recipe["insertions"] + 1):
        for at in positions:
            for word in product(symbols_of(alphabet), repeat=length):
                yield edited(recipe, wild_type, at, 0, "".join(word))


def edited(recipe: dict, wild_type: str, at: int, deleted: int, inserted: str) -> str:
    """Edit, and fill up or cut at the side that moves."""
    alphabet, length = recipe["alphabet"], len(wild_type)
    left, right = (canonical(recipe[name], alphabet) for name in ("left_flank", "right_flank"))
    void = unknown_of(alphabet) * length
    whole = wild_type[:at] + inserted + wild_type[at + deleted :]
    if recipe["keep"] == "left":
        return (whole + right + void)[:length]
    return (void + left + whole)[-length:]


def combinatorial(recipe: dict, wild_type: str):
    every = list(all_combinations(recipe, wild_type))
    if recipe["n"] is None:
        return every
    return [every[rank] for rank in sorted(sampled(len(every), recipe["n"], recipe["seed"]))]


def all_combinations(recipe: dict, wild_type: str):
    positions = positions_of(recipe["windows"], len(wild_type))
    for order in range(recipe["min_order"], recipe["order"] + 1):
        for places in combinations(positions, order):
            for symbols in product(*(others(wild_type[at], recipe["alphabet"]) for at in places)):
                yield mutated(wild_type, dict(zip(places, symbols, strict=True)))


def combination(rank: int, order: int, wild_type: str, alphabet: str) -> str:
    """The combination of one order at `rank`: passes over whole blocks of those before it."""
    many = len(symbols_of(alphabet)) - 1
    rank, spelling = divmod(rank, many**order)
    places = []
    for at in range(len(wild_type)):
        block = comb(len(wild_type) - at - 1, order - len(places) - 1) if len(places) < order else 0
        if rank < block:
            places.append(at)
        else:
            rank -= block
    changes = {}
    for at in reversed(places):
        spelling, choice = divmod(spelling, many)
        changes[at] = others(wild_type[at], alphabet)[choice]
    return mutated(wild_type, changes)


def sampled(total: int, n: int, seed: int) -> set[int]:
    """n of total numbers, by Floyd's sampling."""
    numbers, taken = Numbers(seed, SAMPLE, 0), set()
    for last in range(total - n, total):
        drawn = numbers.below_u64(last + 1)
        taken.add(last if drawn in taken else drawn)
    return taken


def pairwise(recipe: dict, wild_type: str):
    def singles(window):
        for at in range(*window):
            for symbol in others(wild_type[at], recipe["alphabet"]):
                yield {at: symbol}

    yield wild_type
    if recipe["singles"]:
        for window in (recipe["first"], recipe["second"]):
            for single in singles(window):
                yield mutated(wild_type, single)
    for first in singles(recipe["first"]):
        for second in singles(recipe["second"]):
            yield mutated(wild_type, first | second)
