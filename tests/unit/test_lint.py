"""The linters of prose and names: what they refuse, and what they must leave alone."""

from __future__ import annotations

import pytest

from tests.lint import names, prose, style, texts

LONG = "The host " + "slowly " * 23 + "stops."
WORDS = style.patterns({"visitor": "client", "under way": "in flight", "of whom, though": "x", "whom": "the noun"})
NAMES = {"found": "`inventory`", "names": "`task_vars`", "identity": "`release_id`"}


def findings(path: str, text: str) -> list[tuple[int, str]]:
    return [(one.line, one.message) for one in prose.check(path, text, WORDS)]


def named(text: str) -> list[tuple[int, str]]:
    return [(one.line, one.message.split("`")[1]) for one in names.check("plugins/x.py", text, NAMES)]


def test_a_long_sentence_is_named_with_its_line_and_beginning() -> None:
    text = f"# Title\n\nShort. {LONG}\n"
    assert findings("docs/x.md", text) == [
        (3, '26 words in "The host slowly slowly slowly slowly …": divide the sentence, 25 is the most')
    ]


def test_25_words_pass() -> None:
    assert findings("docs/x.md", LONG.replace("slowly ", "", 1)) == []


def test_a_sentence_may_begin_with_a_small_letter() -> None:
    assert findings("docs/x.md", "nginx " + "waits " * 14 + "long. gunicorn " + "waits " * 14 + "too.") == []


def test_an_abbreviation_ends_no_sentence() -> None:
    text = "The kit " + "often " * 14 + "waits, e.g. for " + "a " * 8 + "host."
    assert len(findings("docs/x.md", text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"```\n{LONG}\na visitor\n```\n",
        f"| a | b |\n|---|---|\n| {LONG} | x |\n",
        "The key `" + "long " * 30 + "` is code.\n",
        "See [the page](https://example.com/" + "a-" * 40 + "visitor).\n",
        f"<!-- {LONG} a visitor -->\n",
        "The class `visitor` and `a-visitor-page`.\n",
        "A visitor-book has a hyphen.\n",
        "- one\n- two\n" + "- a list of short items\n" * 10,
    ],
    ids=["code block", "table", "code", "link", "comment", "word in code", "part of a word", "list"],
)
def test_what_is_no_prose_passes(text: str) -> None:
    assert findings("docs/x.md", text) == []


@pytest.mark.parametrize(
    ("text", "line", "phrase"),
    [
        ("A Visitor comes.", 1, "visitor"),
        ("One.\n\nRequests under\nway end.", 3, "under way"),
        ("| cell with a visitor |", 1, "visitor"),
        ("## Of whom\n", 1, "whom"),
        ("- item\n  that goes on for a visitor\n", 2, "visitor"),
        ("a **visitor** in bold", 1, "visitor"),
        ("a [visitor](x.md) in a link", 1, "visitor"),
    ],
)
def test_a_word_is_found(text: str, line: int, phrase: str) -> None:
    assert [(number, message.split('"')[1]) for number, message in findings("docs/x.md", text)] == [(line, phrase)]


def test_the_message_says_what_to_write() -> None:
    assert findings("docs/x.md", "a visitor") == [(1, '"visitor": write client')]


PROGRAM = '''"""A visitor in a docstring.

Args:
    name: A visitor as an argument.
"""

# A comment for a visitor
# on two lines under
# way.
visitor = 1  # noqa: a visitor
"""A visitor of a field."""
raise ValueError(f"{visitor} is not a visitor that we know")
PATTERN = r"(?P<visitor>[^|]) with more words in it"
KEY = "visitor"
'''


def test_comments_docstrings_and_messages_are_read() -> None:
    assert sorted(line for line, _ in findings("plugins/x.py", PROGRAM)) == [1, 4, 7, 8, 11, 12]


def test_an_argument_of_a_docstring_is_a_sentence_of_its_own() -> None:
    rows = "\n".join(f"    name{number}: What it is, in a few words" for number in range(9))
    assert findings("plugins/x.py", f'"""Do it.\n\nArgs:\n{rows}\n"""\n') == []


def test_tasks_are_read() -> None:
    text = """---
# A visitor in a comment
- name: Serve the visitor
  ansible.builtin.fail:
    msg: "{{ x }} is a visitor"
  when: visitor is defined # no visitor here
"""
    assert sorted(line for line, _ in findings("roles/x/tasks/main.yml", text)) == [2, 3, 5, 6]


def test_templates_are_read() -> None:
    text = "{# For the\n   visitor #}\n# What a visitor sees.\nvisitor {{ visitor }}; # a visitor\n"
    assert sorted(line for line, _ in findings("templates/x.conf.j2", text)) == [2, 3, 4]


def test_the_documentation_of_a_module_is_read() -> None:
    text = 'DOCUMENTATION = """\n---\nmodule: visitor\ndescription:\n  - Serves a visitor.\n  - Short.\n"""\n'
    assert [line for line, _ in findings("plugins/modules/x.py", text)] == [5]


def test_strings_of_tests_are_data() -> None:
    text = '"""For a visitor."""\n# no visitor\nx = "a visitor in a string of words"\n'
    assert sorted(line for line, _ in findings("tests/x.py", text)) == [1, 2]


@pytest.mark.parametrize("path", ["molecule/x/files/x.sh", "plugins/x.txt", "Makefile", "inventories/x.yml"])
def test_other_files_are_not_read(path: str) -> None:
    assert texts.reader(path) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("found = 1", [(1, "found")]),
        ("def f(found): ...", [(1, "found")]),
        ("for found in x: ...", [(1, "found")]),
        ("with x as found: ...", [(1, "found")]),
        ("if found := x(): ...", [(1, "found")]),
        ("def found(): ...", [(1, "found")]),
        ("class A:\n    identity: str", [(2, "identity")]),
        ("self.found = 1", [(1, "found")]),
        ("x = [found for found in y]", [(1, "found")]),
        ("def f(names: Mapping[str, Any]): ...", [(1, "names")]),
        ("names = task_vars or {}", [(1, "names")]),
        ("def f(names: list[str]): ...", []),
        ("names = ['a', 'b']", []),
        ("x = y.found", []),
        ("print(found)", []),
        ("not_found = 1", []),
    ],
)
def test_names(text: str, expected: list[tuple[int, str]]) -> None:
    assert named(text) == expected


def test_the_style_page_has_both_lists() -> None:
    assert style.table("words")["visitors"] == "client, browser, user"
    assert style.table("names")["`identity`"] == "`release_id`"


def test_a_missing_list_is_an_error() -> None:
    with pytest.raises(ValueError, match="no table"):
        style.table("words", "nothing here")


def test_pending_files_do_not_count_and_clean_ones_are_named() -> None:
    entries = style.pending("prose", "# comment\nprose plugins/\nprose roles/\nnames tests/\nprose a.md\n")
    assert entries == ["plugins/", "roles/", "a.md"]
    here = [style.Finding("plugins/x.py", 1, "wrong"), style.Finding("docs/a.md", 2, "wrong")]
    assert style.split(here, entries) == ([here[1]], ["roles/", "a.md"])
