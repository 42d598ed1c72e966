"""Slow, obvious doubles of the shuffles: every order is tried."""

from collections import Counter
from itertools import permutations


def kmers(row, k: int) -> Counter:
    """How often each k-mer is in `row`."""
    return Counter(tuple(row[i : i + k]) for i in range(len(row) - k + 1))


def orders(row, k: int) -> set[tuple]:
    """All orders of `row` with its k-mers, its first and its last (k-1)-mer."""
    row = tuple(row)
    first, last = row[: k - 1], row[len(row) - k + 1 :]
    return {
        order
        for order in set(permutations(row))
        if kmers(order, k) == kmers(row, k)
        and order[: k - 1] == first
        and order[len(row) - k + 1 :] == last
    }
