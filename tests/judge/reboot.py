"""After a reboot every app is back by itself."""

from __future__ import annotations

from tests.judge.host import APPS, NGINX_BEFORE, VISITS, Instance, ask, one_instance, until


def test_every_app_is_back_in_its_current_release() -> None:
    assert not VISITS.exists(), "/run is as it was: the host was not rebooted"
    for app in APPS:
        instance = Instance(app)
        took = until(instance.answers, 30, f"an answer of {app}")
        print(f"{app} answered {took:.1f} s after the question could be asked")
        one_instance(instance)
    assert ask("probe").json["release"] == Instance("probe").manifest["release"]
    assert ask("probe").json["greeting"] == "second"
    if NGINX_BEFORE.exists():
        assert ask("", domain="neighbour.test").body == b"the neighbour\n"
