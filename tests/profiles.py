"""An oracle of one's own with profiles, and what reduces them, as the texts of their files."""

# Cs in the halves of a sequence.
HALVES = """
import numpy as np

class Halves:
    name, alphabet, length, strand = "halves", "ACGT", None, "+"
    unknown, targets, hash = "zero", ["c"], "halves"

    def predict(self, tokens, anchor=None):
        found = (tokens == 1).reshape(len(tokens), 2, -1).sum(2)
        return found.astype(np.float32)[..., None]

def make():
    return Halves()
"""
# What takes the last half.
LAST = """
def last(profiles):
    return profiles[:, -1]
"""
