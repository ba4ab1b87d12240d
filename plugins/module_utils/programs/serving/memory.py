"""Workers that grow are replaced, and a worker that the kernel ended for lack of memory is reported."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from .connections import Rules
from .crew import CREW

LOOKS_EVERY = 1.0
"""Seconds between two looks at a worker's memory."""
_MIB = 1024**2
_KILLS = {"cgroup2": "memory.events", "cgroup": "memory.oom_control"}
"""The file of a control group that counts what the kernel ended, by the kind of its file system."""


def watch(worker: Any) -> None:
    """Report what the kernel has ended since the last worker began, and watch the memory of this one, which is about to serve."""
    rules: Rules = worker.rules
    if rules.limit and (count := CREW.counted(kills())):
        worker.log.critical(
            "slipway: the kernel has ended %s of the app's processes, since together they needed more than limits.memory "
            "(%s MiB): raise it, lower workers, or set recycle.memory",
            count,
            rules.limit // _MIB,
        )
    if not rules.recycle:
        return
    if (size := resident()) >= rules.recycle:
        # It would be replaced by one that is as large, again and again.
        worker.log.warning(
            "slipway: a worker needs %s MiB before its first request, and recycle.memory is %s MiB: no worker is recycled. "
            "Raise recycle.memory",
            size // _MIB,
            rules.recycle // _MIB,
        )
        return
    threading.Thread(target=_recycle, args=(worker,), daemon=True, name="memory-watch").start()


def _recycle(worker: Any) -> None:
    """Have the worker end after its last answer when it has grown above the limit, and all others serve."""
    limit = worker.rules.recycle
    while (size := resident()) <= limit or not CREW.leave(worker.cfg.workers):
        time.sleep(LOOKS_EVERY)
    worker.log.info(
        "Worker %s has %s MiB, more than recycle.memory (%s MiB): it ends after its last answer",
        os.getpid(),
        size // _MIB,
        limit // _MIB,
    )
    os.kill(os.getpid(), signal.SIGTERM)


def resident() -> int:
    """Bytes of memory that this process holds (proc(5), statm)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def kills() -> int:
    """How many processes of this control group the kernel has ended for lack of memory; 0 where it does not tell."""
    for path in _counters():
        try:
            with open(path, encoding="ascii") as file:
                counts = dict(line.split() for line in file)
            return int(counts["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return 0


def _counters() -> Iterator[str]:
    """The files of this process's control groups that may count kills."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
            groups = {controllers: path for _, controllers, path in (line.rstrip("\n").split(":", 2) for line in file)}
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = [line.split() for line in file]
    except (OSError, ValueError):
        return
    for fields in mounts:
        kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
        controllers = {"cgroup2": "", "cgroup": "memory" if "memory" in options else None}.get(kind)
        if controllers is None or controllers not in groups:
            continue
        # In a container, the mount may begin below the hierarchy's root.
        below = os.path.relpath(groups[controllers], fields[3])
        yield os.path.normpath(os.path.join(fields[4], below, _KILLS[kind]))
