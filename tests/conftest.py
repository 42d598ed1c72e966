"""What holds for all tests, and what several files need."""

import os

# As of the commands, before any test imports what reads it; see geneq.cli.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from hypothesis import settings

# The same examples in every run, so that what passed once passes again; to look for others:
# pytest --hypothesis-profile=default
settings.register_profile("geneq", derandomize=True, deadline=None)
settings.load_profile("geneq")


def pytest_make_parametrize_id(val, argname):
    """Compressed bytes go by the argument's name: gzip writes the time into them, and processes
    that share the tests must all find the same names."""
    return argname if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


@pytest.fixture(scope="module")
def one_thread():
    """Small batches on a machine at work with other things are slow with more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
