"""Names unused code: `python tests/dead.py`. What only tests use counts as unused.

vulture finds it. What a template or a playbook names is in use. `dead.txt` lists what only Ansible or the standard library
looks up, with the reason. A line there that is not needed any more is a fault, too.
"""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import vulture  # type: ignore[import-untyped, unused-ignore]

ROOT = Path(__file__).parents[1]
CODE = ("plugins", "docs/generate.py", "tests/hosts", "tests/load", "tests/run.py", "tests/calls.py", "tests/dead.py")
NAMED_IN = ("templates/**/*.j2", "roles/**/*.yml", "playbooks/*.yml")
"""Where a name that is written out is in use."""
ALLOWED = ROOT / "tests/dead.txt"


def allowed() -> dict[str, str]:
    """The patterns of names that stay, each with its reason."""
    written = (line.split(None, 1) for line in ALLOWED.read_text(encoding="utf-8").splitlines())
    return {words[0]: words[1] for words in written if len(words) == 2 and words[0] != "#"}


def named() -> set[str]:
    """The words of templates and playbooks."""
    paths = (path for pattern in NAMED_IN for path in ROOT.glob(pattern))
    return {word for path in paths for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}


def unused() -> Iterator[tuple[str, str]]:
    """Each name without a use in the code, and its place."""
    search = vulture.Vulture()
    search.scavenge([str(ROOT / path) for path in CODE])
    elsewhere = named()
    for item in search.get_unused_code(min_confidence=60):
        if item.name not in elsewhere and not item.filename.is_symlink():
            yield item.name, f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: {item.message}"


def main() -> int:
    """Print the faults; how many there are."""
    stays = allowed()
    needed: set[str] = set()
    faults = []
    for name, place in sorted(unused(), key=lambda one: one[1]):
        pattern = next((pattern for pattern in stays if fnmatch.fnmatchcase(name, pattern)), None)
        if pattern is None:
            faults.append(f"{place}: remove it, or give the reason in {ALLOWED.relative_to(ROOT)}")
        else:
            needed.add(pattern)
    faults += [
        f"{ALLOWED.relative_to(ROOT)}: {pattern} is not needed any more" for pattern in stays if pattern not in needed
    ]
    print("\n".join(faults) or "no code is unused")
    return min(len(faults), 1)


if __name__ == "__main__":
    sys.exit(main())
