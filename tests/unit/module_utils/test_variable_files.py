"""Where no `apps` reach a host, the message names what was read and the likely mistake. Two files with one variable are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible._internal._datatag._tags import Origin
from ansible.parsing.dataloader import DataLoader
from ansible_collections.slipway.kit.plugins.module_utils import variable_files
from ansible_collections.slipway.kit.plugins.module_utils.model import schema

from tests.e2e.command import write

APPS = "apps:\n  shop: {module: shop:app, source: {path: ../shop}}\n"
GROUPS = ("all", "web", "db")
Missing = Callable[..., str]


@pytest.fixture
def missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Missing:
    monkeypatch.chdir(tmp_path)

    def message(texts: dict[str, str], raw: dict[str, Any] | None = None, hosts: tuple[str, ...] = ()) -> str:
        write(tmp_path, {"staging/hosts.yml": "web:\n", **texts})
        inventory = tmp_path / "staging"
        files = variable_files.read(DataLoader(), [inventory], ("all", "web"), ["web1"])
        files = variable_files.Read(files.files, GROUPS)
        fault = variable_files.missing(files, [inventory], hosts, raw or {}, "web")
        assert fault.where == "staging" and fault.path == ("apps",)
        return fault.message

    return message


NOTHING = "is missing. Ansible read no file of variables; "
TARGET = "staging/group_vars/web/apps.yml"


def test_no_file_at_all(missing: Missing) -> None:
    assert missing({}) == f"{NOTHING}write at least one app in {TARGET}: its name, its `module` and its `source`"


def test_what_was_read_is_named(missing: Missing) -> None:
    texts = {"staging/group_vars/all.yml": "a: 1\n", "staging/host_vars/web1/b.yml": "b: 2\n"}
    assert missing(texts, hosts=("web1", "web2")) == (
        "is missing for web1, web2. Ansible read staging/group_vars/all.yml, staging/host_vars/web1/b.yml; "
        f"write at least one app in {TARGET}: its name, its `module` and its `source`"
    )
    many = {f"staging/group_vars/web/{number}.yml": "a: 1\n" for number in range(5)}
    assert "staging/group_vars/web/3.yml and 2 more; " in missing({**texts, **many})


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("staging/group_vars/wbe/apps.yml", "the inventory has no group wbe; did you mean web?"),
        ("staging/group_vars/wbe.yml", "the inventory has no group wbe; did you mean web?"),
        ("staging/group_vars/web/apps.yaml.j2", "Ansible reads no file that ends in .j2; let its name end in .yml"),
        ("staging/group_vars/web/apps.yml.txt", "Ansible reads no file that ends in .txt; let its name end in .yml"),
        ("staging/group_vars/web/apps.yml~", "Ansible leaves out hidden files and backups; rename the file"),
        ("staging/groupvars/web/apps.yml", "Ansible reads no folder groupvars; did you mean group_vars?"),
        ("staging/vars/apps.yml", f"Ansible does not look there; move the file to {TARGET}"),
        ("group_vars/web/apps.yml", f"Ansible does not look there; move the file to {TARGET}"),
        ("staging/hosts.yml", f"Ansible reads that file as a list of hosts; move `apps` to {TARGET}"),
        ("staging/apps.yml", f"Ansible reads that file as a list of hosts; move `apps` to {TARGET}"),
        ("staging/group_vars/db.yml", f"no host of the group web is in the group db; move the file to {TARGET}"),
        ("staging/host_vars/wbe1.yml", f"no host of the run is named wbe1; correct the name, or move the file to {TARGET}"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_read(missing: Missing, file: str, reason: str) -> None:
    assert missing({file: f"---\n{APPS}"}) == f"{NOTHING}{file}:2 has `apps`, but {reason}"


def test_a_file_that_a_folder_hides(missing: Missing) -> None:
    texts = {"staging/group_vars/web.yml": APPS, "staging/group_vars/web/other.yml": "a: 1\n"}
    assert missing(texts).endswith(
        "staging/group_vars/web.yml:1 has `apps`, but Ansible reads the folder staging/group_vars/web instead; "
        "move the file into it"
    )


def test_files_that_have_no_apps(missing: Missing) -> None:
    """Neither another program's files nor a longer name."""
    texts = {
        "staging/vars/a.yml": "my_apps: {}\nx: {apps: 1}\n",
        "staging/.git/apps.yml": APPS,
        "staging/code/apps.py": "x = apps\n",
        "staging/more.yml": "all:\n  children:\n    apps:\n      hosts: {web1: {}}\n",
    }
    assert missing(texts).endswith("its `module` and its `source`")


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("aps", {}, "there is `aps` at a.yml:3; did you mean `apps`?"),
        ("Apps", None, "there is `Apps` at a.yml:3; did you mean `apps`?"),
        ("app", {"shop": {}}, "there is `app` at a.yml:3; did you mean `apps`?"),
        ("services", {"shop": {"module": "a:b"}}, "`services` at a.yml:3 looks like your apps; did you mean `apps`?"),
        ("services", [{"module": "a:b"}], "`services` at a.yml:3 looks like your apps; did you mean `apps`?"),
        ("shop", {"module": "a:b"}, "`shop` at a.yml:3 looks like an app: write it below `apps:`"),
        ("slipway", {"apps": {}}, "`slipway` at a.yml:3 contains `apps`: write `apps` at the start of a line, outside of `slipway`"),
        ("app", "shop", None),
        ("web_packages", {"shop": {"name": "x"}}, None),
    ],
)  # fmt: skip
def test_apps_under_another_name(missing: Missing, tmp_path: Path, name: str, value: Any, remedy: str | None) -> None:
    key = Origin(path=str(tmp_path / "a.yml"), line_num=3).tag(name)
    message = missing({}, {key: value})
    assert message == f"{NOTHING}{remedy}" if remedy else "`app" not in message.replace("`apps", "")


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        (
            {"group_vars/web/a.yml": "b: 1\napps: {}\n", "group_vars/web/b.yml": "apps: {}\n"},
            "group_vars/web/b.yml:1:1: apps is also in group_vars/web/a.yml:2:1, and Ansible would use only one of both files "
            "of the group web; write it in one",
        ),
        (
            {"group_vars/all.yml": "apps: {}\n", "group_vars/all/apps.yml": "b: 1\n"},
            "group_vars/all.yml:1:1: apps is not read, since Ansible reads the folder group_vars/all instead; "
            "move the file into it",
        ),
        (
            {"group_vars/all.yml": "vault_apps: {}\n", "group_vars/all.yaml": "vault_apps: {}\n"},
            "group_vars/all.yaml:1:1: vault_apps is not read, since Ansible reads group_vars/all.yml instead; "
            "write all in one file",
        ),
        (
            {"host_vars/web1/a.yml": "nginx_http_port: 1\n", "host_vars/web1/b.yml": "nginx_http_port: 1\n"},
            "host_vars/web1/b.yml:1:1: nginx_http_port is also in host_vars/web1/a.yml:1:1, and Ansible would use only one of "
            "both files of the host web1; write it in one",
        ),
        ({"group_vars/all.yml": "apps: {}\n", "group_vars/web.yml": "apps: {}\n"}, None),
        ({"group_vars/web/a.yml": "mine: 1\n", "group_vars/web/b.yml": "mine: 1\n"}, None),
    ],
)  # fmt: skip
def test_one_variable_in_two_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: dict[str, str], fault: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    loader = DataLoader()
    files = variable_files.read(loader, [write(tmp_path, texts)], GROUPS, ["web1"])
    faults = list(map(str, variable_files.overridden(loader, files, schema.VARIABLES)))
    assert faults == ([] if fault is None else [fault])
