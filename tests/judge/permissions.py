"""The permissions of the app's processes and of other users on the host."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
from pathlib import Path

import pytest

from tests.judge.host import (
    API_KEY,
    APPS,
    CONNECT,
    EXPOSURE,
    LIST,
    QUIET,
    READ,
    Instance,
    as_user,
    ask,
    one_instance,
    processes,
    run,
)

OF_ROOT = ("/log.py", "\0--keep\0")
"""What the commands of the log's reader and of the socket's keeper contain, which run as root."""


def test_processes_run_as_the_apps_user() -> None:
    for app in QUIET:
        instance, uid = Instance(app), str(pwd.getpwnam(app).pw_uid)
        pids = {instance.master(), *instance.workers()}
        for status in processes(app):
            assert status["Uid"].split() == [uid] * 4
            assert status["NoNewPrivs"] == "1"
            assert {int(status[key], 16) for key in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
            assert status["Umask"] == "0027"
            # By its unit, or by supervisord's.
            assert status["Seccomp"] == ("2" if os.path.isdir("/run/systemd/system") else "0")
        assert pids <= {int(status["Pid"]) for status in processes(app)}, app
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                command = Path(path).read_text()
                if f"/srv/{app}/releases/" in command and not any(word in command for word in OF_ROOT):
                    assert os.stat(path).st_uid == int(uid), path


def test_sockets_are_for_nginx_alone() -> None:
    for app in QUIET:
        path = f"/srv/{app}/current/run/app.sock"
        assert as_user("www-data", CONNECT, path) == "connected", app
        assert as_user("nobody", CONNECT, path) == "PermissionError", app
        for other in APPS:
            if other != app:
                assert as_user(other, CONNECT, path) == "PermissionError", (app, other)


def test_secrets_and_data_are_for_the_app_alone() -> None:
    for app in ("shop", "outlet"):
        instance = Instance(app)
        path = instance.current / "environment.json"
        status = path.stat()
        assert (oct(status.st_mode & 511), status.st_uid, path.group()) == ("0o640", 0, app)
        for user in ("nobody", "www-data", "probe"):
            assert as_user(user, READ, str(path)) == "PermissionError", user
            assert as_user(user, LIST, f"/srv/{app}/shared") == "PermissionError", user
            assert as_user(user, READ, f"/srv/{app}/current/log") == "PermissionError", user
        assert as_user(app, READ, str(path)) == "read"
        assert as_user(app, READ, f"/srv/{app}/current/log") == "read"
        for unit in glob.glob(f"/etc/systemd/system/slipway-{app}-*") + glob.glob("/etc/slipway/supervisor.d/*"):
            assert API_KEY not in Path(unit).read_text()


def test_nginx_is_in_no_apps_group() -> None:
    groups = os.getgrouplist("www-data", pwd.getpwnam("www-data").pw_gid)
    assert [app for app in APPS if pwd.getpwnam(app).pw_gid in groups] == []


def test_an_app_writes_its_own_folder_alone() -> None:
    instance = Instance("probe")
    release = str(instance.current.resolve())
    for where in ("/srv/probe", release, f"{release}/code", f"{release}/venv/bin", "/etc", "/srv/shop/shared", "/"):
        assert ask("probe", f"/write?where={where}").json in ("Permission denied", "Read-only file system"), where
    # No other user reads what it writes.
    assert ask("probe", "/write?where=/srv/probe/shared").json == "0o640"
    assert ask("probe", "/write?where=/tmp").json == "0o640"
    assert Path("/tmp/written-by-the-probe").exists() == (not instance.systemd), "whose /tmp?"


def test_what_systemd_thinks_of_the_unit() -> None:
    instance = Instance("probe")
    if not instance.systemd:
        pytest.skip("supervisor offers no sandbox")
    report = run("systemd-analyze", "security", "--no-pager", instance.unit)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure, report
    print(f"exposure of the unit: {exposure[1]}")
    assert float(exposure[1]) <= EXPOSURE


def test_every_app_has_one_instance_and_it_is_the_current_one() -> None:
    for app in APPS:
        one_instance(Instance(app))
