"""A mistyped name in a template of the inventory, and a generated secret that another value names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.slipway.kit.plugins.module_utils import templated
from ansible_collections.slipway.kit.plugins.module_utils.model.validation import Fault

VARIABLES: dict[str, Any] = {
    "vault_secret": "a",
    "long": {"generate": 60},
    "apps": {"shop": {"secrets": {"SECRET": "hunter2", "GEN": {"generate": 50}}}},
    "vault_apps": {"shop": {"secrets": {"TOKEN": "b"}}},
}


def rendered(text: str) -> tuple[Any, list[str]]:
    faults: list[Fault] = []
    templar = Templar(loader=DataLoader(), variables=VARIABLES)
    value = templated.plain(trust_as_template(text), templar.template, ("KEY",), faults, templated.names(VARIABLES))
    return value, [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("x{{ vault_secrt }}", "'vault_secrt' is undefined; did you mean vault_secret?"),
        ("{{ apps.shop.secrets.SECRT }}", "has no attribute 'SECRT'; did you mean SECRET?"),
        ("{{ vault_apps.shop.secrets.TOKN }}", "has no attribute 'TOKN'; did you mean TOKEN?"),
        ("{{ something }}", "'something' is undefined; define it in the inventory, or correct its name"),
        ("{{ secrets.SECRT }}", "'secrets' is undefined, since only templates of `files` have it; write the secret's variable"),
        ("x{{ apps.shop.secrets.GEN }}", "write that secret yourself, in ansible-vault"),
        ("{{ apps.shop.secrets.GEN }}", "write that secret yourself, in ansible-vault"),
    ],
)  # fmt: skip
def test_what_does_not_render(text: str, end: str) -> None:
    value, (fault,) = rendered(text)
    assert value is None and fault.endswith(end), fault
    assert "hunter2" not in fault


def test_what_renders() -> None:
    assert rendered("x{{ apps.shop.secrets.SECRET }}") == ("xhunter2", [])
    assert rendered("{{ long }}") == ({"generate": 60}, [])
    assert rendered("{'generate': 50}") == ("{'generate': 50}", [])
