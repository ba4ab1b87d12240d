"""Checks prose for long sentences and for words that docs/style.md replaces: `python -m tests.lint.prose [FILE …]`.

A file that is named is checked even when it is in the pending list.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import yaml

from . import style, texts
from .style import Finding

MOST_WORDS = 25
CHECK = "prose"
OUTSIDE = ("tests/fixtures/", "benchmarks/serving/apps/", "benchmarks/deploys/rivals/")
"""Test data, and programs as other people write them."""
CODE = re.compile(r"(`+)(?:.|\n)+?\1")
LINK = re.compile(r"!?\[(?P<label>(?:[^\]\[]|\n)*)\]\([^)]*\)")
URL = re.compile(r"<?\w+://\S+")
MARKS = re.compile(r"(?:\*\*|__|(?<!\w)[*_]|[*_](?!\w))")
PREFIX = re.compile(r"^\s*(?:#{1,6}\s+|(?:[-*+]|\d+\.)\s+|>\s?)", re.MULTILINE)
END = re.compile(r"[.!?][\"')\]]*\s+")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|approx|no)\.\s+$", re.IGNORECASE)
WORD = re.compile(r"\S*\w\S*")


def plain(text: str) -> str:
    """Reduce a block to what is read aloud: each piece of code or URL is one word. Line breaks stay."""

    def one_word(match: re.Match[str]) -> str:
        return "Code" + "\n" * match[0].count("\n")

    bare = CODE.sub(one_word, text)
    bare = LINK.sub(lambda match: match["label"], bare)
    bare = URL.sub(one_word, bare)
    return MARKS.sub("", PREFIX.sub("", bare))


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Split a block into sentences, each with its offset."""
    start = 0
    for match in END.finditer(text):
        if ABBREVIATION.search(text[: match.end()]):
            continue
        yield start, text[start : match.end()]
        start = match.end()
    if text[start:].strip():
        yield start, text[start:]


def check(path: str, text: str, words: list[tuple[re.Pattern[str], str, str]]) -> Iterator[Finding]:
    """Check the prose of one file.

    Args:
        path: The file's path, which decides how it is read.
        text: What it holds.
        words: The phrases to refuse, from `style.patterns`.
    """
    read = texts.reader(path)
    if read is None:
        return
    # The style page's own tables quote what they replace.
    blocks = texts.markdown(text, tables=False) if path == style.PAGE else read(text)
    for block in blocks:
        bare = plain(block.text)
        if block.sentences:
            for offset, sentence in sentences(bare):
                count = len(WORD.findall(sentence))
                if count > MOST_WORDS:
                    start = " ".join(sentence.split()[:6])
                    line = block.line + style.lines_before(bare, offset)
                    yield Finding(
                        path, line, f'{count} words in "{start} …": divide the sentence, {MOST_WORDS} is the most'
                    )
        covered: list[tuple[int, int]] = []
        for pattern, phrase, good in words:
            for match in pattern.finditer(bare):
                if any(start <= match.start() < end for start, end in covered):
                    continue
                covered.append(match.span())
                yield Finding(path, block.line + style.lines_before(bare, match.start()), f'"{phrase}": write {good}')


def main(named: list[str]) -> int:
    """Check the named files, or all that are not pending; returns the exit status."""
    words = style.patterns(style.table("words"))

    def examine(path: str) -> list[Finding]:
        try:
            return list(check(path, (style.ROOT / path).read_text(encoding="utf-8"), words))
        except (SyntaxError, yaml.YAMLError) as error:
            return [Finding(path, 1, f"cannot be read: {error}")]

    paths = [path for path in style.tracked() if texts.reader(path) and not path.startswith(OUTSIDE)]
    return style.main(CHECK, examine, paths, named)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
