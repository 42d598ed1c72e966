"""Print the Python packages of an image, one a line, as name==version."""

from importlib.metadata import distributions

for found in distributions():
    print(f"{found.metadata['Name']}=={found.version}")
