"""What a run says at its end about a host."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import run_report
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import SCHEMA, AppFacts

from ..lookup.test_resolved import APPS, HOST, encrypted, load, renamed


def test_the_report_names_where_clients_are_to_come() -> None:
    report = run_report.whereabouts(encrypted()).splitlines()
    assert report[:2] == ["shop is at https://shop.example.com/", "  try:      curl -i -k https://shop.example.com/"]
    assert "blog is at http://blog.example.com/" in report
    assert "nginx_http3" not in "".join(report)
    www = {**APPS["shop"], "domains": ["www.shop.test", "shop.test"], "primary": "shop.test", "tls": "acme"}
    report = run_report.whereabouts(load(apps={"shop": www}, nginx_https_port=8443)).splitlines()
    assert report[:2] == ["shop is at https://shop.test:8443/", "  try:      curl -i https://shop.test:8443/"]


def test_the_report_says_that_a_host_s_nginx_has_no_http_3() -> None:
    assert "nginx_http3 has no effect here" in run_report.whereabouts(encrypted(nginx_http3=True))
    able = replace(HOST, nginx=replace(HOST.nginx, http3=True))
    assert "nginx_http3" not in run_report.whereabouts(encrypted(able, nginx_http3=True))
    assert "nginx_http3" not in run_report.whereabouts(load(nginx_http3=True))


def ran(before: str | None, after: str, **variables: Any) -> list[str]:
    """The report of a run about the shop, with the releases before and after it."""
    facts = {"schema": SCHEMA, **dataclasses.asdict(replace(HOST, apps={"shop": AppFacts(before)}))}
    root = {"root": "/srv/shop", "release": after}
    ansible_facts = {"slipway": facts, "slipway_releases": [root]}
    report: str = run_report.whereabouts(load(None, app="shop", ansible_facts=ansible_facts, **variables))
    return report.splitlines()


def test_the_report_offers_the_next_deploy_only_after_a_change() -> None:
    unchanged = ran("v1-00000001", "v1-00000001")
    assert unchanged == [
        "shop is at http://shop.example.com/",
        "  try:      curl -i http://shop.example.com/",
        "  its logs: ansible-playbook playbooks/logs.yml -e app=shop",
    ]
    assert ran("v1-00000001", "v2-00000002")[:-1] == unchanged
    assert ran("v1-00000001", "v2-00000002")[-1].startswith("Change the app and deploy again")
    assert ran(None, "v1-00000001")[-1].startswith("Change the app and deploy again")


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
    assert ran(None, "v1-00000001", ansible_check_mode=True) == ["shop would be at http://shop.example.com/"]
    worker = {"worker": {"source": {"path": "."}, "processes": {"mail": "python mail.py"}}}
    assert run_report.whereabouts(load(apps=worker, ansible_check_mode=True)) == "worker would run mail"
    assert run_report.whereabouts(load(apps=worker)).startswith("worker runs mail\n  its logs: ansible-playbook ")


def test_the_report_of_a_rollback_names_the_bad_release() -> None:
    assert ran("v2-00000002", "v1-00000001", release_purpose="rollback")[3:] == [
        "shop v2-00000002 is now marked bad. deploy.yml refuses it until the app changes, or with -e redeploy=true."
    ]
    assert ran("v1-00000001", "v1-00000001", release_purpose="rollback")[3:] == []
    assert ran("v2-00000002", "v1-00000001", release_purpose="rollback", ansible_check_mode=True) == [
        "shop would be at http://shop.example.com/"
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


def test_an_absent_app_that_was_asked_for_is_named() -> None:
    """A run about it alone would end without a word."""
    apps = {**APPS, "old": {"state": "absent"}}
    assert run_report.whereabouts(load(apps=apps, app="old")).startswith("old is off this host")
    assert "old" not in run_report.whereabouts(load(apps=apps))
    assert "off this host" not in run_report.whereabouts(load(apps=apps, app="old", release_purpose="rollback"))
