"""Hosts that do not answer: a playbook that looks shows the others, and one that changes hosts says how to continue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.command import play, write

FILES = {
    "hosts.yml": "web: {hosts: {web1: {ansible_host: 192.0.2.1}, web2: {ansible_host: 192.0.2.2, ansible_port: 2222, ansible_user: deploy}}}\n",
    "group_vars/web/apps.yml": "apps: {shop: {module: 'shop:app', source: {path: ../shop}, domains: [shop.example.com]}}\n",
}
FORMS = {
    "certificates.yml": ("list", ()),
    "logs.yml": ("list", ("-e", "app=shop")),
    "releases.yml": ("list", ()),
    "run.yml": ("rows", ("-e", "app=shop", "-e", "command=ls", "-e", "on_hosts=all")),
}
"""The playbooks that read each host alone, with what their JSON is and their options."""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/shop.py").write_text("def app(environ, start_response): ...\n")
    return write(tmp_path / "inventory", FILES)


@pytest.mark.parametrize("playbook", FORMS)
def test_a_silent_host_is_named_and_ends_no_look_at_the_others(inventory: Path, playbook: str) -> None:
    run = play(inventory, *FORMS[playbook][1], playbook=f"playbooks/{playbook}")
    assert run.touched and run.status == 2, run
    assert "the run ended" not in run.out and "UNREACHABLE" not in run.out
    for host in ("web1", "web2"):
        line = next(
            line for line in run.lines if line.strip(" !").replace(":", "").startswith(f"{host} does not answer")
        )
        address = {"web1": "192.0.2.1", "web2": "-p 2222 deploy@192.0.2.2"}[host]
        assert playbook == "run.yml" or (line.startswith("! ") and line.endswith(f". Next: ssh {address}"))


@pytest.mark.parametrize("playbook", FORMS)
def test_json_stays_whole_beside_a_silent_host(inventory: Path, playbook: str) -> None:
    form, options = FORMS[playbook]
    run = play(inventory, *options, "-e", "format=json", playbook=f"playbooks/{playbook}")
    assert run.status == 2, run
    rows = json.loads(run.out)
    if form == "list":
        assert rows == [] and "web1: does not answer" in run.err and "web2: does not answer" in run.err
    else:
        assert [(row["host"], row["status"]) for row in rows] == [("web1", None), ("web2", None)]
        assert all("does not answer" in row["error"] for row in rows)


def test_one_host_for_a_command_says_how_to_choose_another_one(inventory: Path) -> None:
    run = play(inventory, "-e", "app=shop", "-e", "command=ls", playbook="playbooks/run.yml")
    assert run.status == 2 and "Choose another host with --limit 'all:!web1'" in run.out
    assert "the run ended" not in run.out


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_silent_host_is_named_before_the_logs_are_followed(inventory: Path, form: str) -> None:
    run = play(inventory, "-e", f"app=shop follow=true time_limit=1s format={form}", playbook="playbooks/logs.yml")
    assert run.status == 2, run
    lines = run.lines if form == "table" else run.err.splitlines()
    assert len([line for line in lines if line.startswith("! web") and "does not answer" in line]) == 2
    assert form == "table" or not run.out.strip()
