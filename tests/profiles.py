"""A user-supplied oracle with profiles and a reduction of them, as the texts of their files."""

# The number of Cs in each half of a sequence.
HALVES = """
import numpy as np

class Halves:
    name, targets = "halves", ["c"]

    def predict(self, tokens, anchor=None):
        found = (tokens == 1).reshape(len(tokens), 2, -1).sum(2)
        return found.astype(np.float32)[..., None]

def make():
    return Halves()
"""
# The score of the last half.
LAST = """
def last(profiles):
    return profiles[:, -1]
"""
