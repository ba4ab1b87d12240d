"""The names in `unit_extra`, compared with those that this machine's systemd knows."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.build import directives
from ansible_collections.slipway.kit.plugins.module_utils.host.build.errors import BuildError
from ansible_collections.slipway.kit.plugins.module_utils.model import checks

EXTRA = "# MemroyHigh=1\n; Nice\nMemoryHigh = 400M\nNice=5\nMemoryHigh=300M\n"


def test_the_names_of_an_extra() -> None:
    assert checks.unit_names(EXTRA) == ("MemoryHigh", "Nice")
    assert checks.unit_names("") == ()


def test_known_names() -> None:
    directives.check(checks.unit_names(EXTRA))
    directives.check(())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MemroyHigh", "did you mean MemoryHigh?"),
        ("memoryhigh", "did you mean MemoryHigh?"),
        ("StartLimitBurts", "did you mean StartLimitBurst?"),
        ("Qqqqqq", "correct it, or leave it out"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(BuildError) as caught:
        directives.check(("Nice", name))
    assert str(caught.value) == (
        f"unit_extra sets {name}, which this host's systemd does not know and would ignore; {hint}"
    )


def test_a_host_whose_systemd_does_not_list_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directives, "PROGRAMS", ("/nowhere/systemd", "/bin/false"))
    directives.check(("MemroyHigh",))
