"""The kit's sets of files: every one resolves, and every one is placed by a role or an action."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import file_sets
from ansible_collections.slipway.kit.plugins.module_utils.contract import names
from ansible_collections.slipway.kit.plugins.module_utils.contract.facts import ListenFacts
from ansible_collections.slipway.kit.plugins.module_utils.inventory import Inventory
from ansible_collections.slipway.kit.plugins.module_utils.model import artefacts
from ansible_collections.slipway.kit.plugins.module_utils.model.types import ModelError

from tests.unit.lookup.test_resolved import APPS, HOST, load

ROOT = Path(__file__).parents[3]


def test_every_set_resolves() -> None:
    known = replace(load(), access={"ports": [22], "key": True})
    for name in file_sets.SETS:
        resolved = file_sets.resolved(known, [name])
        assert resolved["files"], name
        assert all(isinstance(word, str) for command in (resolved["validate"], *resolved["apply"]) for word in command)


def test_sets_placed_together_have_one_test() -> None:
    together = file_sets.resolved(load(), ["authorities", "systemd"])
    assert together["apply"] == [["systemctl", "daemon-reload"]]
    assert not together["validate"]
    assert together["files"][0]["dest"] == names.CA_FILE
    with pytest.raises(ModelError, match="nginx and ssh cannot be placed together"):
        file_sets.resolved(replace(load(), access={"ports": [22], "key": True}), ["nginx", "ssh"])


def rules(inventory: Inventory) -> dict[str, str]:
    """sudo's files, with their state after the run."""
    entries = file_sets.resolved(inventory, ["commands"])["files"]
    return {one["dest"]: one.get("state", "file") for one in entries if one["dest"].startswith(names.SUDOERS)}


def test_sudo_has_a_file_for_each_app_and_keeps_those_of_other_inventories() -> None:
    """An older kit had one file with the rules of all apps: those of another inventory on the host stay."""
    apps = {"shop": {**APPS["shop"]}, "wiki": {"state": "absent"}}
    facts = replace(HOST, tools={**HOST.tools, "sudo": True}, ruled=("blog", "shop", "wiki"))
    known = load(facts, apps=apps)
    shop, blog, wiki = (f"{names.SUDOERS}-{name}" for name in ("shop", "blog", "wiki"))
    assert rules(known) == {shop: "file", blog: "file", wiki: "absent", names.SUDOERS: "absent"}
    assert file_sets.resolved(known, ["commands"])["validate"][-2:] == [blog, shop]
    assert rules(load(replace(facts, tools={}), apps=apps)) == dict.fromkeys(
        (shop, blog, wiki, names.SUDOERS), "absent"
    )
    assert names.sudoers("blog") not in rules(load(replace(facts, ruled=()), apps=apps))


def test_the_test_of_sudo_s_rules_fails_where_one_of_them_is_wrong(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("0")
    bad.write_text("3")
    program = tmp_path / "visudo"
    program.write_text('#!/bin/sh\nexit "$(cat "$4")"\n')
    program.chmod(0o755)
    for files, status in (((good, good), 0), ((bad, good), 3), ((good, bad), 3)):
        entries = [{"src": "sudo/slipway.j2", "dest": str(file)} for file in files]
        assert subprocess.run(artefacts.sudo_test(entries, str(program)), check=False).returncode == status
    assert artefacts.sudo_test([{"dest": str(good), "state": "absent"}], str(program)) == []


def test_the_authorities_of_another_inventory_s_package_index_stay(tmp_path: Path) -> None:
    theirs = replace(HOST, origins={"news": "production"}, live=("news",))
    theirs = replace(theirs, applied={"production": {"package_ca_file": '"a file"'}})
    assert file_sets.resolved(load(theirs), ["authorities"])["files"] == []
    [written] = file_sets.resolved(load(replace(theirs, live=())), ["authorities"])["files"]
    assert written["dest"] == names.CA_FILE
    (tmp_path / "ca.pem").write_text("x")
    known = load(theirs, package_ca_file=str(tmp_path / "ca.pem"))
    assert "package_ca_file is" in known.differing and known.shared["package_ca_file"] in known.differing
    assert load(HOST, package_ca_file=str(tmp_path / "none.pem")).shared["package_ca_file"] == ""


def test_the_firewall_keeps_open_what_nginx_listens_on_now() -> None:
    """Also for the apps of this inventory, whose next deploy takes another port."""
    listening = {site: (ListenFacts(port, tls=False, quic=False),) for site, port in (("/a", 80), ("/b", 8080))}
    nginx = replace(HOST.nginx, sites={"/a": ("shop",), "/b": ("news",)}, listening=listening)
    known = replace(load(replace(HOST, nginx=nginx), nginx_http_port=8081), access={"ports": [22], "key": True})
    [rules] = [one for one in file_sets.resolved(known, ["firewall"])["files"] if one["dest"] == names.FIREWALL]
    assert rules["vars"]["firewall"]["ports"] == [22, 80, 8080, 8081]


def test_an_unknown_set_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ModelError, match="there is no set of files site; did you mean sites"):
        file_sets.resolved(load(), ["site"])


def test_every_set_is_placed() -> None:
    tasks = "".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("roles/*/tasks/*.yml")))
    placed = {name for names in re.findall(r"sets: \[([^\]]+)\]", tasks) for name in names.split(", ")}
    assert placed | {"sites"} == set(file_sets.SETS)  # the actions `release` and `activate` place the sites
