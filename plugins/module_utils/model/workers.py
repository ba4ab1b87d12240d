"""How an app is served: the class and the number of its workers, which depend on its interface."""

from __future__ import annotations

from ..contract.names import THREADED
from .tools import ASGI_SERVER, GUNICORN
from .types import App, Serving, Wishes

WORKER_MEMORY = 128 * 1024**2
"""Bytes reckoned per worker when their number is derived from memory: a Django worker with its ORM loaded needs 80 to 120 MiB."""
HOST_SHARE = 0.5
"""The part of a host's memory that all apps' workers may take by default; the rest is for the system, nginx and databases."""
_PACKAGES = {"gevent": ("gunicorn[gevent]",), "tornado": ("tornado",), "uvicorn": ASGI_SERVER}
"""What a worker class needs beside gunicorn."""


def serving(app: App, interface: str | None) -> Serving:
    """How `app` is served if its callable speaks `interface`."""
    wishes = app.wishes
    worker_class = wishes.worker_class or ("uvicorn" if interface == "asgi" else "threads")
    return Serving(
        interface=interface,
        worker_class=worker_class,
        workers=wishes.workers or worker_count(worker_class, wishes),
        threads=wishes.threads or (8 if worker_class in THREADED else 1),
        packages=(f"gunicorn=={GUNICORN}", *_PACKAGES.get(worker_class, ())),
    )


def worker_count(worker_class: str, wishes: Wishes) -> int:
    """Workers of a class on a host.

    Threads, coroutines and event loops share a process, so one process per core is enough to use the machine. `sync`
    serves one request per process and gets gunicorn's own advice of 2 x cores + 1. There are at least two, so that a crashed
    worker leaves one serving, and no more than the memory holds.
    """
    wanted = 2 * wishes.cores + 1 if worker_class == "sync" else wishes.cores
    room = int(wishes.memory // WORKER_MEMORY)
    return max(1 if room < 2 else 2, min(wanted, room))
