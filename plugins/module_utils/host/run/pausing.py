"""For an app that cannot run twice: requests wait while one instance ends and another one begins.

nginx's path to the instance leads through the link `run` of the current release. For the pause that link leads to a socket of
the kit, on which requests queue. When an instance answers again, they are passed on to it. No request is refused; a request
that arrives in the pause waits until its end, at most as long as the request timeout.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time

from ...contract.errors import HostError
from ...contract.manifest import Manifest
from ..base import atomic, trees
from ..base.outcome import TROUBLE, Failure
from ..process import managers
from ..process.units import KILL_MARGIN
from . import backlog
from .instances import bring_up, failure, log_ends

#: Requests that are passed on at a time; more than that wait in the queue.
AT_ONCE = 128
#: What the queue may hold; the kernel takes no more than net.core.somaxconn.
QUEUE = 4096
#: Looks at an empty queue, 50 ms apart, until no request arrives any more: nginx may have looked up the path right before.
LOOKS = 3


class Pause:
    """The queue of an app whose instance is about to end."""

    def __init__(self, manifest: Manifest) -> None:
        self._link, self._run = os.path.join(manifest.path, "run"), manifest.run
        self._folder = folder(manifest)
        self._relays: list[threading.Thread] = []
        self._places = threading.Semaphore(AT_ONCE)
        info = os.stat(manifest.socket)
        trees.remove(self._folder)  # left by a run that was killed
        os.makedirs(self._folder, 0o755)
        path = os.path.join(self._folder, "app.sock")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        os.chown(path, info.st_uid, info.st_gid)
        # nginx keeps connections to a socket that may be executed. Kept ones would occupy the places of requests that wait.
        os.chmod(path, stat.S_IMODE(info.st_mode) & 0o666)
        self._socket.listen(QUEUE)
        atomic.point(self._link, self._folder)

    def end(self, target: Manifest) -> None:
        """Pass on the requests that wait or still arrive to an instance that answers.

        Returns when none is left, or when the request timeout is over.
        """
        atomic.point(self._link, self._run)
        until, looks = time.monotonic() + target.timeouts.request, 0
        with self._socket:
            self._socket.settimeout(0.05)
            while looks < LOOKS and time.monotonic() < until:
                try:
                    client, _ = self._socket.accept()
                except TimeoutError:
                    looks += 1
                    continue
                looks = 0
                if not self._places.acquire(timeout=max(0.0, until - time.monotonic())):
                    client.close()  # the instance answers no request any more
                    break
                relay = threading.Thread(target=self._relay, args=(client, target.socket), daemon=True)
                relay.start()
                self._relays.append(relay)
        for relay in self._relays:
            relay.join(max(0.0, until + target.timeouts.request - time.monotonic()))
        trees.remove(self._folder)

    def _relay(self, client: socket.socket, target: str) -> None:
        """One connection: nginx asks one request on it, and closes it after the answer."""
        try:
            with client, contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as upstream:
                client.settimeout(None)
                upstream.connect(target)
                up = threading.Thread(target=_copy, args=(client, upstream), daemon=True)
                up.start()
                _copy(upstream, client)
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RD)  # wakes the other direction
                up.join()
        finally:
            self._places.release()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Everything from one connection to the other, and the end of it."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def folder(manifest: Manifest) -> str:
    """Where an app's requests wait."""
    return os.path.join(os.path.dirname(manifest.run), "pause")


def restore(manifest: Manifest) -> bool:
    """Lead requests to the instance again, where a run was killed in a pause; returns whether it was."""
    link = os.path.join(manifest.path, "run")
    if not os.path.islink(link) or os.readlink(link) != folder(manifest):
        return False
    atomic.point(link, manifest.run)
    trees.remove(folder(manifest))
    return True


def hand_over(leaving: Manifest, arriving: Manifest) -> Pause | Failure:
    """End one instance and begin another one, while requests wait.

    When the new one is not healthy, the old one runs again and has got the requests. Otherwise the caller ends the pause,
    once `current` leads to the new one.
    """
    pause = Pause(leaving)
    try:
        backlog.drained(leaving.socket, leaving.timeouts.drain)
        managers.of(leaving).halt(leaving.unit, leaving.web.stop + KILL_MARGIN)
        manager = managers.of(arriving)
        begins = log_ends([arriving])
        manager.install([arriving])
        outcome = bring_up(arriving, manager, begins)
        if not isinstance(outcome, Failure):
            return pause
    except TROUBLE as error:
        outcome = failure(arriving, error)
    except BaseException:
        resume(pause, leaving, arriving)
        raise
    note = resume(pause, leaving, arriving)
    return Failure(outcome.app, outcome.release_id, outcome.reason + note, outcome.hint, outcome.log, outcome.source)


def resume(pause: Pause, leaving: Manifest, arriving: Manifest) -> str:
    """Back to the old instance; says how that went."""
    note = f" ({leaving.release_id} was started again)"
    try:
        managers.of(arriving).halt(arriving.unit, arriving.web.stop + KILL_MARGIN)
        again = bring_up(leaving, managers.of(leaving), log_ends([leaving]))
        if isinstance(again, Failure):
            note = f" ({leaving.release_id} was started again, and failed: {again.reason})"
    except TROUBLE as error:
        note = f" ({leaving.release_id} could not be started again: {error})"
    finally:
        with contextlib.suppress(OSError, HostError):
            pause.end(leaving)
    return note
