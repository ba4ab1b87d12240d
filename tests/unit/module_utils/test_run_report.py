"""What a run says at its end about a host."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import run_report
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import SCHEMA, AppFacts
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory

from ..lookup.test_resolved import APPS, HOST, encrypted, load, renamed


def first(inventory: Inventory) -> Inventory:
    """The inventory of a run that has deployed the first release of the shop."""
    run = replace(inventory.run, releases={"shop": OLD}, changed={"shop": None}, hinted=("shop",))
    return replace(inventory, run=run)


def test_the_report_names_where_clients_are_to_come() -> None:
    both = run_report.whereabouts(encrypted()).splitlines()
    assert both[:2] == ["shop is at https://shop.example.com/", "blog is at http://blog.example.com/"]
    report = run_report.whereabouts(first(encrypted())).splitlines()
    assert report[0] == "shop is at https://shop.example.com/"
    assert report[2] == "  try:      curl -i -k https://shop.example.com/"
    assert "nginx_http3" not in "".join(report)
    www = {**APPS["shop"], "domains": ["www.shop.test", "shop.test"], "primary": "shop.test", "tls": "acme"}
    report = run_report.whereabouts(first(load(apps={"shop": www}, nginx_https_port=8443))).splitlines()
    assert report[::2][:2] == ["shop is at https://shop.test:8443/", "  try:      curl -i https://shop.test:8443/"]


def test_the_report_says_that_a_host_s_nginx_has_no_http_3() -> None:
    assert "nginx_http3 has no effect here" in run_report.whereabouts(encrypted(nginx_http3=True))
    able = replace(HOST, nginx=replace(HOST.nginx, http3=True))
    assert "nginx_http3" not in run_report.whereabouts(encrypted(able, nginx_http3=True))
    assert "nginx_http3" not in run_report.whereabouts(load(nginx_http3=True))


def noted(before: str | None, after: str, app: str = "shop", **facts: Any) -> dict[str, Any]:
    """What a run notes about a host, with the releases of an app before and after it."""
    known = {"schema": SCHEMA, **dataclasses.asdict(replace(HOST, apps={app: AppFacts(before)}))}
    return {"slipway": known, "slipway_releases": [{"root": f"/srv/{app}", "release": after}], **facts}


def ran(
    before: str | None,
    after: str,
    earlier: tuple[dict[str, Any], ...] = (),
    nginx: tuple[str, ...] = (),
    **variables: Any,
) -> list[str]:
    """The report of a run about the shop, with the releases before and after it."""
    ansible_facts = noted(before, after, slipway_nginx_files=nginx)
    inventory = load(None, app="shop", ansible_facts=ansible_facts, **variables)
    report: str = run_report.whereabouts(inventory, earlier)
    return report.splitlines()


AT = "shop is at http://shop.example.com/"
HINTS = [
    "  try:      curl -i http://shop.example.com/",
    "  its logs: ansible-playbook playbooks/logs.yml -e app=shop",
]
OLD, NEW = "v1-00000001", "v2-00000002"


def test_the_report_offers_the_next_deploy_only_after_a_change() -> None:
    assert ran(OLD, OLD) == ["shop is unchanged at http://shop.example.com/", *HINTS]
    assert ran(OLD, NEW)[:-1] == [AT, f"  release:  {NEW}, before it {OLD}", *HINTS]
    assert ran(OLD, NEW)[-1].startswith("Change the app and deploy again")
    assert ran(None, OLD)[:-1] == [AT, f"  release:  {OLD}, the first one", *HINTS]
    assert ran(None, OLD)[-1].startswith("Change the app and deploy again")


def test_the_report_says_to_correct_what_holds_an_app_back() -> None:
    facts = noted(OLD, NEW, slipway_held={"blog": {"reason": "hook migrate failed", "release": None}})
    report = run_report.whereabouts(load(None, app="shop", ansible_facts=facts))
    assert report.splitlines()[-1].startswith("Correct what holds back blog, and deploy again: no request is lost.")


def test_only_the_first_host_says_what_to_try() -> None:
    changed = [AT, f"  release:  {NEW}, before it {OLD}"]
    assert ran(OLD, NEW, (noted(OLD, NEW),)) == changed
    assert ran(OLD, OLD, (noted(OLD, OLD),)) == ["shop is unchanged at http://shop.example.com/"]
    elsewhere = noted(OLD, NEW, "blog")
    assert ran(OLD, NEW, (elsewhere,)) == [*changed, *HINTS]


def test_an_app_that_was_current_gets_one_line_beside_others() -> None:
    facts = noted(OLD, NEW)
    facts["slipway"]["apps"]["blog"] = dataclasses.asdict(AppFacts(OLD))
    facts["slipway_releases"].append({"root": "/srv/blog", "release": OLD})
    report = run_report.whereabouts(load(None, ansible_facts=facts)).splitlines()
    assert report[:-1] == [
        AT,
        f"  release:  {NEW}, before it {OLD}",
        *HINTS,
        "blog is unchanged at http://blog.example.com/",
    ]
    report = run_report.whereabouts(load(None, ansible_facts=facts, ansible_check_mode=True)).splitlines()
    assert report == [
        "shop would be at http://shop.example.com/",
        f"  release:  {NEW}, now {OLD}",
        "blog would stay unchanged at http://blog.example.com/",
    ]


@pytest.mark.parametrize(
    ("path", "is_its"),
    [
        ("/etc/nginx/conf.d/slipway-site-shop.example.com.conf", True),
        ("/etc/nginx/conf.d/slipway-app-shop.conf", True),
        (f"{names.NGINX_APPS}/shop.extra.conf", True),
        (f"{names.NGINX_APPS}/shop2.extra.conf", False),
        ("/etc/nginx/conf.d/slipway-site-blog.example.com.conf", False),
    ],
)
def test_an_app_with_other_files_of_nginx_is_not_unchanged(path: str, is_its: bool) -> None:
    report = ran(OLD, OLD, nginx=(path,))
    assert report == (
        [AT, f"  release:  {OLD} as before, with other files of nginx", *HINTS] if is_its else ran(OLD, OLD)
    )
    if is_its:
        would = ran(OLD, OLD, nginx=(path,), ansible_check_mode=True)
        assert would[1:] == [f"  release:  {OLD} as before, would get other files of nginx"]


def test_check_mode_names_no_release_whose_secrets_are_not_made() -> None:
    shop = {**APPS["shop"], "secrets": {"KEY": {"generate": 50}}}
    would = ran(None, NEW, apps={"shop": shop}, ansible_check_mode=True)
    assert would[1:] == ["  release:  a new one, the first one"]
    assert ran(OLD, NEW, apps={"shop": shop}, ansible_check_mode=True)[1:] == [f"  release:  a new one, now {OLD}"]


def ended(**variables: Any) -> list[str]:
    """What the report says about the shop's earlier names and inventory."""
    names = {"shop.example.com": ("shop",), "old.test": ("shop",), "_": ("shop",), "blog.test": ("blog",)}
    facts = replace(HOST, nginx=replace(HOST.nginx, names=names), origins={"shop": "staging"})
    lines = run_report.whereabouts(
        load(facts, app="shop", inventory_dir="/x/inventories/live", **variables)
    ).splitlines()
    return [line for line in lines if line.startswith("  it ")]


def test_the_report_says_what_the_deploy_has_ended() -> None:
    owner = "  it is taken over from inventories/staging"
    assert ended() == ["  it no longer answers at names without a site and old.test", owner]
    assert ended(release_purpose="rollback") == [owner]
    everywhere = {"shop": {key: value for key, value in APPS["shop"].items() if key != "domains"}}
    assert ended(apps=everywhere, ansible_check_mode=True) == [
        "  it would no longer answer at old.test and shop.example.com",
        "  it would be taken over from inventories/staging",
    ]


def test_check_mode_reports_what_would_be() -> None:
    would = "shop would be at http://shop.example.com/"
    assert ran(None, OLD, ansible_check_mode=True) == [would, f"  release:  {OLD}, the first one"]
    worker = {"worker": {"source": {"path": "."}, "processes": {"mail": "python mail.py"}}}
    assert run_report.whereabouts(load(apps=worker, ansible_check_mode=True)) == "worker would run mail"
    facts = noted(OLD, OLD, "worker")
    logs = "\n  its logs: ansible-playbook playbooks/logs.yml -e app=worker"
    assert (
        run_report.whereabouts(load(None, apps=worker, ansible_facts=facts))
        == f"worker is unchanged and runs mail{logs}"
    )
    would = run_report.whereabouts(load(None, apps=worker, ansible_facts=facts, ansible_check_mode=True))
    assert would == "worker would stay unchanged and run mail"


def test_the_report_of_a_rollback_names_the_bad_release() -> None:
    went = ran(NEW, OLD, release_purpose="rollback")
    assert went[:2] == [AT, f"  release:  {OLD}, before it {NEW}"]
    assert went[4:] == [
        f"shop {NEW} is now marked bad. deploy.yml refuses it until the app changes, or with -e redeploy=true."
    ]
    assert ran(OLD, OLD, release_purpose="rollback")[3:] == []
    assert ran(NEW, OLD, release_purpose="rollback", ansible_check_mode=True) == [
        "shop would be at http://shop.example.com/",
        f"  release:  {OLD}, now {NEW}",
    ]


@pytest.mark.parametrize(
    ("reached", "address"),
    [
        ({"ansible_connection": "local", "ansible_host": "web1"}, "127.0.0.1"),
        ({"inventory_hostname": "web1"}, "web1"),
        ({"inventory_hostname": "web1", "ansible_host": "192.0.2.7"}, "192.0.2.7"),
        ({"inventory_hostname": "web1", "ansible_host": "2001:db8::7"}, "[2001:db8::7]"),
    ],
)
def test_an_app_without_a_domain_is_where_its_host_is(reached: dict[str, str], address: str) -> None:
    shop = {name: value for name, value in APPS["shop"].items() if name != "domains"}
    assert f"shop is at http://{address}/" in run_report.whereabouts(load(apps={"shop": shop}, **reached))


def test_a_run_fails_for_what_it_could_not_deploy() -> None:
    facts = {"slipway_releases": [{"root": "/srv/blog", "release": "v2-00000002"}]}
    whole = run_report.end(load(), facts, "web1")
    assert not whole["failed"] and whole["msg"] == run_report.whereabouts(load())
    back = {"notes": {"reason": "it raises", "release": None}}
    held = run_report.end(renamed(("notes",)), {**facts, "slipway_held": back}, "web1")
    assert held["failed"]
    assert held["msg"].endswith("activated: blog v2-00000002\nheld back: notes: it has no release yet; it raises")
    bare = run_report.end(load(), {**facts, "slipway_certificates": {"failures": {"shop": "no answer"}}}, "web1")
    assert bare["failed"] and bare["msg"].endswith(run_report.UNCERTIFIED)


def test_the_end_of_a_failed_run_names_the_current_releases() -> None:
    """Those that it was to deploy, and those that were to leave."""
    apps = {**APPS, "old": {"state": "absent"}, "never": {"state": "absent"}}
    here = replace(HOST, apps={"shop": AppFacts(OLD), "old": AppFacts(OLD)})
    now = {"shop": NEW, "old": OLD}
    assert run_report.standing(load(here, apps=apps), now).splitlines() == [
        f"shop: {NEW} is the current release now, before it {OLD}",
        "blog: it has no release yet",
        f"old: {OLD} stays the current release",
    ]
    removal = load(here, apps=apps, app="shop", remove_apps="shop", release_purpose="removal")
    assert run_report.standing(removal, {"shop": OLD}) == f"shop: {OLD} stays the current release"
    unknown = "Which releases are current is unknown: ansible-playbook playbooks/releases.yml lists them."
    assert run_report.standing(load(here), None) == unknown


def test_a_run_fails_for_an_app_that_clients_do_not_reach() -> None:
    fault = {
        "app": "shop",
        "release": "v1-00000001",
        "reason": "another site has its name",
        "hint": "remove it",
        "log": [],
    }
    ended = run_report.end(load(), {"slipway_misled": {"shop": fault}}, "web1")
    assert ended["failed"] and "shop is at" not in ended["msg"] and "blog is at" in ended["msg"]
    assert ended["msg"].endswith(
        "\n\nclients do not reach shop v1-00000001: another site has its name. Hint: remove it"
    )


def test_an_absent_app_that_was_asked_for_is_named() -> None:
    """A run about it alone would end without a word."""
    apps = {**APPS, "old": {"state": "absent"}}
    assert run_report.whereabouts(load(apps=apps, app="old")).startswith("old is off this host")
    assert "old" not in run_report.whereabouts(load(apps=apps))
    assert "off this host" not in run_report.whereabouts(load(apps=apps, app="old", release_purpose="rollback"))
