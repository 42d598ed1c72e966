"""What holds for all tests."""

from hypothesis import settings

# The same examples in every run, so that what passed once passes again; to look for others:
# pytest --hypothesis-profile=default
settings.register_profile("geneq", derandomize=True, deadline=None)
settings.load_profile("geneq")
