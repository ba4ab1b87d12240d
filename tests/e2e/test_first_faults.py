"""What a run can know on the controller ends it before any host is asked: places to write to, and hosts that are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import play, write
from tests.e2e.test_bad_input import APP, refused, shop

__all__ = ["shop"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none/page.html", "cannot be written: {folder}/none does not exist; create it, or name another file"),
        ("file/page.html", "cannot be written: {folder}/file is no folder; create it, or name another file"),
        ("inventory", "is a folder; name a file in it"),
    ],
)
def test_a_report_that_cannot_be_written(tmp_path: Path, shop: Path, name: str, why: str) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    (tmp_path / "file").touch()
    run = play(inventory, "-e", f"report=html report_file={name}", playbook="playbooks/status.yml")
    assert refused(run) == [f"-e: report_file is {name}, which {why.format(folder=tmp_path)}"]


def test_the_default_report_that_cannot_be_written(tmp_path: Path, shop: Path) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    (tmp_path / "status.html").mkdir()
    run = play(inventory, "-e", "report=html", playbook="playbooks/status.yml")
    assert refused(run) == ["-e: report_file is status.html, which is a folder; name a file in it"]


def test_rendered_files_that_cannot_be_written(tmp_path: Path, shop: Path) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    (tmp_path / "file").touch()
    run = play(inventory, "-e", "build=file", playbook="playbooks/render.yml")
    assert run.status == 2 and "Traceback" not in run.out + run.err
    assert (
        f"the files cannot be written to {tmp_path}/file/inventory/web1: Not a directory; name another folder by "
        "-e build=FOLDER" in run.out
    )


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_what_the_controller_can_judge(tmp_path: Path, shop: Path, check: tuple[str, ...]) -> None:
    more = "    static: {/static/: none}\n    timers: {clean: {command: [clean], schedule: Mno *-*-* 04:00}}\n"
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP + more})
    file = "inventory/group_vars/web/apps.yml"
    assert refused(play(inventory, *check)) == [
        f"{file}:7:40: apps.shop.timers.clean.schedule is 'Mno *-*-* 04:00'; has 'Mno', which systemd reads neither as "
        "weekdays nor as a date or a time",
    ]
    write(inventory, {"group_vars/web/apps.yml": APP + more.replace("Mno", "Mon")})
    assert refused(play(inventory, *check)) == [
        f"{file}:6:14: apps.shop.static./static/ is 'none', which the source does not have; correct it, or have `build` make it",
    ]


PLAYBOOKS = ("site.yml", "playbooks/remove.yml", "playbooks/render.yml")


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_an_inventory_without_hosts_fails(tmp_path: Path, playbook: str) -> None:
    inventory = write(tmp_path / "inventory", {"hosts.yml": "web: {}\n", "group_vars/web/apps.yml": APP})
    run = play(inventory, "-e", "app=shop", playbook=playbook)
    assert run.status == 2, run
    assert run.lines == ["The inventory has no host in the group web; write your hosts there (its groups: web)."]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_limit_that_leaves_no_host_of_the_group_fails(tmp_path: Path, playbook: str) -> None:
    hosts = "web:\n  hosts: {web1: {ansible_host: 192.0.2.1}}\ndb:\n  hosts: {db1: {ansible_host: 192.0.2.2}}\n"
    inventory = write(tmp_path / "inventory", {"hosts.yml": hosts, "group_vars/all/apps.yml": APP})
    run = play(inventory, "-e", "app=shop", "--limit", "db1", playbook=playbook)
    assert run.status == 2, run
    assert run.lines == ["--limit db1 leaves no host of the group web; its hosts: web1. No host was touched."]


def test_a_limit_without_any_match_fails(tmp_path: Path) -> None:
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP}), "--limit", "wbe1")
    assert run.status == 1 and not run.touched
    assert "--limit leaves us with no hosts to target" in run.out + run.err


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({}, ("-e", "@none.yml"), "none.yml: the file {folder}/none.yml does not exist; correct its path."),
        (
            {"hosts.yml": "web:\n  hosts: [web1]\n"},
            (),
            "inventory/hosts.yml:2:3: `hosts` of the group web is a list, and must be a mapping; write each line without its "
            "hyphen, such as `web1:`.",
        ),
        ({}, ("-i", "inventry"), "the inventory {folder}/inventry does not exist; did you mean inventory?"),
    ],
    ids=["variables", "hosts", "inventory"],
)
def test_what_ansible_cannot_read_is_one_sentence(
    tmp_path: Path, files: dict[str, str], options: tuple[str, ...], message: str
) -> None:
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP, **files}), *options)
    assert run.status == 1 and not run.touched and run.out == ""
    (line,) = run.err.splitlines()
    assert line.startswith("[ERROR]: ") and line.endswith(f"{message.format(folder=tmp_path)} No host was touched.")
