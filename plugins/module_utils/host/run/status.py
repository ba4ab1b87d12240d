"""How an app runs on this host, by what its processes are and not by what links say. Looking changes nothing."""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import WEB, Manifest, Program
from ...contract.words import CONFLICT
from ..base import apart, processes
from ..base.outcome import TROUBLE, parallel
from ..process import managers, timers
from ..process.running import LETTERS, ask
from ..system import lock, releases
from . import access, backlog, drifting, health

RELEASE_OF = re.compile(r"/releases/([^/]+)/code(?:/|$)")
"""The release in the path of a process's working folder."""
LOG_SECONDS = 20.0
"""For reading the access log of a site."""
NGINX_TEST, COMPLAINTS = 30.0, 5
"""Seconds for nginx to test its files, and how many of its complaints are shown."""
DISKS = ("/", names.APPS, "/var/log", "/tmp")  # noqa: S108  # nosec B108 # only its size is asked


def host(
    known: Sequence[str], absent: Sequence[str], inventory: str, sites: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The state of the host itself."""
    return {
        "disk": disk(),
        "reboot": os.path.exists("/run/reboot-required"),
        "nginx": _nginx(),
        "complaints": complaints(),
        "certificates": certificates(),
        "drift": [*drifting.of_host(known, absent, inventory), *drifting.of_sites(sites)],
    }


def disk() -> dict[str, Any]:
    """The fullest of the file systems that the kit uses."""
    fullest: dict[str, Any] = {"path": "/", "percent": 0, "free": 0}
    for path in DISKS:
        with contextlib.suppress(OSError):
            about = os.statvfs(path)
            usable = about.f_blocks - about.f_bfree + about.f_bavail
            percent = round(100 * (1 - about.f_bavail / usable)) if usable else 0
            if percent > fullest["percent"]:
                fullest = {"path": path, "percent": percent, "free": about.f_bavail * about.f_frsize}
    return fullest


def _nginx() -> bool:
    """Whether nginx runs."""
    try:
        with open("/run/nginx.pid", encoding="ascii") as handle:
            return bool(processes.uids(int(handle.read(20).strip())))
    except (OSError, ValueError):
        return False


def complaints() -> list[str]:
    """What nginx says against its files: an error with which it would not start again, or a name that two of its sites have."""
    try:
        lines = ask(["/usr/sbin/nginx", "-t"], NGINX_TEST).stderr.splitlines()
    except TROUBLE:  # it is not installed
        return []
    against = [line.removeprefix("nginx: ")[:LETTERS] for line in lines if "[emerg]" in line or CONFLICT in line]
    return list(dict.fromkeys(against))[:COMPLAINTS]


def certificates() -> list[dict[str, Any]]:
    """The days that each site's certificate is still valid; below zero, it has expired."""
    entries: list[dict[str, Any]] = []
    folder = f"{names.ETC}/tls"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for site in sorted(os.listdir(folder)):
            chain = f"{folder}/{site}/current/chain.pem"
            if not os.path.exists(chain):
                continue
            days: int | None = None
            with contextlib.suppress(OSError, ValueError, HostError):
                answer = ask(["openssl", "x509", "-noout", "-enddate", "-in", chain], 20).stdout
                end = time.strptime(answer.strip().removeprefix("notAfter="), "%b %d %H:%M:%S %Y GMT")
                days = int((calendar.timegm(end) - time.time()) // 86400)
            entries.append({"site": site, "days": days})
    return entries


def app(root: str) -> dict[str, Any]:
    """How the current release of an app runs."""
    name, current = os.path.basename(root), releases.current(root)
    manifest = releases.manifest_or_none(root, current) if current else None
    about: dict[str, Any] = {"app": name, "current": current, "drift": list(drifting.of_app(root))}
    if manifest is None:
        return {**about, "programs": [], "timers": [], "answers": None, "queue": None, "workers": None}
    try:
        manager = managers.of(manifest)
        programs = [program(manager, manifest, one) for one in manifest.programs]
        if not any(one["alive"] for one in programs):
            programs = _others(manager, root, manifest) or programs
        timings = manager.timings(manifest)
    except TROUBLE as error:
        return {
            **about,
            "programs": [],
            "timers": [],
            "answers": str(error),
            "queue": None,
            "workers": manifest.workers,
        }
    return {
        **about,
        "programs": programs,
        "timers": [{**run, **timings[run["name"]]._asdict()} for run in timers.runs(manifest)],
        "answers": _answers(manifest, programs),
        "queue": _queue(manifest),
        "workers": manifest.workers,
        "activated": releases.Activation(root, manifest.release_id).when,
        "version": manifest.version,
        "code": manifest.code,
    }


def _others(manager: managers.Manager, root: str, manifest: Manifest) -> list[dict[str, Any]]:
    """The programs of the release that runs in the place of the current one; none where no other one does."""
    for release_id in sorted(manager.instances(root)):
        other = releases.manifest_or_none(root, release_id)
        if not other or release_id == manifest.release_id:
            continue
        if any(manager.process(one.unit).pid for one in other.programs):
            return [program(manager, other, one) for one in other.programs]
    return []


def _answers(manifest: Manifest, programs: Sequence[Mapping[str, Any]]) -> str | None:
    """What is wrong with the answer of the app's own socket; None when it is good, and where no process is there to answer.

    A request would start an instance that was stopped: its socket takes requests, and looking changes nothing.
    """
    if not manifest.socket or not any(one["name"] == WEB and one["alive"] for one in programs):
        return None
    fault = health.answers(manifest)
    return None if fault is None else fault.reason


def _queue(manifest: Manifest) -> int | None:
    """The connections that no worker has accepted; None where the kernel does not tell."""
    try:
        return backlog.waiting(manifest.socket) if manifest.socket else None
    except OSError:
        return None


def program(manager: managers.Manager, manifest: Manifest, one: Program) -> dict[str, Any]:
    """What the processes of a program are."""
    state = manager.process(one.unit)
    tree = _tree(state.pid) if state.pid else []
    return {
        "name": one.name,
        "unit": one.unit,
        "alive": bool(tree),
        "detail": state.detail,
        "release": _release(tree[0]) if tree else None,
        "since": _since(tree[0]) if tree else None,
        "processes": max(0, len(tree) - 1),
        "memory": sum(map(_memory, tree)),
        "restarts": manager.restarts(one.unit),
    }


def _tree(pid: int) -> list[int]:
    """A process that is there, then its children."""
    if not processes.uids(pid):
        return []
    children = []
    for other in processes.pids():
        with contextlib.suppress(OSError):
            if processes.parent(other) == pid and processes.uids(other):
                children.append(other)
    return [pid, *children]


def _release(pid: int) -> str | None:
    """The release in whose code a process runs; None where it has left it."""
    with contextlib.suppress(OSError):
        match = RELEASE_OF.search(os.readlink(f"/proc/{pid}/cwd"))
        if match and names.RELEASE.fullmatch(match[1]):
            return match[1]
    return None


def _since(pid: int) -> int | None:
    """When a process was started, as a time."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as handle:
            ticks = int(handle.read().rpartition(")")[2].split()[19])
        with open("/proc/uptime", encoding="ascii") as handle:
            booted = time.time() - float(handle.read().split()[0])
        return int(booted + ticks / os.sysconf("SC_CLK_TCK"))
    return None


def _memory(pid: int) -> int:
    """The bytes of a process, with its share of what it has in common with others."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as handle:
            match = re.search(r"^Pss:\s+(\d+) kB", handle.read(), re.MULTILINE)
        return int(match[1]) * 1024 if match else 0
    return 0


def traffic(sites: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figures of each app, over all of its sites.

    Args:
        sites: each with the path of its access `log` and its `apps`, each with `name` and `mount`.
    """
    now = time.time()
    return [entry for entries in parallel(lambda site: _site(site, now), sites) for entry in entries]


def _site(site: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    descriptors = opened([site["log"], f"{site['log']}.1"])
    mounts = [one["mount"] for one in site["apps"]]
    try:
        answer = apart.apart(lambda: access.figures(access.backwards(descriptors), mounts, now), LOG_SECONDS)
    except HostError:
        return []
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return [{"app": one["name"], "site": site["name"], **answer[one["mount"]]} for one in site["apps"]]


def opened(paths: Sequence[str]) -> list[int]:
    """Descriptors of those files that are there, in their order. A link is not followed."""
    descriptors = []
    for path in paths:
        with contextlib.suppress(OSError):
            descriptors.append(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    return descriptors


def everything(
    roots: Sequence[str],
    known: Sequence[str],
    absent: Sequence[str],
    sites: Sequence[Mapping[str, Any]],
    inventory: str,
) -> dict[str, Any]:
    """All of it, with the run that holds the host's lock."""
    figures, about = traffic(sites), host(known, absent, inventory, sites)
    return {"host": about, "apps": parallel(app, roots, 8), "traffic": figures, "busy": lock.at_work()}
