"""Print those entries of lock files that are installed: locked.py LOCK … < name==version lines.

Raises SystemExit if an installed package, other than geneq itself, is not locked in this version.
"""

import re
import sys
from pathlib import Path


def entries(lock: str) -> dict[str, str]:
    """name==version → its entry with hashes; {} for a file that does not exist."""
    path = Path(lock)
    text = path.read_text() if path.exists() else ""
    found = re.findall(r"^([^\s#]+==[^\s;]+)((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return {normal(name): name + rest for name, rest in found}


def normal(pin: str) -> str:
    name, version = pin.strip().split("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


def main() -> None:
    locked: dict[str, str] = {}
    for lock in sys.argv[1:]:
        locked |= entries(lock)
    installed = {normal(line) for line in sys.stdin if not line.startswith("geneq==")}
    missing = sorted(installed - {*locked})
    if missing or not installed:
        raise SystemExit(f"locked.py: not in {', '.join(sys.argv[1:])}: {', '.join(missing)}")
    print("\n".join(locked[pin] for pin in sorted(installed)))


if __name__ == "__main__":
    main()
