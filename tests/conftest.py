"""What holds for all tests, and what several files need."""

import pytest
from hypothesis import settings

# The same examples in every run, so that what passed once passes again; to look for others:
# pytest --hypothesis-profile=default
settings.register_profile("geneq", derandomize=True, deadline=None)
settings.load_profile("geneq")


@pytest.fixture(scope="module")
def one_thread():
    """Small batches on a machine at work with other things are slow with more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
