"""The rules of docs/style.md that a program can check, and the files that do not follow them yet.

The page's tables are the only home of the word lists.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = "docs/style.md"
PENDING = ROOT / "tests/lint/pending.txt"
ROW = re.compile(r"^\| *(?P<bad>[^|]+?) *\| *(?P<good>[^|]+?) *\|$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Finding:
    """One place that breaks a rule."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def table(name: str, page: str | None = None) -> dict[str, str]:
    """Read a word list of the style page.

    Args:
        name: The list's marker on the page.
        page: The page's text; by default it is read.

    Returns:
        What to write, by each word or phrase of the left column.
    """
    text = page if page is not None else (ROOT / PAGE).read_text(encoding="utf-8")
    section = re.search(rf"<!-- {name} -->(.*?)<!-- /{name} -->", text, re.DOTALL)
    if not section:
        raise ValueError(f"{PAGE} has no table between <!-- {name} --> and <!-- /{name} -->")
    rows = [row for row in ROW.finditer(section[1]) if not row["bad"].startswith(("---", "instead of"))]
    return {word.strip(): row["good"] for row in rows for word in row["bad"].split(",")}


def tracked(root: Path = ROOT) -> list[str]:
    """List the files of the repository, without symbolic links."""
    listing = subprocess.run(
        ["git", "ls-files", "-s", "-z", "--cached"], cwd=root, capture_output=True, text=True, check=True
    )
    entries = [entry.split("\t", 1) for entry in listing.stdout.split("\0") if entry]
    return [path for mode, path in entries if not mode.startswith("120000") and (root / path).exists()]


def pending(check: str, text: str | None = None) -> list[str]:
    """Read the files, or folders with a closing slash, that one check leaves out for now."""
    lines = (text if text is not None else PENDING.read_text(encoding="utf-8")).splitlines()
    entries = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return [path for name, path in entries if name == check]


def covers(entry: str, path: str) -> bool:
    """Whether an entry of the pending list is this file or a folder above it."""
    return path == entry or (entry.endswith("/") and path.startswith(entry))


def split(findings: Iterable[Finding], entries: Sequence[str]) -> tuple[list[Finding], list[str]]:
    """Separate what counts from what is pending.

    Returns:
        The findings outside of the pending files, and the entries that no finding needs.
    """
    counted = []
    needed = set()
    for finding in findings:
        matches = [entry for entry in entries if covers(entry, finding.path)]
        needed.update(matches)
        if not matches:
            counted.append(finding)
    return sorted(counted), [entry for entry in entries if entry not in needed]


def main(check: str, examine: Callable[[str], list[Finding]], paths: Sequence[str], named: Sequence[str]) -> int:
    """Run a check and print its findings.

    Args:
        check: The check's name in the pending list.
        examine: Returns the findings of one file.
        paths: The files that the check covers.
        named: Files or folders from the command line; none means all that are not pending.

    Returns:
        The exit status.
    """
    unneeded: list[str] = []
    if named:
        wanted = [path for path in paths if any(covers(name, path) or path.startswith(f"{name}/") for name in named)]
        findings = sorted(finding for path in wanted for finding in examine(path))
    else:
        findings, unneeded = split((finding for path in paths for finding in examine(path)), pending(check))
    for finding in findings:
        print(finding)
    for entry in unneeded:
        print(f"{PENDING.relative_to(ROOT)}: {entry} is clean: remove the line `{check} {entry}`")
    if findings or unneeded:
        print(f"{len(findings)} findings; {PAGE} explains the rules", file=sys.stderr)
    return 1 if findings or unneeded else 0


def lines_before(text: str, offset: int) -> int:
    """Count the line breaks before an offset."""
    return text.count("\n", 0, offset)


def patterns(words: Mapping[str, str]) -> list[tuple[re.Pattern[str], str, str]]:
    """Compile each phrase for a search of whole words, longest first, over line breaks."""
    ordered = sorted(words, key=len, reverse=True)
    return [
        (re.compile(r"(?<![\w-])" + r"\s+".join(map(re.escape, phrase.split())) + r"(?![\w-])", re.I), phrase, good)
        for phrase in ordered
        for good in [words[phrase]]
    ]
