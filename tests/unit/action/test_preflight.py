"""A fault shows its place, and never a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible._internal._datatag._tags import Origin
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.kit.plugins.action import preflight
from ansible_collections.slipway.kit.plugins.module_utils import places, templated
from ansible_collections.slipway.kit.plugins.module_utils.model import validation
from hypothesis import given
from hypothesis import strategies as st

SECRET = "hunter2"
NESTED = st.recursive(
    st.sampled_from([SECRET, f"https://u:{SECRET}@x.example", f"{SECRET}\0", 7331, True, None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["secrets", "shop", "A", "a-b", "environment"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(NESTED, NESTED)
def test_no_fault_shows_a_secret(vault: Any, secrets: Any) -> None:
    shop = {"module": "shop:app", "source": {"path": "x"}, "secrets": secrets}
    variables = {"apps": {"shop": shop}, "vault_apps": vault}
    faults = "\n".join(str(fault) for fault in validation.validate(variables))
    assert SECRET not in faults
    assert "7331" not in faults


@pytest.mark.parametrize("url", [f"htps://reader:{SECRET}@x.example/simple", f"ftp://{SECRET}@x.example"])
def test_no_fault_shows_a_url_s_password(url: str) -> None:
    variables = {"apps": {"shop": {"module": "a:b", "source": {"path": "x"}}}, "package_index_url": url}
    (fault,) = validation.validate(variables)
    assert SECRET not in str(fault)
    assert "x.example" in str(fault)


def test_every_leaf_that_does_not_render_is_a_fault() -> None:
    def template(value: Any) -> Any:
        if isinstance(value, str) and "{{" in value:
            raise AnsibleError(f"cannot read {value}")
        return value

    faults: list[validation.Fault] = []
    value = {
        "shop": {"module": "{{ a }}", "secrets": {"KEY": f"{{{{ '{SECRET}' | x }}}}"}, "domains": ["a", "{{ b }}"]}
    }
    plain = templated.plain(value, template, ("apps",), faults)
    assert plain == {"shop": {"module": None, "secrets": {"KEY": None}, "domains": ["a", None]}}
    assert [str(fault) for fault in faults] == [
        "apps.shop.module does not render: cannot read {{ a }}",
        "apps.shop.secrets.KEY does not render",
        "apps.shop.domains.1 does not render: cannot read {{ b }}",
    ]


def test_a_text_that_only_looks_like_a_template_has_a_way_out() -> None:
    """A password with `{%` in it, for example."""
    templar = Templar(loader=DataLoader(), variables={})
    faults: list[validation.Fault] = []
    module, key = map(trust_as_template, ("{{ a", "{% " + SECRET))
    value = {"shop": {"module": module, "secrets": {"KEY": key}}}
    templated.plain(value, templar.template, ("apps",), faults)
    module, key = map(str, faults)
    assert module.startswith("apps.shop.module does not render: Syntax error in template: ")
    assert module.endswith("'; correct the template, or write !unsafe before a text that is none")
    assert (
        key
        == "apps.shop.secrets.KEY does not render; correct the template, or write !unsafe before a text that is none"
    )


def test_places_are_short_where_they_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    near = Origin(path=str(tmp_path / "inventory/apps.yml"), line_num=3, col_num=5)
    assert places.of(near.tag("text")) == "inventory/apps.yml:3:5"
    assert places.of(None, near.tag(7)) == "inventory/apps.yml:3:5"
    assert places.of(Origin(path="/elsewhere/apps.yml", line_num=3).tag("text")) == "/elsewhere/apps.yml:3"
    assert places.of(Origin(description="<CLI option '-e'>").tag("text")) == "-e"
    assert places.of("text", None) == ""


def test_the_deepest_known_place_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def at(line: int, value: Any) -> Any:
        return Origin(path=str(tmp_path / "a.yml"), line_num=line).tag(value)

    raw = {at(1, "apps"): {at(2, "shop"): {at(3, "domains"): [at(4, "a.example"), "b.example"]}}}
    assert preflight._place(raw, ("apps", "shop", "domains", 0)) == "a.yml:4"
    assert preflight._place(raw, ("apps", "shop", "domains", 1)) == "a.yml:3"
    assert preflight._place(raw, ("apps", "shop", "module")) == "a.yml:2"
    assert preflight._place(raw, ("nginx_http_port",)) == ""


def test_faults_come_in_the_order_of_the_files() -> None:
    positions = ["b.yml:1:1", "a.yml:10:1", "a.yml:9:20", "a.yml:9:3", "-e", "", "c: d/e.yml:2"]
    assert sorted(positions, key=preflight._position) == [
        "",
        "-e",
        "a.yml:9:3",
        "a.yml:9:20",
        "a.yml:10:1",
        "b.yml:1:1",
        "c: d/e.yml:2",
    ]
