"""Templates: where they are looked up, what they may use, and the message when one fails."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.kit.plugins.module_utils import rendering


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small kit, so that the tests do not depend on the real templates."""
    root = tmp_path / "slipway" / "kit"
    write(root / "templates/a.j2", "kit a\n")
    monkeypatch.setattr(rendering, "KIT", str(root))
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def render(src: str, task_vars: dict[str, Any] | None = None, extra: dict[str, Any] | None = None) -> str:
    loader, names = DataLoader(), task_vars or {}
    return rendering.render(Templar(loader=loader, variables=names), names, loader, src, "/etc/x", extra)


def test_the_kit_finds_its_own_folder_by_itself() -> None:
    assert Path(rendering.KIT, "galaxy.yml").is_file()
    assert Path(rendering.KIT).name == "kit"  # so that "kit/templates/..." names it


def test_an_inventory_overrides_the_kit(kit: Path, tmp_path: Path) -> None:
    assert render("a.j2", {"inventory_dir": str(tmp_path / "inv")}) == "kit a\n"
    write(tmp_path / "inv/templates/a.j2", "mine\n")
    assert render("a.j2", {"inventory_dir": str(tmp_path / "inv")}) == "mine\n"


def test_other_inventories_of_the_run_count_after_the_host_s_own(kit: Path, tmp_path: Path) -> None:
    write(tmp_path / "one/hosts.yml", "")
    write(tmp_path / "one/templates/a.j2", "one\n")
    names = {"inventory_dir": None, "ansible_inventory_sources": [str(tmp_path / "one/hosts.yml"), "web1,"]}
    assert render("a.j2", names) == "one\n"
    write(tmp_path / "two/templates/a.j2", "two\n")
    assert render("a.j2", {**names, "inventory_dir": str(tmp_path / "two")}) == "two\n"


def test_an_override_extends_the_kit_s_template_of_the_same_name(kit: Path, tmp_path: Path) -> None:
    write(kit / "templates/nginx/site.j2", "server {\n  {% block end %}\n  kit;\n  {% endblock %}\n}\n")
    write(
        tmp_path / "inv/templates/nginx/site.j2",
        '{% extends "kit/templates/nginx/site.j2" %}\n{% block end %}\n  mine {{ who }};\n  {% endblock %}\n',
    )
    text = render("nginx/site.j2", {"inventory_dir": str(tmp_path / "inv"), "who": "shop"})
    assert text == "server {\n  mine shop;\n}\n"


def test_no_inventory_shadows_the_kit_s_full_name(kit: Path, tmp_path: Path) -> None:
    write(kit / "templates/b.j2", '{% include "kit/templates/a.j2" %}')
    write(tmp_path / "inv/templates/kit/templates/a.j2", "shadow\n")
    assert render("b.j2", {"inventory_dir": str(tmp_path / "inv")}) == "kit a\n"


def test_a_plain_include_may_be_overridden(kit: Path, tmp_path: Path) -> None:
    write(kit / "templates/b.j2", '{% include "a.j2" %}')
    write(tmp_path / "inv/templates/a.j2", "mine\n")
    assert render("b.j2", {"inventory_dir": str(tmp_path / "inv")}) == "mine\n"


def test_indented_statements_leave_no_trace(kit: Path) -> None:
    write(kit / "templates/b.j2", "{% for n in ns %}\n    {% if n %}\n{{ n }}\n    {% endif %}\n{% endfor %}\n")
    assert render("b.j2", {"ns": [1, 2]}) == "1\n2\n"


@pytest.mark.parametrize("tail", ["", "\n", "\n\n\n", "{{ '' }}\n", "\n{{ '' }}\n\n"])
def test_one_newline_at_the_end(kit: Path, tail: str) -> None:
    write(kit / "templates/b.j2", "text" + tail)
    assert render("b.j2") == "text\n"


def test_ansible_managed_and_its_override(kit: Path) -> None:
    write(kit / "templates/b.j2", "{{ ansible_managed | comment }}\n")
    assert render("b.j2") == f"#\n# {rendering.MANAGED}\n#\n"
    assert "hands off" in render("b.j2", {"ansible_managed": "hands off"})


def test_extra_variables_go_first_and_backslashes_stay(kit: Path) -> None:
    write(kit / "templates/b.j2", r"{{ app }} \1 \.")
    assert render("b.j2", {"app": "low"}, {"app": "high"}) == "high \\1 \\.\n"


def test_variables_of_the_inventory_may_be_templates_and_data_may_not(kit: Path) -> None:
    write(kit / "templates/b.j2", "{{ a }} {{ data }}")
    names = {"a": trust_as_template("{{ b }}"), "b": "deep", "data": "{{ b }}"}
    assert render("b.j2", names) == "deep {{ b }}\n"


def test_a_lone_number_is_text(kit: Path) -> None:
    write(kit / "templates/b.j2", "{{ 8000 }}")
    assert render("b.j2") == "8000\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ app.mount }}", "has no attribute 'mount'"),
        ("x\n{% if %}", "Expected an expression"),
        ('{% include "gone.j2" %}', "gone.j2"),
        ("{{ 1 / 0 }}", "division by zero"),
    ],
)
def test_a_failure_names_template_destination_and_reason(kit: Path, text: str, expected: str) -> None:
    write(kit / "templates/b.j2", text)
    with pytest.raises(AnsibleError) as caught:
        render("b.j2", {"app": {}})
    message = str(caught.value)
    assert message.startswith("template b.j2 for /etc/x does not render (file ")
    assert expected in message
    assert str(kit / "templates/b.j2") in message


def test_a_failure_inside_the_extended_template_is_named_too(kit: Path, tmp_path: Path) -> None:
    write(kit / "templates/b.j2", "{% block x %}{% endblock %}{{ missing }}")
    write(tmp_path / "inv/templates/b.j2", '{% extends "kit/templates/b.j2" %}')
    with pytest.raises(AnsibleError, match="'missing' is undefined"):
        render("b.j2", {"inventory_dir": str(tmp_path / "inv")})


def test_a_missing_template_says_where_it_was_looked_for(kit: Path, tmp_path: Path) -> None:
    with pytest.raises(AnsibleError) as caught:
        render("gone.j2", {"inventory_dir": str(tmp_path / "inv")})
    assert str(tmp_path / "inv/templates/gone.j2") in str(caught.value)
    assert str(kit / "templates/gone.j2") in str(caught.value)


@pytest.mark.parametrize("src", ["/etc/passwd", "../secret.j2", "nginx/../../secret.j2"])
def test_a_name_cannot_leave_the_folder(kit: Path, src: str) -> None:
    with pytest.raises(AnsibleError, match="below a templates folder"):
        render(src)


def test_the_port_that_an_app_gets_is_one() -> None:
    base = (Path(__file__).parents[3] / "templates/nginx/base.conf.j2").read_text()
    match = re.search(r'"~\*(\^\(\[a-z0-9.*\$)" \$host\$slipway_port;', base)
    assert match
    pattern = re.compile(match[1].replace("(?<", "(?P<"), re.IGNORECASE)

    def passes(port: str) -> bool:
        return pattern.match(f"shop.test shop.test{port}") is not None

    assert {n for n in range(100_000) if passes(f":{n}")} == set(range(1, 65536))
    assert passes("") and not any(map(passes, (":", ":00000", ":080", ":x")))
