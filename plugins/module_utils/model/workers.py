"""How an app is served: the class and the number of its workers, which depend on its interface."""

from __future__ import annotations

from ..contract.names import THREADED
from .managers import PROCESS_MANAGERS
from .tools import ASGI_SERVER, ASGI_WHEELS, GUNICORN
from .types import App, Serving, Wishes

MIB = 1024**2
WORKER_MEMORY = 128 * MIB
"""Bytes reckoned per worker when their number is derived from memory: a Django worker with its ORM loaded needs 80 to 120 MiB."""
HOST_SHARE = 0.5
"""The part of a host's memory that all apps' workers may take by default; the rest is for the system, nginx and databases."""
_PACKAGES = {"gevent": ("gunicorn[gevent]",), "tornado": ("tornado",), "uvicorn": (*ASGI_SERVER, *ASGI_WHEELS)}
"""What a worker class needs beside gunicorn."""

KEPT = ("uvicorn",)
"""The worker classes whose idle connections nginx alone ends, also when a worker stops."""


def serving(app: App, interface: str | None) -> Serving:
    """How `app` is served if its callable speaks `interface`."""
    if not app.module:
        return Serving(interface=None, worker_class="", workers=0, threads=0, packages=())
    wishes = app.wishes
    worker_class = wishes.worker_class or ("uvicorn" if interface == "asgi" else "threads")
    return Serving(
        interface=interface,
        worker_class=worker_class,
        workers=wishes.workers or worker_count(worker_class, wishes),
        threads=wishes.threads or (8 if worker_class in THREADED else 1),
        packages=(f"gunicorn=={GUNICORN}", *_PACKAGES.get(worker_class, ())),
        keeps_connections=worker_class in KEPT,
    )


def may_keep(app: App) -> bool:
    """Whether nginx may ever keep a connection to `app`, as far as the inventory tells. If not, nginx need not look with each request."""
    worker_class = app.wishes.worker_class
    return worker_class in KEPT if worker_class else app.interface != "wsgi"


def worker_count(worker_class: str, wishes: Wishes) -> int:
    """Workers of a class on a host.

    Threads, coroutines and event loops share a process, so one process per core is enough to use the machine. `sync`
    serves one request per process and gets gunicorn's own advice of 2 x cores + 1. There are at least two, so that a crashed
    worker leaves one serving, and no more than the memory holds.
    """
    wanted = 2 * wishes.cores + 1 if worker_class == "sync" else wishes.cores
    room = int(wishes.memory // WORKER_MEMORY)
    return max(1 if room < 2 else 2, min(wanted, room))


def memory_advice(app: App) -> list[str]:
    """What the user should know about the memory of an app's workers."""
    advice = []
    workers = serving(app, app.interface).workers
    enforced = PROCESS_MANAGERS[app.manager].limits_memory
    if app.limits.memory is not None and app.module and not enforced:
        advice.append(
            f"limits.memory does nothing under {app.manager}, which cannot limit memory; use recycle.memory, which holds "
            "for each worker"
        )
    elif app.limits.memory is not None and workers * app.recycle.memory > app.limits.memory:
        advice.append(
            f"{workers} workers of up to recycle.memory ({app.recycle.memory // MIB} MiB) need more than limits.memory "
            f"({app.limits.memory // MIB} MiB), and the kernel would end one first; lower recycle.memory or workers"
        )
    return advice
