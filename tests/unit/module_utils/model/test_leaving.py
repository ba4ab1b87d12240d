"""The nginx files that change when an app leaves a host, and those that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, resolve, schema, settings, validation
from ansible_collections.slipway.kit.plugins.module_utils.model.types import App, Host, ModelError
from hypothesis import given
from hypothesis import strategies as st

HOST = Host.assumed()
ERRORS = "/etc/nginx/slipway/errors"
SHARED = {
    "/etc/nginx/conf.d/slipway-00-base.conf": "file",
    "/etc/nginx/conf.d/slipway-00-visit.conf": "file",
    ERRORS: "directory",
    f"{ERRORS}/error.html": "file",
    f"{ERRORS}/error.json": "file",
}
REFUSE = "/etc/nginx/conf.d/slipway-01-refuse.conf"


def site(name: str) -> str:
    return f"/etc/nginx/conf.d/slipway-site-{name}.conf"


def plain(name: str) -> set[str]:
    """What a site's port for plain http may do; both files are there only with https."""
    return {f"/etc/nginx/slipway/sites/{name}.{kind}.conf" for kind in ("plain", "redirect")}


def files_of(name: str) -> set[str]:
    locations = f"/etc/nginx/slipway/{name}"
    return {
        f"/etc/nginx/conf.d/slipway-app-{name}.conf",
        f"{locations}.conf",
        f"{locations}.extra.conf",
        f"{locations}.streams.conf",
        f"{locations}.headers.conf",
        f"{locations}.static.conf",
        f"{locations}.media.conf",
        f"{locations}.users",
        f"{locations}.visit",
        f"/etc/nginx/slipway/errors/{name}",
    }


def entry(*domains: str, **more: Any) -> dict[str, Any]:
    return {"module": "a:b", "source": {"path": "x"}, "domains": list(domains), **more}


def resolved(apps: Mapping[str, Any]) -> list[App]:
    return resolve.resolve_all({"apps": apps}, HOST)


def changes(apps: Mapping[str, Any], name: str, on_host: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The files that change when `name` leaves, with their state afterwards."""
    after = {**apps, name: {**apps.get(name, {}), "state": "absent"}}
    host_settings = settings.settings({}, HOST)
    entries = artefacts.nginx_leaving(host_settings, HOST, resolved(apps), resolved(after), on_host)
    return {item["dest"]: item.get("state", "file") for item in entries}


def test_only_the_leaving_app_s_files_are_touched() -> None:
    apps = {"shop": entry("shop.test"), "blog": entry("blog.test", request_timeout=99)}
    on_host = {site("shop.test"): ["shop"], site("blog.test"): ["blog"]}
    assert changes(apps, "shop", on_host) == dict.fromkeys(
        {*files_of("shop"), site("shop.test"), *plain("shop.test")}, "absent"
    )


def test_a_site_of_two_goes_on_with_the_other() -> None:
    apps = {"shop": entry("shop.test"), "tools": entry("shop.test", mount="/tools")}
    gone = dict.fromkeys({*files_of("tools"), *plain("shop.test")}, "absent")
    expected = {**gone, site("shop.test"): "file", **SHARED}
    assert changes(apps, "tools", {site("shop.test"): ["shop", "tools"]}) == expected


def test_an_app_that_the_inventory_does_not_know_leaves_too() -> None:
    on_host = {site("shop.test"): ["shop"], site("old.test"): ["old"]}
    expected = dict.fromkeys({*files_of("old"), site("old.test"), *plain("old.test")}, "absent")
    assert changes({"shop": entry("shop.test")}, "old", on_host) == expected


def test_an_app_that_is_absent_already_can_be_removed() -> None:
    apps = {"shop": entry("shop.test"), "blog": {"state": "absent"}}
    assert changes(apps, "blog", {site("shop.test"): ["shop"]}) == dict.fromkeys(files_of("blog"), "absent")


@pytest.mark.parametrize("other", [{"tools": {"state": "absent"}}, {}], ids=["absent", "of another inventory"])
def test_of_two_apps_that_the_inventory_does_not_place_none_leaves_alone(other: dict[str, Any]) -> None:
    apps = {"shop": entry("shop.test"), "blog": {"state": "absent"}, **other}
    on_host = {site("two.test"): ["blog", "tools"], site("shop.test"): ["shop"]}
    host_settings = settings.settings({}, HOST)
    with pytest.raises(
        ModelError, match=r"^blog cannot leave the site two\.test alone: it serves tools, too.* -e app=blog,tools"
    ):
        artefacts.nginx_leaving(host_settings, HOST, resolved(apps), resolved(apps), on_host, spared=["tools"])
    both = {**apps, "tools": {"state": "absent"}}
    entries = artefacts.nginx_leaving(host_settings, HOST, resolved(apps), resolved(both), on_host)
    assert {"dest": site("two.test"), "state": "absent"} in entries


def test_no_app_that_the_inventory_wants_is_to_be_removed() -> None:
    apps = {"blog": {"state": "absent"}, "tools": entry("new.test")}
    with pytest.raises(ModelError, match=r"it serves tools, too, .* Deploy tools first$"):
        artefacts.nginx_sites(
            settings.settings({}, HOST), HOST, resolved(apps), {site("two.test"): ["blog", "tools"]}, ["tools"]
        )


def test_unknown_names_are_refused_again_when_the_default_site_leaves() -> None:
    apps = {"shop": entry("shop.test"), "demo": entry()}
    changed = changes(apps, "demo", {site("default"): ["demo"], site("shop.test"): ["shop"]})
    gone = dict.fromkeys({*files_of("demo"), site("default"), *plain("default")}, "absent")
    assert changed == {**gone, REFUSE: "file"}


@given(st.sets(st.sampled_from([key.name for key in schema.APP])))
def test_an_absent_app_needs_nothing_of_what_is_left_in_its_entry(left: set[str]) -> None:
    of_shop = {**{name: schema.table(schema.APP)[name].example for name in left}, "state": "absent"}
    for manager in ("systemd", "supervisor"):
        variables = {"process_manager": manager, "apps": {"shop": of_shop, "blog": entry("blog.test")}}
        assert validation.validate(variables) == []
        apps = resolve.resolve_all(variables, HOST)
        assert [one.fault for one in apps] == ["", ""]
    placed = artefacts.nginx_sites(settings.settings({}, HOST), HOST, apps, {})
    assert {item["state"] for item in placed if "/shop" in item["dest"] or "-shop" in item["dest"]} == {"absent"}


def test_a_mistyped_state_is_the_only_fault_of_an_app_that_has_nothing_else() -> None:
    apps = {"shop": {"state": "absnt"}}
    (fault,) = validation.validate({"apps": apps})
    assert validation.sound(apps, [fault], "source") == {}, "nobody asks for its source"
    assert fault.path == ("apps", "shop", "state")
    assert fault.message == "is 'absnt'; did you mean absent?"


def test_logs_go_only_with_their_site() -> None:
    apps = resolved(
        {
            "shop": entry("shop.test"),
            "tools": {"state": "absent", "domains": ["shop.test"], "mount": "/tools"},
            "blog": {"state": "absent", "domains": ["blog.test"]},
            "old": {"state": "absent"},
        }
    )
    on_host = {site("shop.test"): ["shop", "tools"], site("old.test"): ["old"]}

    def logs(number: int) -> list[str]:
        return artefacts.site_logs(apps[number], apps, on_host)

    assert logs(1) == []  # the shop still writes it
    assert logs(2) == ["/var/log/nginx/slipway-blog.test"]  # its site went in an earlier run
    on_host[site("blog.test")] = ["foreign"]
    assert logs(2) == []  # another inventory's app is there now
    assert logs(3) == ["/var/log/nginx/slipway-old.test"]
