"""What concerns several hosts, environments or apps is found before any host is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.command import play, write
from tests.e2e.test_bad_input import APP, refused, shop

__all__ = ["shop"]

TWO = """\
apps:
  shop:
    module: shop:app
    source: {path: ../shop}
    domains: [shop.example.com]
    tls: acme
    processes:
      beat: {command: celery beat, overlap: false}
      worker: celery worker
"""


@pytest.mark.usefixtures("shop")
def test_two_environments_in_one_run(tmp_path: Path) -> None:
    inventory = write(tmp_path / "production", {"group_vars/web/apps.yml": APP})
    write(tmp_path / "staging", {"group_vars/web/apps.yml": APP})
    run = play(inventory, "-i", "staging/hosts.yml")
    assert run.status == 2 and not run.touched
    assert run.lines == [
        "production and staging/hosts.yml both have variables of the group web, and the last ones would be used on all hosts; no "
        "host was touched. Run one environment at a time."
    ]
    shutil.rmtree(tmp_path / "staging/group_vars")
    assert play(inventory, "-i", "staging/hosts.yml").touched


@pytest.mark.usefixtures("shop")
def test_what_does_not_do_on_several_hosts(tmp_path: Path) -> None:
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": TWO}))
    warnings = " ".join(run.err.split())
    assert "apps.shop.tls is acme, and shop.example.com is on 2 hosts. The authority asks one of them" in warnings
    assert "apps.shop.processes.beat has `overlap: false`, and 2 hosts run it" in warnings
    assert "worker" not in warnings
    assert run.touched
    run = play(write(tmp_path / "inventory", {"group_vars/web/apps.yml": TWO}), "--limit", "web1")
    assert "on 2 hosts" not in run.err and "2 hosts run" not in run.err


@pytest.mark.usefixtures("shop")
def test_one_vault_for_apps_of_different_hosts(tmp_path: Path) -> None:
    vault = "vault_apps:\n  shop: {secrets: {KEY: abcdefgh}}\n  blog: {secrets: {KEY: abcdefgh}}\n"
    files = {
        "group_vars/web/vault.yml": vault,
        "host_vars/web1.yml": APP,
        "host_vars/web2.yml": APP.replace("shop:\n", "blog:\n").replace("shop.example", "blog.example"),
    }
    assert play(write(tmp_path / "inventory", files)).touched
    files["group_vars/web/vault.yml"] = vault.replace("  blog:", "  blgo:")
    assert refused(play(write(tmp_path / "inventory", files))) == [
        "inventory/group_vars/web/vault.yml:3:3: vault_apps.blgo has no app of that name in `apps`; there are: shop",
        "inventory/group_vars/web/vault.yml:3:3: vault_apps.blgo has no app of that name in `apps`; did you mean blog?",
    ]


@pytest.mark.usefixtures("shop")
def test_a_hook_s_file_that_does_not_exist(tmp_path: Path) -> None:
    text = f"{APP}    hooks:\n      on_failure: {{tasks: hooks/alert.yml}}\n"
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": text})
    assert refused(play(inventory)) == [
        "inventory/group_vars/web/apps.yml:7:20: apps.shop.hooks.on_failure.tasks is hooks/alert.yml, which does not exist "
        f"({inventory}/hooks/alert.yml); correct it"
    ]
    write(inventory, {"hooks/alert.yml": "[]\n"})
    assert play(inventory).touched


@pytest.mark.usefixtures("shop")
def test_a_slip_of_app(tmp_path: Path) -> None:
    inventory = write(tmp_path / "inventory", {"group_vars/web/apps.yml": APP})
    for name in ("aap", "App"):
        assert refused(play(inventory, "-e", f"{name}=shop")) == [
            f"-e: {name} is not a variable of Slipway; did you mean app?"
        ]
    assert refused(play(inventory, "-e", "app: shop")) == [
        "-e: app: shop sets no variable; write name=value, such as app=shop"
    ]
    assert refused(play(inventory, "-e", "app=")) == ["-e: app names no app; leave it out for all apps"]
    assert play(inventory, "-e", "api=v2").touched


@pytest.mark.usefixtures("shop")
def test_a_key_of_an_app_beside_the_apps(tmp_path: Path) -> None:
    files = {"group_vars/web/apps.yml": APP, "group_vars/web/slipway.yml": "---\nworkers: 4\n"}
    run = play(write(tmp_path / "inventory", files))
    message = "workers has no effect: workers is a key of an app; write it into the app's entry in `apps`"
    assert f"inventory/group_vars/web/slipway.yml:2:1: {message}" in " ".join(run.err.split())
    files["group_vars/web/apps.yml"] = f'{APP}    workers: "{{{{ workers }}}}"\n'
    assert "no effect" not in play(write(tmp_path / "inventory", files)).err
