"""Links between pages lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lint import prose, style

ROOT = Path(__file__).parents[2]
PAGES = [path for path in style.tracked() if path.endswith(".md") and not path.startswith(prose.OUTSIDE)]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"`(?P<path>[\w./-]+\.(?:py|j2))`")
"""A file of the kit that a text names."""
ON_HOSTS = frozenset({"gunicorn.conf.py", "gunicorn_extra.py", "log.py", "serving.py", "setup.py"})
"""Files with these names are made on hosts, or belong to other projects."""
MENTION = re.compile(r"`?(?P<path>docs/[\w./-]+\.(?:md|yml|svg))`?")
"""A page that a text names without a link."""


def without_code(text: str) -> str:
    """Remove code blocks, in which a bracket is no link and a hash no heading."""
    return re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", without_code(page), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = without_code((ROOT / page).read_text(encoding="utf-8"))
    broken = []
    for match in LINK.finditer(re.sub(r"`[^`\n]*`", "", text)):
        target, _, anchor = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(match["target"])
    broken += [one["path"] for one in MENTION.finditer(text) if not (ROOT / one["path"]).exists()]
    assert broken == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.startswith(("docs/architecture", "docs/decisions/", "CONTRIBUTING"))]
)
def test_the_code_that_a_page_names_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {match["path"] for match in CODE.finditer(text)} - ON_HOSTS
    files = [f"/{path}" for path in style.tracked()]
    assert [path for path in sorted(named) if not any(file.endswith(f"/{path}") for file in files)] == []


def test_anchors_are_those_of_github() -> None:
    text = "# One `key`\n\n```sh\n# no heading\n```\n\n## What 'uv' does, and [why](x.md)\n"
    assert anchors(text) == {"one-key", "what-uv-does-and-why"}


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    seen: set[str] = set()
    queue = ["README.md"]
    while queue:
        page = queue.pop()
        if page in seen:
            continue
        seen.add(page)
        for match in LINK.finditer(without_code((ROOT / page).read_text(encoding="utf-8"))):
            target = match["target"].partition("#")[0]
            path = ((ROOT / page).parent / target).resolve()
            if target.endswith(".md") and path.is_relative_to(ROOT) and path.exists():
                queue.append(str(path.relative_to(ROOT)))
    assert [page for page in PAGES if page.startswith("docs/") and page not in seen] == []
