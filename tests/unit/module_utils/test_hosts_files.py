"""Hosts and variables that cannot be read are one sentence each."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import hosts_files


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "web:\n  hosts: [web1]\n",
            "hosts.yml:2:3: `hosts` of the group web is a list, and must be a mapping; write each line without its hyphen, such "
            "as `web1:`",
        ),
        (
            "all:\n  children:\n    web:\n      children:\n        - db\n",
            "hosts.yml:4:7: `children` of the group web is a list, and must be a mapping; write each line without its hyphen, "
            "such as `web:`",
        ),
        (
            "web:\n  vars: [a]\n",
            "hosts.yml:2:3: `vars` of the group web is a list, and must be a mapping; write each line without its hyphen, such "
            "as `ansible_user: deploy`",
        ),
        ("web: [web1]\n", "hosts.yml:1:6: the group web must be a mapping; write `hosts:` below it, and each host as `web1:`"),
        ("- web1\n", "hosts.yml must be a mapping of groups; write `web:` and below it `hosts:`"),
    ],
)  # fmt: skip
def test_hosts_of_a_wrong_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts.yml").write_text(text)
    assert list(hosts_files.faults(str(tmp_path / "hosts.yml"))) == [message]


def test_yaml_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hosts.yml").write_text("web:\n  hosts: {\n")
    (fault,) = hosts_files.faults(str(tmp_path / "hosts.yml"))
    assert fault.startswith("hosts.yml:3:1: YAML parsing failed")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts.yml", "web:\n  hosts:\n    web1: {ansible_host: 192.0.2.1}\n  vars: {a: [1]}\ndb:\n"),
        ("hosts.yml", "web: {hosts: web1}\n"),
        ("hosts.yml", "plugin: constructed\ngroups: []\n"),
        ("hosts.yml", "# hosts\n[web]\nweb1 ansible_host=192.0.2.1\n"),
        ("hosts.yml", "$ANSIBLE_VAULT;1.1;AES256\n3030\n"),
        ("hosts.yml", ""),
        ("hosts", "[web]\nweb1\n"),
        ("hosts.sh", "#!/bin/sh\n"),
    ],
)
def test_hosts_that_other_plugins_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert not list(hosts_files.faults(str(tmp_path / name)))


def test_an_inventory_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "production").mkdir()
    path = tmp_path / "prodution"
    assert list(hosts_files.faults(str(path))) == [f"the inventory {path} does not exist; did you mean production?"]
    assert list(hosts_files.faults(f"{path}/none/none")) == [
        f"the inventory {path}/none/none does not exist; correct `-i`"
    ]
    assert not list(hosts_files.faults("web1,web2"))


def test_files_of_variables_that_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.yml").write_text("a: 1\n")
    options = ["app=shop", "@here.yml", "@none.yml", "{}"]
    assert list(hosts_files.missing_variables(options)) == [
        f"-e @none.yml: the file {tmp_path}/none.yml does not exist; correct its path"
    ]
