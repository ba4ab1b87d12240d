"""Apps that are held back: what a run continues with, and which apps belong together."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.kit.plugins.module_utils import holding
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts, layout, resolve, settings
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host

SHOP, BLOG = (
    {"root": f"/srv/{name}", "release": f"v1-0000000{number}"} for number, name in enumerate(("shop", "blog"))
)


def facts(*apps: str) -> dict[str, Any]:
    return {
        "slipway_releases": [SHOP, BLOG],
        "slipway_held": {app: {"reason": "it raises", "release": None} for app in apps},
    }


def test_a_run_goes_on_with_the_others() -> None:
    assert holding.going(facts()) == [SHOP, BLOG]
    assert (holding.going(facts("shop")), holding.stopped(facts("shop"))) == ([BLOG], [SHOP])
    assert holding.going({}) == []


def test_what_failed_on_one_host_is_held_back_on_all() -> None:
    assert set(holding.agree([facts("shop"), facts(), {}], {"shop": None, "blog": None})) == {"shop"}


def test_what_belongs_together_is_held_back_together() -> None:
    back = holding.agree([facts("shop")], {"shop": "x", "blog": "x", "wiki": "y", "news": None})
    assert set(back) == {"shop", "blog"}
    assert back["blog"]["reason"] == "shop failed, with which it is deployed together"


def test_the_end_names_every_app() -> None:
    summary = holding.outcome(facts("shop"), "web1")
    assert summary == "activated: blog v1-00000001\nheld back: shop: it has no release yet; it raises"
    served = {"apps": {"shop": {"current": "v0-00000000"}}}
    summary = holding.outcome({**facts("shop"), "slipway": served}, "web1")
    assert summary == "activated: blog v1-00000001\nheld back: shop: v0-00000000 stays the current release; it raises"
    served["apps"]["blog"] = {"current": "v1-00000001"}
    assert holding.outcome({**facts("shop"), "slipway": served}, "web1").startswith("unchanged: blog v1-00000001\n")
    long = {**facts(), "slipway_held": {"shop": {"reason": "x" * 200 + "\nmore", "release": None}}}
    assert holding.outcome(long, "web1").endswith(f"it has no release yet; {'x' * 160}…")
    assert holding.outcome(facts(), "web1") == ""


def test_a_failed_run_says_which_release_is_current_now() -> None:
    assert holding.standing("v1-00000001", "v1-00000001") == "v1-00000001 stays the current release"
    assert holding.standing(None, None) == "it has no release yet"
    now = "v2-00000002 is the current release now, "
    assert holding.standing("v1-00000001", "v2-00000002") == f"{now}before it v1-00000001"
    assert holding.standing(None, "v2-00000002") == f"{now}the first one"
    gone = "it has no current release any more; before this run it was v1-00000001"
    assert holding.standing("v1-00000001", None) == gone


def test_a_host_blames_the_one_where_the_app_failed() -> None:
    elsewhere = {**facts(), "slipway_held": {"shop": {"reason": "it raises", "release": None, "on": "web2"}}}
    assert holding.outcome(elsewhere, "web1").endswith("it has no release yet; on web2: it raises")
    assert holding.outcome(elsewhere, "web2").endswith("it has no release yet; it raises")


def entries(on_host: dict[str, list[str]], held: set[str], **domains: list[str]) -> dict[str, dict[str, Any]]:
    """The nginx files of apps that are mounted at their names."""
    apps = {
        name: {"module": "web:app", "source": {"path": "."}, "domains": names, "mount": f"/{name}"}
        for name, names in domains.items()
    }
    variables = {"apps": apps}
    items = artefacts.nginx_sites(
        settings.settings(variables, Host.assumed()),
        Host.assumed(),
        resolve.resolve_all(variables, Host.assumed()),
        on_host,
        held,
    )
    return {entry["dest"]: entry for entry in items}


def test_each_host_gives_its_own_reason() -> None:
    held = [
        {"slipway_held": {"shop": {"reason": why, "release": None, "on": host}}}
        for host, why in (("web1", "it raises"), ("web2", "it hangs"))
    ]
    together = {"shop": None, "blog": None}
    agreed = holding.agree([*held, {}], together)
    again = {**facts(), "slipway_held": holding.agree([{"slipway_held": agreed}] * 3, together)}
    ends = {host: holding.outcome(again, host).rpartition("; ")[2] for host in ("web1", "web2", "web3")}
    assert ends == {"web1": "it raises", "web2": "it hangs", "web3": "on web1: it raises"}


def test_nginx_s_files_of_what_is_held_back_stay_as_they_are() -> None:
    one, two = layout.site_file("one.example"), layout.site_file("two.example")
    on_host = {one: ["shop", "blog"], two: ["wiki"]}
    new = {"shop": ["one.example"], "blog": ["one.example"], "wiki": ["three.example"]}
    changed = entries(on_host, {"shop", "wiki"}, **new)
    assert not [path for path in changed if "shop.conf" in path or "wiki.conf" in path]
    assert [app["name"] for app in changed[one]["vars"]["site"]["apps"]] == ["blog", "shop"], "it is still included"
    assert two not in changed, "its site is not removed, though the inventory names another domain"
    assert layout.site_file("three.example") not in changed
    # Of an app that is new to the host, nothing is written at all.
    assert not [path for path in entries({}, {"shop"}, **new) if "shop.conf" in path]


def test_a_host_has_switched_when_its_facts_say_so() -> None:
    """Also one on which the switch changed nothing."""
    hosts = [
        {"slipway_switched": True},
        facts("shop"),
        {"slipway_switched": True},
        {},
        {"slipway_switched": False},
    ]
    assert holding.unswitched(hosts, ["a", "b", "c", "d", "e"]) == ["b", "d", "e"]
