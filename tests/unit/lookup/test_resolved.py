"""The lookup: the part that it returns, and the apps that nginx serves."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.slipway.kit.plugins.lookup import resolved
from ansible_collections.slipway.kit.plugins.module_utils import file_sets, inventory, run_report
from ansible_collections.slipway.kit.plugins.module_utils.contract import typed
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import (
    SCHEMA,
    AppFacts,
    Facts,
    NginxFacts,
    ReleaseFacts,
    prepare,
)
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import layout
from ansible_collections.slipway.kit.plugins.module_utils.model.types import ModelError

APPS = {
    name: {"module": "web:app", "source": {"path": "."}, "domains": [f"{name}.example.com"]}
    for name in ("shop", "blog")
}
SHOP, BLOG = (layout.site_file(f"{name}.example.com") for name in ("shop", "blog"))


HOST = Facts(
    cores=2, memory=4 << 30, systemd=True, ipv6=True, packages_missing=(), tools={"uv": True, "supervisor": False},
    supervisor_running=False, apps={}, deployed=(), drifted=(), firewall=None, certificates=(), users=(), pythons={"/usr/bin/python3": "3.11.2"},
    nginx=NginxFacts(
        installed=True, user="www-data", group="www-data", main_conf="slipway", distro_conf=None, running=True, masked=False, at_boot=True,
        version="1.22.1", openssl="3.0.19", http3=False, ports=(), welcome_page=None, sites={}, names={},
    ),
)  # fmt: skip


def load(facts: Facts | None = HOST, **variables: Any) -> Inventory:
    """The inventory of a host with these facts."""
    ansible_facts = {"slipway": {"schema": SCHEMA, **dataclasses.asdict(facts)}} if facts else {}
    task_vars = {"apps": APPS, "ansible_facts": ansible_facts, **variables}
    return inventory.load(Templar(loader=DataLoader(), variables={}), task_vars)


def on_host(inventory: Inventory, sites: dict[str, tuple[str, ...]], **current: str | None) -> Inventory:
    """The inventory of a host with these site files and current releases."""
    apps = {name: AppFacts(release_id) for name, release_id in current.items()}
    return replace(inventory, known=replace(HOST, apps=apps, nginx=replace(HOST.nginx, sites=sites)))


def sites(inventory: Inventory) -> dict[str, str]:
    """nginx's site files, with their state after the run."""
    entries = file_sets.SETS["sites"].entries(inventory)
    return {entry["dest"]: entry.get("state", "file") for entry in entries if "slipway-site-" in entry["dest"]}


def test_an_unknown_part_is_refused_with_the_nearest() -> None:
    with pytest.raises(AnsibleLookupError, match="has no part directoris; did you mean directories"):
        resolved.part("directoris")


def test_a_fault_inside_a_part_is_not_reported_as_an_unknown_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_inventory: Inventory) -> None:
        raise KeyError("users")

    monkeypatch.setattr(resolved, "PARTS", {"accounts": wrong})
    lookup = resolved.LookupModule(loader=DataLoader(), templar=Templar(loader=DataLoader(), variables={}))
    with pytest.raises(KeyError, match="users"):
        lookup.run(["accounts"], {"apps": APPS})


def test_every_part_resolves() -> None:
    known = replace(load(), access={"ports": [22], "key": True})
    for name in resolved.PARTS:
        resolved.part(name)(known)


def test_what_every_task_needs_of_the_facts_can_be_looked_up_before_ansible_forks() -> None:
    typed._hints.cache_clear()
    prepare()
    before = typed._hints.cache_info().misses
    load()
    assert typed._hints.cache_info().misses == before


def test_a_part_that_needs_the_host_s_facts_names_who_reads_them() -> None:
    with pytest.raises(ModelError, match=r"run slipway[.]kit[.]facts or slipway[.]kit[.]lock first"):
        resolved.part("new_apps")(load(None))


def test_a_run_for_one_app_writes_no_site_of_an_app_that_was_never_deployed() -> None:
    assert sites(on_host(load(app="shop"), {})) == {SHOP: "file"}
    assert sites(on_host(load(), {})) == {SHOP: "file", BLOG: "file"}


def test_a_run_for_one_app_keeps_the_sites_of_the_others() -> None:
    assert sites(on_host(load(app="shop"), {BLOG: ("blog",)}, blog="v1-00000001")) == {SHOP: "file", BLOG: "file"}


def test_a_site_without_a_release_goes() -> None:
    assert sites(on_host(load(app="shop"), {BLOG: ("blog",)}, blog=None)) == {SHOP: "file", BLOG: "absent"}


def test_an_app_that_leaves_takes_no_other_s_site() -> None:
    leaving = on_host(load(app="shop", remove_apps="shop"), {SHOP: ("shop",), BLOG: ("blog",)}, shop="v1", blog="v1")
    changed = {entry["dest"] for entry in file_sets.SETS["leaving"].entries(leaving)}
    assert SHOP in changed
    assert BLOG not in changed


def renamed(held: tuple[str, ...] = (), **variables: Any) -> Inventory:
    """The inventory of a host whose app blog is to be called notes, with the apps that are held back."""
    apps = {"shop": APPS["shop"], "notes": APPS["blog"], "blog": {"state": "absent"}}
    back = {name: {"reason": "why", "release": None, "root": None} for name in held}
    facts = {"slipway": {"schema": SCHEMA, **dataclasses.asdict(HOST)}, "slipway_held": back}
    made = load(apps=apps, ansible_facts=facts, **variables)
    return on_host(made, {SHOP: ("shop",), BLOG: ("blog",)}, shop="v1-00000001", blog="v1-00000001")


def test_an_app_that_is_renamed_takes_over_its_site() -> None:
    it = renamed()
    assert [one["name"] for one in resolved.part("removed")(it)] == ["blog"]
    assert sites(it) == {SHOP: "file", BLOG: "file"}
    (site,) = [one for one in file_sets.SETS["sites"].entries(it) if one["dest"] == BLOG]
    assert [app["name"] for app in site["vars"]["site"]["apps"]] == ["notes"]


@pytest.mark.parametrize("held", ["notes", "shop"])
def test_an_app_that_leaves_stays_while_another_one_is_held_back(held: str) -> None:
    it = renamed((held,))
    assert resolved.part("removed")(it) == []
    assert "blog stays on this host as long as an app is held back." in run_report.whereabouts(it)
    files = {entry["dest"]: entry for entry in file_sets.SETS["sites"].entries(it)}
    assert layout_of("blog") not in files
    if held == "notes":
        assert BLOG not in files
    else:
        assert [app["name"] for app in files[BLOG]["vars"]["site"]["apps"]] == ["notes"]


def test_an_app_that_leaves_needs_nothing_that_the_host_lacks() -> None:
    leaving = {**APPS["blog"], "state": "absent", "system_packages": {"run": ["libmissing1"]}}
    known = {"schema": SCHEMA, **dataclasses.asdict(replace(HOST, packages_missing=("libmissing1",)))}
    facts = {"slipway": known, "slipway_unavailable": {"libmissing1": "apt does not know it"}}
    it = load(apps={"shop": APPS["shop"], "blog": leaving}, ansible_facts=facts)
    assert next(app for app in it.apps if app.name == "blog").fault
    assert [one["name"] for one in resolved.part("removed")(it)] == ["blog"]


@pytest.mark.parametrize(
    ("apps", "run", "members"),
    [
        # Another one of the domain is deployed, or a new one comes: the old one stays where it is.
        ({"shop": "/"}, "shop", ["old", "shop"]),
        ({"shop": "/", "new": "/new"}, "new", ["new", "old", "shop"]),
        # A new one takes its place, or an existing one moves there.
        ({"shop": "/", "new": "/old"}, "new", ["new", "shop"]),
        ({"shop": "/old"}, "shop", ["shop"]),
    ],
)
def test_an_app_that_stays_for_now_keeps_its_place_on_a_shared_domain(
    apps: dict[str, str], run: str, members: list[str]
) -> None:
    entries = {name: {**APPS["shop"], "mount": mount} for name, mount in apps.items()}
    it = load(apps={**entries, "old": {"state": "absent"}}, app=run)
    kept = ReleaseFacts(None, None, None, None, None, None, None, complete=True, mount="/old")
    here = {"shop": AppFacts("v1-00000001"), "old": AppFacts("v1-00000001", {"v1-00000001": kept})}
    nginx = replace(HOST.nginx, sites={SHOP: ("old", "shop")})
    it = replace(it, known=replace(HOST, apps=here, nginx=nginx))
    (site,) = [one for one in file_sets.SETS["sites"].entries(it) if one["dest"] == SHOP]
    assert sorted(app["name"] for app in site["vars"]["site"]["apps"]) == members


def test_an_app_whose_first_switch_was_interrupted_gets_no_client_from_a_run_about_another() -> None:
    entries = {"shop": {**APPS["shop"], "mount": "/x"}, "new": APPS["shop"], "old": {"state": "absent"}}
    unseen = ReleaseFacts(None, None, None, None, None, None, None, complete=True, mount="/")
    here = {name: AppFacts("v1-00000001", {"v1-00000001": unseen}) for name in ("old", "new")}
    seen = replace(unseen, activated="2026-01-01T00:00:00Z", mount="/x")
    here["shop"] = AppFacts("v1-00000001", {"v1-00000001": seen})
    nginx = replace(HOST.nginx, sites={SHOP: ("old", "shop")})
    for run, members in (("shop", ["old", "shop"]), ("shop,new", ["new", "shop"])):
        it = replace(load(apps=entries, app=run), known=replace(HOST, apps=here, nginx=nginx))
        (site,) = [one for one in file_sets.SETS["sites"].entries(it) if one["dest"] == SHOP]
        assert sorted(app["name"] for app in site["vars"]["site"]["apps"]) == members


def test_a_rollback_removes_no_app() -> None:
    it = renamed(release_purpose="rollback")
    assert resolved.part("removed")(it) == []
    assert layout_of("blog") not in {entry["dest"] for entry in file_sets.SETS["sites"].entries(it)}
    assert "as long as an app is held back" not in run_report.whereabouts(it)


def test_a_removal_does_not_wait_for_another_app_that_cannot_be_resolved() -> None:
    faulty = {**APPS["blog"], "system_packages": {"run": ["libmissing1"]}}
    known = {"schema": SCHEMA, **dataclasses.asdict(replace(HOST, packages_missing=("libmissing1",)))}
    facts = {"slipway": known, "slipway_unavailable": {"libmissing1": "apt does not know it"}}
    it = load(apps={"shop": APPS["shop"], "blog": faulty}, ansible_facts=facts, app="shop", remove_apps="shop")
    assert it.late == {"blog"}
    assert [one["name"] for one in resolved.part("removed")(it)] == ["shop"]
    assert SHOP in {
        entry["dest"] for entry in file_sets.SETS["leaving"].entries(on_host(it, {SHOP: ("shop",)}, shop="v1"))
    }


def test_a_run_for_one_app_removes_no_other() -> None:
    for app, removed in (("shop", []), ("notes", []), ("blog", ["blog"]), ("notes,blog", ["blog"])):
        it = renamed(app=app)
        assert [one["name"] for one in resolved.part("removed")(it)] == removed
        assert [one["root"] for one in resolved.part("absent")(it)] == [f"/srv/{name}" for name in removed]
    files = {entry["dest"]: entry for entry in file_sets.SETS["sites"].entries(renamed(app="shop"))}
    assert BLOG not in files
    assert layout_of("blog") not in files
    leaving = renamed(app="shop", remove_apps="shop")
    assert [one["name"] for one in resolved.part("removed")(leaving)] == ["shop"]
    changed = {entry["dest"] for entry in file_sets.SETS["leaving"].entries(leaving)}
    assert SHOP in changed
    assert not {BLOG, layout_of("blog")} & changed


def layout_of(app: str) -> str:
    """nginx's file with the locations of an app."""
    return f"/etc/nginx/slipway/{app}.conf"


def test_the_certificate_of_an_app_that_stays_for_now_stays() -> None:
    def unneeded(it: Inventory) -> Any:
        return resolved.part("unneeded_certificates")(
            replace(it, known=replace(it.facts, certificates=("blog.example.com",)))
        )

    assert unneeded(renamed(app="shop")) == []
    assert unneeded(renamed()) == ["blog.example.com"]


def encrypted(facts: Facts = HOST, **variables: Any) -> Inventory:
    """The inventory with https for the shop."""
    return load(facts, apps={**APPS, "shop": {**APPS["shop"], "tls": "self_signed"}}, **variables)


def test_a_run_completes_the_certificates_of_what_it_serves_and_a_rollback_asks_no_authority() -> None:
    completed = resolved.part("completed")
    apps = {
        "shop": {**APPS["shop"], "tls": "self_signed"},
        "blog": {**APPS["blog"], "domains": ["blog.test"], "tls": "acme"},
    }
    assert completed(load(apps=apps)) == ["shop.example.com", "blog.test"]
    assert completed(load(apps=apps, release_purpose="rollback")) == ["shop.example.com"]
    held = {"slipway": {"schema": SCHEMA, **dataclasses.asdict(HOST)}, "slipway_held": {"shop": "it failed"}}
    assert completed(load(None, apps=apps, ansible_facts=held)) == ["blog.test"]


def test_a_host_is_asked_about_the_port_for_https_only_where_it_has_some() -> None:
    assert resolved.part("look")(load())["nginx_ports"] == [80]
    assert resolved.part("look")(encrypted(nginx_https_port="8443"))["nginx_ports"] == [80, 8443]
    leaving = encrypted(remove_apps="shop")
    assert resolved.part("look")(leaving)["nginx_ports"] == [80]


def test_an_app_of_another_inventory_is_left_alone() -> None:
    hooks = {"on_failure": {"command": ["true"]}}
    here = on_host(
        load(apps={**APPS, "shop": {**APPS["shop"], "hooks": hooks}}, inventory_dir="/home/ops/inventories/staging"),
        {},
        shop="v1-00000001",
    )
    theirs = replace(here, known=replace(here.facts, origins={"shop": "production"}))
    assert (here.stranger, here.origin) == ("", "staging")
    assert len(resolved.part("hooks/on_failure")(here)) == 1
    assert "On this host the app shop belongs to inventories/production" in theirs.obstacle(theirs.to_deploy)
    assert resolved.part("hooks/on_failure")(theirs) == []
    leaving = load(apps={**APPS, "shop": {"state": "absent"}}, inventory_dir="/home/ops/inventories/staging")
    assert replace(leaving, known=theirs.known).stranger
    # Where neither a release nor its user is there any more, its data may be.
    assert replace(theirs, known=replace(theirs.facts, apps={}, users=())).stranger
    assert replace(load(inventory_dir="/home/ops/checkout"), known=theirs.known).stranger
    # It is taken over on purpose, or it was purged.
    taking = replace(theirs, run=replace(theirs.run, takes_over=True))
    assert not taking.stranger
    assert replace(taking, chosen=("blog",)).stranger
    assert not replace(theirs, known=replace(theirs.facts, origins={})).stranger


@pytest.mark.parametrize(("owner", "more"), [("production", True), ("staging", False)])
def test_who_replaces_an_app_of_another_inventory_takes_it_over(owner: str, more: bool) -> None:
    here = on_host(load(inventory_dir="/home/ops/inventories/staging"), {}, old="v1-00000001")
    nginx = replace(here.facts.nginx, names={"shop.example.com": ("old",)})
    it = replace(here, known=replace(here.facts, nginx=nginx, origins={"old": owner}))
    assert "add `old: {state: absent}` to `apps`" in it.displaced
    assert ("-e take_over=true" in it.displaced) == ("The app old of inventories/production" in it.displaced) == more


def test_an_app_that_the_inventory_still_has_comes_back() -> None:
    returning = resolved.part("returning")
    assert returning(load(remove_apps="shop,notes")) == [
        "The inventory still has shop. Delete its entry, or the next deploy brings it back."
    ]
    absent = {**APPS, "shop": {**APPS["shop"], "state": "absent"}}
    assert returning(load(apps=absent, remove_apps="shop")) == []
    assert returning(load(apps=absent)) == []


def test_a_certificate_stays_with_a_site_that_the_inventory_does_not_know() -> None:
    """nginx would not start without it. That of a site whose apps are all known goes with the site."""
    known = replace(HOST, certificates=("shop.example.com", "other.example.com", "gone.example.com"))
    files = {SHOP: ("shop",), layout.site_file("other.example.com"): ("other", "shop")}
    it = replace(load(), known=replace(known, nginx=replace(HOST.nginx, sites=files)))
    assert resolved.part("unneeded_certificates")(it) == ["shop.example.com", "gone.example.com"]


THEIRS = dataclasses.replace(
    HOST,
    origins={"news": "production"},
    live=("news",),
    applied={"production": {"nginx_trusted_proxies": '["192.0.2.1"]', "firewall_ports": "[5432]"}},
)
"""A host of another inventory, which has set up the load balancer in front of nginx."""


def test_a_run_with_other_settings_of_the_host_than_another_inventory_is_refused() -> None:
    why = load(THEIRS).obstacle([])
    assert 'nginx_trusted_proxies is ["192.0.2.1"] in inventories/production, and [] by default in' in why
    assert resolved.hooks_of(load(THEIRS), "migrate") == []
    assert load(THEIRS, nginx_trusted_proxies=["192.0.2.1"]).obstacle([]) == ""
    assert load(THEIRS, take_over=True).obstacle([]) == ""
    assert load(dataclasses.replace(THEIRS, live=())).obstacle([]) == ""
    hardening = resolved.part("hardening_refusal")
    assert "nginx_trusted_proxies is" in hardening(load(THEIRS))
    assert "firewall_ports is [5432]" in hardening(load(THEIRS, nginx_trusted_proxies=["192.0.2.1"]))
    assert hardening(load(THEIRS, take_over=True)) == ""


def test_harden_yml_runs_where_the_firewall_keeps_a_port_of_the_apps_closed() -> None:
    closed = load(dataclasses.replace(HOST, firewall=(22,)))
    assert "Run playbooks/harden.yml first" in closed.obstacle(closed.apps)
    assert resolved.part("hardening_refusal")(closed) == ""


def test_a_removal_that_would_write_shared_files_is_refused_too() -> None:
    facts = dataclasses.replace(THEIRS, nginx=replace(HOST.nginx, sites={SHOP: ("shop", "blog")}))
    facts = dataclasses.replace(facts, apps={"shop": AppFacts("v1-00000001"), "blog": AppFacts("v1-00000001")})
    apps = {name: {**entry, "domains": ["shop.example.com"]} for name, entry in APPS.items()}
    apps["blog"]["path"] = "/blog"
    removal = {"apps": apps, "app": "blog", "remove_apps": "blog"}
    with pytest.raises(ModelError, match="nginx_trusted_proxies is"):
        file_sets.SETS["leaving"].entries(load(facts, **removal))
    assert file_sets.SETS["leaving"].entries(load(facts, **removal, take_over=True))


def test_a_rollback_that_knows_only_some_apps_leaves_nginx_s_files() -> None:
    """The others may be in the same sites, and their entries are wrong."""
    facts = {"slipway": {"schema": SCHEMA, **dataclasses.asdict(HOST)}, inventory.LEFT_OUT: ["blog"]}
    back = load(None, app="shop", release_purpose="rollback", ansible_facts=facts)
    assert [app.name for app in back.apps] == [name for name in APPS if name != "blog"]
    assert back.keeps_sites and not back.displaced
    assert not load(release_purpose="rollback").keeps_sites
    assert not load(None, app="shop", release_purpose="deploy", ansible_facts=facts).keeps_sites


def test_a_rollback_writes_no_settings_that_another_inventory_needs_otherwise() -> None:
    theirs = dict.fromkeys(load().shared, '"another"')
    facts = replace(HOST, applied={"live": theirs}, origins={"site": "live"}, live=("site",))
    assert "This host has one value of" in load(facts).stranger
    back = load(facts, release_purpose="rollback")
    assert (back.stranger, back.keeps_sites) == ("", True)
