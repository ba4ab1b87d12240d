"""Finds the prose in a file: Markdown, Python, YAML and templates."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

import yaml

FENCE = re.compile(r"^\s*(```|~~~)")
ITEM = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+")
HEADING = re.compile(r"^#{1,6}\s+")
TOOL_COMMENT = re.compile(r"^(!|noqa|nosec|type:|fmt:|pragma|ruff:|yamllint|-\*-|[A-Z][\w-]+:\s{2,})|^-{3,}|^\s*$")
"""Comments that speak to a tool, such as the fields of an init script, or that draw a line."""
SECTION = re.compile(r"^\s*(Args|Returns|Raises|Yields|Attributes|Example|Examples|Note):\s*$")
ENTRY = re.compile(r"^\s+\*{0,2}[\w.]+(?: \([^)]*\))?: ")
"""An argument or an exception in a section of a docstring."""
LEAST_WORDS = 4
"""A shorter string in code is a key, a command or a part of something: no sentence to judge."""
CODE_MARKS = re.compile(r"[{}\\|]|\(\?|\w=\S|^\s*[-/<#$]|%[a-z(]|&&")
"""A string with one of these is code, a pattern or a template."""
SPOKEN = frozenset({"name", "msg", "fail_msg", "success_msg", "description", "short_description"})
"""YAML keys whose values people read."""
TEMPLATE_COMMENT = re.compile(r"\{#-?(.*?)-?#\}", re.DOTALL)


@dataclass(frozen=True)
class Text:
    """A block of prose."""

    text: str
    line: int
    """The line of its first character."""
    sentences: bool = True
    """False for a cell of a table or a name, where the length of a sentence does not count."""


def _block(lines: Sequence[tuple[int, str]], sentences: bool = True) -> Text:
    return Text("\n".join(line for _, line in lines), lines[0][0], sentences)


def markdown(text: str, tables: bool = True) -> Iterator[Text]:
    """Read the paragraphs, list items, headings and tables of a page.

    Args:
        text: The page.
        tables: Whether the rows of tables are read.
    """
    block: list[tuple[int, str]] = []
    fenced = False
    # Comments are blanked, not removed: lines keep their numbers.
    visible = re.sub(r"<!--.*?-->", lambda comment: "\n" * comment[0].count("\n"), text, flags=re.DOTALL)
    for number, line in enumerate(visible.splitlines(), 1):
        is_fence = bool(FENCE.match(line))
        is_table = line.lstrip().startswith("|")
        starts = bool(HEADING.match(line) or ITEM.match(line))
        if block and (is_fence or fenced or is_table or starts or not line.strip() or HEADING.match(block[-1][1])):
            yield _block(block)
            block = []
        if is_fence:
            fenced = not fenced
        elif fenced or not line.strip():
            continue
        elif is_table:
            if tables:
                yield Text(line, number, sentences=False)
        else:
            block.append((number, line))
    if block:
        yield _block(block)


def docstring(text: str, line: int) -> Iterator[Text]:
    """Read the paragraphs of a docstring, with each entry of a section by itself."""
    block: list[tuple[int, str]] = []
    for number, row in enumerate(text.splitlines(), line):
        ends = not row.strip() or SECTION.match(row) or ENTRY.match(row) or ITEM.match(row)
        if block and ends:
            yield _block(block)
            block = []
        if row.strip() and not SECTION.match(row):
            block.append((number, row))
    if block:
        yield _block(block)


def python(text: str, messages: bool = True) -> Iterator[Text]:
    """Read the comments, docstrings and messages of a program.

    Args:
        text: The program.
        messages: Whether strings are read, too; those of tests are mostly data.
    """
    yield from _comments(text)
    tree = ast.parse(text)
    for assigned in ast.walk(tree):
        if isinstance(assigned, ast.Assign) and _documents(assigned):
            yield from _described(str(ast.literal_eval(assigned.value)), assigned.lineno - 1)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and messages:
            parts = [str(part.value) if isinstance(part, ast.Constant) else "Value" for part in node.values]
            yield from _message("".join(parts), node.lineno)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in documentation:
                yield from docstring(node.value, node.lineno)
            elif id(node) not in inner and messages:
                yield from _message(node.value, node.lineno)


def _documents(node: ast.Assign) -> bool:
    """Whether it is the documentation of an Ansible module, which is YAML."""
    return (
        any(isinstance(target, ast.Name) and target.id == "DOCUMENTATION" for target in node.targets)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _message(text: str, line: int) -> Iterator[Text]:
    without_code = re.sub(r"`[^`]*`", "Code", text)
    if "\n" not in text.strip() and len(text.split()) >= LEAST_WORDS and not CODE_MARKS.search(without_code):
        yield Text(text, line)


def _comments(text: str) -> Iterator[Text]:
    """Read comments, with those on consecutive lines as one block."""
    block: list[tuple[int, str]] = []
    column = -1
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        words = re.split(r"#\s*(?:noqa|nosec|type:|fmt:)", token.string)[0].lstrip("#").strip()
        follows = block and token.start[0] == block[-1][0] + 1 and token.start[1] == column
        if block and not follows:
            yield _block(block)
            block = []
        if words and not TOOL_COMMENT.match(words):
            block.append((token.start[0], words))
            column = token.start[1]
    if block:
        yield _block(block)


def hash_comments(text: str) -> Iterator[Text]:
    """Read comments that begin with a hash, after blanks at most or after a value."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"^(?P<before>\s*|.*\s)#\s(?P<words>.*)$", line)
        alone = bool(match and not match["before"].strip())
        if block and not alone:
            yield _block(block)
            block = []
        if not match or TOOL_COMMENT.match(match["words"]):
            continue
        if alone:
            block.append((number, match["words"]))
        else:
            yield Text(match["words"], number)
    if block:
        yield _block(block)


def yaml_file(text: str) -> Iterator[Text]:
    """Read the comments, names and messages of tasks, roles and playbooks."""
    yield from hash_comments(text)
    yield from _described(text, 0)


def _described(text: str, lines_above: int) -> Iterator[Text]:
    """Read the values of YAML that people read."""

    def spoken(node: yaml.Node | None, key: str) -> Iterator[Text]:
        if isinstance(node, yaml.MappingNode):
            for child_key, value in node.value:
                yield from spoken(value, child_key.value)
        elif isinstance(node, yaml.SequenceNode):
            for child in node.value:
                yield from spoken(child, key)
        elif isinstance(node, yaml.ScalarNode) and key in SPOKEN:
            words = re.sub(r"\{\{.*?\}\}", "Value", node.value, flags=re.DOTALL)
            yield Text(words, node.start_mark.line + 1 + lines_above, sentences=key != "name")

    for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
        yield from spoken(document, "")


def template(text: str) -> Iterator[Text]:
    """Read the comments of a template and of the file that it makes."""
    for match in TEMPLATE_COMMENT.finditer(text):
        yield Text(match[1].strip(), text.count("\n", 0, match.start()) + 1)
    blanked = TEMPLATE_COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    yield from hash_comments(re.sub(r"\{\{.*?\}\}", "Value", blanked))


def reader(path: str) -> Callable[[str], Iterator[Text]] | None:
    """Choose how a file is read, by its place and name; None where it holds no prose that we check."""
    place = PurePath(path)
    if place.suffix == ".md":
        return markdown
    if place.parts[0] in ("plugins", "docs") or path.startswith("tests/lint/"):
        return python if place.suffix == ".py" else None
    if place.parts[0] in ("tests", "molecule", "benchmarks") and place.suffix == ".py":
        return partial(python, messages=False)
    if place.parts[0] in ("roles", "playbooks", "molecule") or path == "site.yml":
        return yaml_file if place.suffix in (".yml", ".yaml") else None
    if place.parts[0] == "templates":
        return python if place.suffix == ".py" else template
    return None
