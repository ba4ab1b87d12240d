"""A program reads the same value from a template's file that the template got."""

from __future__ import annotations

import ast
import re
from typing import Any

from ansible_collections.slipway.kit.plugins.filter.quoting import FilterModule, nginx, python, systemd
from hypothesis import example, given
from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(VALUES)
@example("\"'\\\n{{ }}%")
@example("'")
@example('"')
@example("\\")
@example("\ud800")
def test_python_reads_what_was_written(value: Any) -> None:
    assert ast.literal_eval(python(value)) == value
    assert "\n" not in python(value)


def test_text_has_the_quotes_that_formatters_like() -> None:
    assert python("shop.wsgi:application") == '"shop.wsgi:application"'
    assert python("it's") == '"it\'s"'
    assert python('create_app("a")') == "'create_app(\"a\")'"
    assert python(["a", 1, True, None]) == '["a", 1, True, None]'


@given(st.text())
def test_systemd_sees_no_specifier(text: str) -> None:
    assert "%" not in systemd(text).replace("%%", "")
    assert systemd(text).replace("%%", "%") == text


def test_templates_find_them() -> None:
    assert FilterModule().filters() == {"python": python, "systemd": systemd, "nginx": nginx}


def test_nginx_reads_the_text_back() -> None:
    for text in ("", "a b", 'camera=(self "x")', "a\\", '\\"; } b {', "a;b"):
        quoted = nginx(text)
        assert quoted[0] == quoted[-1] == '"'
        assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', quoted)
        assert re.sub(r'\\(["\\])', r"\1", quoted[1:-1]) == text
