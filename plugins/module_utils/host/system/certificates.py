"""The certificates of a host: places the program that keeps them, its settings and its timer, and runs it.

The program (module_utils/programs/certificates) does the work, so that a deploy and the timer do the same. It takes the host's
lock itself while it changes a certificate.
"""

from __future__ import annotations

import contextlib
import glob
import grp
import hashlib
import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ..base import atomic, locks

PYTHON = "/usr/bin/python3"
RUN = (PYTHON, "-I", names.CERTIFICATES, names.CERTIFICATES_SETTINGS)
DEADLINES = {"prepare": 600.0, "obtain": 3000.0, "renew": 3000.0, "remove": 600.0, "status": 120.0}
"""Seconds for a command of the program."""
ANSWER = 4 << 20
COMMAND = 60.0
UNITS = "/etc/systemd/system"
TIMER = "slipway-certificates"
CRON = f"/etc/cron.d/{TIMER}"
COMMENT = "# Managed by Slipway: changes here are overwritten."
SERVICE_TEXT = f"""\
{COMMENT}
[Unit]
Description=Slipway: renew the certificates that are due
After=network-online.target nginx.service
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={" ".join(RUN)} renew
TimeoutStartSec=2h
Nice=10
"""
TIMER_TEXT = f"""\
{COMMENT}
[Unit]
Description=Slipway: look twice a day which certificates are due

[Timer]
OnCalendar=*-*-* 00,12:00:00
RandomizedDelaySec=11h
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass
class Wanted:
    """What the host is to have. Without sites, nothing of it."""

    program: Mapping[str, str]
    """The program's files."""
    settings: Mapping[str, Any]
    authority: str = ""
    """The certificates that certbot trusts for a private directory."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """The files that only certbot's user reads, by name."""
    keep: Sequence[str] = ()
    """The sites of other inventories of the host."""

    @property
    def sites(self) -> list[Mapping[str, Any]]:
        """The sites with a certificate."""
        sites: list[Mapping[str, Any]] = self.settings["sites"]
        return sites

    @property
    def asks(self) -> bool:
        """Whether an authority is asked for one of them."""
        return any(site["source"] == "acme" for site in self.sites)


def sites(root: str = "/") -> list[str]:
    """The sites that have a certificate on the host, whether or not the inventory knows them."""
    return atomic.directories(os.path.join(root, names.TLS.lstrip("/")))


def prepare(wanted: Wanted, provided: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Give every site a certificate that nginx can read.

    Raises:
        HostError: the program could not be placed, or a provided certificate does not fit.
    """
    changed = place(wanted)
    names_of = [site["name"] for site in wanted.sites]
    rows = _run("prepare", *names_of, stdin=json.dumps(provided).encode()) if names_of else []
    failed = [f"{row['site']}: {row['failure']}" for row in rows if row["failure"]]
    if failed:
        raise HostError("; ".join(failed))
    return _result(rows, changed, [row["site"] for row in rows if row["missing"]])


def finish(wanted: Wanted, missing: Sequence[str]) -> dict[str, Any]:
    """Complete the certificates that are not, and remove what no site needs. A failure is a row of the result."""
    changed = place(wanted)
    rows = _run("obtain", *missing) if missing else []
    rows += _run("remove")
    if not wanted.sites and not wanted.keep:
        changed = _remove_all() or changed
    return _result(rows, changed, [row["site"] for row in rows if row["failure"]])


def renew(now: bool) -> dict[str, Any]:
    """Renew the certificates that are due, or all; list them."""
    rows = _run("renew", *(["--now"] if now else [])) if os.path.exists(names.CERTIFICATES_SETTINGS) else []
    return _result(rows, False, [row["site"] for row in rows if row["failure"]])


def status() -> list[dict[str, Any]]:
    """List the certificates."""
    return _run("status") if os.path.exists(names.CERTIFICATES_SETTINGS) else []


def _result(rows: Sequence[Mapping[str, Any]], changed: bool, missing: Sequence[str]) -> dict[str, Any]:
    keys = ("site", "changed", "failure", "remark")
    return {
        "changed": changed or any(row["changed"] for row in rows),
        "sites": [{key: row[key] for key in keys} for row in rows],
        "missing": list(missing),
    }


def is_placed(wanted: Wanted) -> bool:
    """Whether the host has these settings, and a certificate for every site: what check mode can tell."""
    settings = merged(wanted, atomic.read_json(names.CERTIFICATES_SETTINGS) or {})
    return _is(names.CERTIFICATES_SETTINGS, _text(settings)) and not {site["name"] for site in wanted.sites} - set(
        sites()
    )


def place(wanted: Wanted) -> bool:
    """Write the program, its settings and its timer; say whether anything changed."""
    locks.prepare(names.LOCK)
    os.makedirs(names.ETC, 0o755, exist_ok=True)
    os.makedirs(names.TLS, 0o755, exist_ok=True)
    changed = False
    for path, text in wanted.program.items():
        place_ = os.path.join(names.CERTIFICATES, path)
        os.makedirs(os.path.dirname(place_), 0o755, exist_ok=True)
        changed = _write(place_, text.encode()) or changed
    for path in glob.glob(f"{names.CERTIFICATES}/*/*.py"):
        if os.path.relpath(path, names.CERTIFICATES) not in wanted.program:
            changed = atomic.remove_file(path) or changed
    if wanted.asks:
        changed = _place_authority(wanted) or changed
    settings = merged(wanted, atomic.read_json(names.CERTIFICATES_SETTINGS) or {})
    changed = _write(names.CERTIFICATES_SETTINGS, _text(settings)) or changed
    return _place_timer(any(site["source"] == "acme" for site in settings["sites"])) or changed


def merged(wanted: Wanted, before: Mapping[str, Any]) -> dict[str, Any]:
    """The program's settings, with the sites of other inventories from the settings before.

    What the program has only once is this inventory's where it needs it, and stays where only others do. The controller has refused
    to change it for others.

    Raises:
        HostError: certbot would need DNS plugins of two inventories.
    """
    settings, mine = dict(wanted.settings), {site["name"] for site in wanted.sites}
    others = [site for site in before.get("sites", ()) if site["name"] in wanted.keep and site["name"] not in mine]
    plugins, theirs = ({one["dns"] for one in several if one.get("dns")} for several in (wanted.sites, others))
    if plugins - theirs and theirs - plugins:
        raise HostError(
            f"Certificates of other inventories of this host need the DNS plugin {', '.join(sorted(theirs))}, and those of this one "
            f"{', '.join(sorted(plugins))}. A host has one certbot, with the plugins of one inventory. Use the same plugin in both, or "
            "write these apps into one inventory"
        )
    asking = any(site["source"] == "acme" for site in others)
    stays = [*(("authority",) if asking and not wanted.asks else ()), *(("https_port",) if others and not mine else ())]
    if asking and (not wanted.asks or theirs - plugins):
        stays.append("certbot")
    sites_of = sorted([*wanted.sites, *others], key=lambda site: str(site["name"])) if others else list(wanted.sites)
    lost = sorted({*wanted.keep} - {str(site["name"]) for site in sites_of})
    return {**settings, **{key: before[key] for key in stays}, "sites": sites_of, "kept": lost}


def _text(settings: Mapping[str, Any]) -> bytes:
    return (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode()


def _place_authority(wanted: Wanted) -> bool:
    """Create certbot's user and its folders; in the user's own folder root writes nothing."""
    user, changed = _user()
    root_only = ((names.ACME, 0o755, 0), (names.ACME_WEBROOT, 0o755, 0), (names.ACME_SECRETS, 0o750, user.pw_gid))
    for path, mode, group in (*root_only, (f"{names.ACME_WEBROOT}/.well-known", 0o755, 0)):
        _folder(path, mode, 0, group)
    _folder(f"{names.ACME}/certbot", 0o700, user.pw_uid, user.pw_gid)
    _folder(f"{names.ACME_WEBROOT}/.well-known/acme-challenge", 0o755, user.pw_uid, user.pw_gid)
    if wanted.authority:
        changed = _write(names.ACME_CA, wanted.authority.encode()) or changed
    else:
        changed = atomic.remove_file(names.ACME_CA) or changed
    for name in sorted(os.listdir(names.ACME_SECRETS)):
        if name not in wanted.secrets and name.partition(".credentials")[0] not in wanted.keep:
            changed = atomic.remove_file(os.path.join(names.ACME_SECRETS, name)) or changed
    for name, text in wanted.secrets.items():
        path = os.path.join(names.ACME_SECRETS, name)
        changed = _write(path, text.encode(), 0o400, (user.pw_uid, user.pw_gid)) or changed
    return changed


def _folder(path: str, mode: int, user: int, group: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, user, group)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _user() -> tuple[pwd.struct_passwd, bool]:
    """certbot's user, and whether it is new.

    Raises:
        HostError: another program uses that name.
    """
    try:
        user = pwd.getpwnam(names.ACME_USER)
    except KeyError:
        options = [
            "--system",
            "--user-group",
            f"--home-dir={names.ACME}",
            "--no-create-home",
            "--shell=/usr/sbin/nologin",
        ]
        _command("useradd", *options, names.ACME_USER)
        return pwd.getpwnam(names.ACME_USER), True
    if user.pw_uid == 0 or user.pw_dir != names.ACME:
        raise HostError(
            f"this host has a user {names.ACME_USER} that Slipway did not create; rename it, since certbot needs that name"
        )
    return user, False


def _place_timer(needed: bool) -> bool:
    """Let the host look for due certificates twice a day; or let it no more."""
    if os.path.isdir(names.SYSTEMD):
        return _place_units(needed)
    if not needed:
        return atomic.remove_file(CRON)
    # The same minute every day, and another one on every host.
    number = int(hashlib.sha256(atomic.read("/etc/machine-id") or os.uname().nodename.encode()).hexdigest(), 16)
    minute, hour = number % 60, number // 60 % 12
    line = f"{minute} {hour},{hour + 12} * * * root {' '.join(RUN)} renew 2>&1 | logger -t {TIMER}\n"
    changed = _write(CRON, f"{COMMENT}\n{line}".encode())
    if not os.path.exists("/var/run/crond.pid") and os.path.exists("/etc/init.d/cron"):
        _command("/etc/init.d/cron", "start")
    return changed


def _place_units(needed: bool) -> bool:
    texts = {f"{TIMER}.service": SERVICE_TEXT, f"{TIMER}.timer": TIMER_TEXT}
    if not needed:
        if not os.path.exists(f"{UNITS}/{TIMER}.timer"):
            return False
        _command("systemctl", "--quiet", "disable", "--now", f"{TIMER}.timer")
        for name in texts:
            atomic.remove_file(f"{UNITS}/{name}")
        _command("systemctl", "daemon-reload")
        return True
    changed = [name for name, text in texts.items() if _write(f"{UNITS}/{name}", text.encode())]
    if changed:
        _command("systemctl", "daemon-reload")
        _command("systemctl", "--quiet", "enable", "--now", f"{TIMER}.timer")
    return bool(changed)


def _remove_all() -> bool:
    """Remove the program, certbot, and its user: no site has a certificate any more."""
    changed = os.path.isdir(names.CERTIFICATES)
    for path in (names.CERTIFICATES, *glob.glob(f"{names.TOOLS}/certbot-*"), names.TLS, names.ACME):
        shutil.rmtree(path, ignore_errors=True)
    state = names.CERTIFICATES_STATE
    for path in (names.CERTIFICATES_SETTINGS, names.ACME_CA, state, f"{state}.lock"):
        atomic.remove_file(path)
    with contextlib.suppress(KeyError):
        if pwd.getpwnam(names.ACME_USER).pw_dir == names.ACME:
            _command("userdel", names.ACME_USER)
    with contextlib.suppress(KeyError):
        grp.getgrnam(names.ACME_USER)
        _command("groupdel", names.ACME_USER)
    return changed


def _is(path: str, data: bytes) -> bool:
    try:
        return atomic.read(path) == data
    except OSError:
        return False


def _write(path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] = (0, 0)) -> bool:
    if _is(path, data):
        status = os.lstat(path)
        if (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (mode, *owner):
            return False
    atomic.write(path, data, mode, owner)
    return True


def _command(*argv: str) -> None:
    try:
        result = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{argv[0]} failed: {error}") from error
    if result.returncode:
        lines = (result.stderr + result.stdout).strip().splitlines() or [f"status {result.returncode}"]
        raise HostError(f"{' '.join(argv)} failed: {lines[-1]}")


def _run(command: str, *words: str, stdin: bytes = b"") -> list[dict[str, Any]]:
    """Run the program; its rows.

    Raises:
        HostError: it gave no answer, or could not begin.
    """
    try:
        result = subprocess.run(
            [*RUN, command, *words], input=stdin, capture_output=True, timeout=DEADLINES[command], check=False, cwd="/"
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(
            f"the certificates' program did not end {command} within {DEADLINES[command]:.0f} s; see what holds it up"
        ) from error
    try:
        rows: list[dict[str, Any]] = json.loads(result.stdout[:ANSWER])["sites"]
    except (ValueError, KeyError, TypeError) as error:
        lines = result.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {result.returncode}"]
        raise HostError(f"the certificates' program gave no answer: {lines[-1]}") from error
    whole = [row["failure"] for row in rows if row.get("failure") and not row["site"]]
    if whole:
        raise HostError(whole[0])
    return rows
