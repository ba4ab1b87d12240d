"""The workers of `threads`: each thread accepts a connection, answers it and closes it by itself.

gthread passes a connection through a poller, a queue, a pool and a pipe. That costs more than an answer of a small app. Here
nothing is passed on. What has to wait is in the socket's queue, from which the next free thread of any worker takes it.

A thread that has answered takes the next connection at once. If none is there, one thread of the worker waits for the
next one, and the other idle threads wait for their turn.

No thread waits in `accept`. The kernel would give it a connection even while another thread holds the interpreter's lock. So
a busy worker would keep requests from an idle one.

It uses gunicorn's environment, answers and hooks through `SyncWorker`, and its parser for all but usual heads (`heads.py`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from .connections import counting, end_if_silent, gone
from .heads import quick_parser
from .watched import LOOKS_EVERY, Watched

HEAD_WITHIN = 5.0
"""Seconds within which a request's head has to arrive. nginx sends it with the connection."""
LINGERS = 2.0
"""Seconds at most for which a connection is read after its answer, while its client still sends."""
GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)
"""Errors of a connection whose client has left."""
_BODY = frozenset(("CONTENT-LENGTH", "TRANSFER-ENCODING"))
"""Headers of a request that has a body."""
NONE_WAITS = (errno.EAGAIN, errno.ECONNABORTED)
"""Errors of `accept` when another worker took the connection, or its client has left."""


class Threads(Watched):
    """Mixed in before gunicorn's `SyncWorker`."""

    PIPE: Any
    sockets: Any
    alive: bool
    is_parent_alive: Callable[[], bool]
    notify: Callable[[], None]
    handle_error: Callable[..., None]
    handle_request: Callable[..., None]

    def _take_app(self) -> None:
        super()._take_app()
        call = self.wsgi

        def multithreaded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            environ["wsgi.multithread"] = True
            return call(environ, start_response)

        self.wsgi = multithreaded

    def _answer_requests(self) -> None:
        """Answer until the worker stops."""
        self._parser = quick_parser()
        listener = self.sockets[0]
        listener.setblocking(False)
        # What `accept` of Python's own socket module calls. It would make an object that is replaced at once.
        self._accept = listener._accept
        self._kind = (listener.family, listener.type, listener.proto)
        self._connection = counting(socket.socket)
        self._address = _Address(listener.getsockname())
        self._stop = os.pipe()
        self._calls = select.poll()
        self._calls.register(listener, select.POLLIN)
        self._calls.register(self._stop[0], select.POLLIN)
        self._turn, self._count = threading.Lock(), threading.Lock()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        signals = select.poll()
        signals.register(self.PIPE[0], select.POLLIN)
        with self._count:
            self._begin_thread()
        try:
            while self.alive and self.is_parent_alive():
                self._beat(signals)
        finally:  # also where a signal makes the main thread exit
            self.alive = False
            os.close(self._stop[1])
        # Everything that was accepted gets its answer. A hung request is the watchdog's.
        end = time.monotonic() + self.cfg.graceful_timeout
        for thread in self._threads:
            while thread.is_alive() and time.monotonic() < end:
                self.notify()
                thread.join(LOOKS_EVERY)

    def _beat(self, signals: select.poll) -> None:
        """Tell the master that the worker lives, and wait for a signal, a thread's end, or the next time."""
        self.notify()
        if signals.poll(LOOKS_EVERY * 1000):
            with contextlib.suppress(BlockingIOError):
                os.read(self.PIPE[0], 4096)

    def _requests(self) -> list[Any]:
        connections = super()._requests()
        for connection in connections:
            if not connection.asked:
                end_if_silent(connection, HEAD_WITHIN)
        return [connection for connection in connections if connection.asked]

    def _begin_thread(self) -> None:
        """Begin another thread. The caller holds `_count`: the thread must be counted before it has a request."""
        # No daemon: threads that the app starts inherit that, and would then end with the worker, unfinished.
        thread = threading.Thread(target=self._answer_all, name=f"answers-{len(self._threads) + 1}", daemon=False)
        thread.start()
        self._threads.append(thread)
        self._idle += 1

    def _answer_all(self) -> None:
        """What each thread does."""
        try:
            while self.alive:
                connection = self._next()
                if connection is None:
                    continue
                self._count_busy()
                self._answer(connection)
                with self._count:
                    self._idle += 1
        except BaseException:
            self.log.exception("Thread ends: worker %s retires", os.getpid())
        finally:
            self.alive = False
            with contextlib.suppress(BlockingIOError):
                os.write(self.PIPE[1], b"\0")

    def _count_busy(self) -> None:
        """Note that this thread has a request, and begin another thread if none is idle.

        As in gthread's pool, there are no more threads, and no more connections to a database, than requests in parallel.
        """
        with self._count:
            self._idle -= 1
            if not self._idle and len(self._threads) < self.cfg.threads and self.alive:
                try:
                    self._begin_thread()
                except RuntimeError as error:  # the limit of processes: fewer threads have to do
                    self.log.warning("Cannot begin thread %s: %s", len(self._threads) + 1, error)

    def _next(self) -> Any:
        """Take the next connection; None if another worker was faster, or the worker stops."""
        if client := self._taken():
            return client
        with self._turn:
            if not self.alive:
                return None
            self._calls.poll()
            return self._taken() if self.alive else None

    def _taken(self) -> Any:
        try:
            descriptor, _ = self._accept()
        except OSError as error:
            if error.errno in NONE_WAITS:
                return None
            raise
        connection = self._connection(*self._kind, fileno=descriptor)
        if connection.gettimeout() is not None:  # the app has set a default for all sockets
            connection.setblocking(True)
        return connection

    def _answer(self, connection: Any) -> None:
        """Answer the one request of a connection, and close it."""
        from gunicorn.http.errors import NoMoreData

        key = id(connection)
        self.running[key] = connection
        request = None
        clean = False
        try:
            request = next(self._parser(self.cfg, connection, ""))
            # A client that waited too long has its 504, or has left. Its work would make the others wait as long.
            if gone(connection):
                self.log.debug("no client waits for the answer any more")
                return
            connection.begin()
            connection.holds = request.method != "HEAD"
            self.handle_request(self._address, request, connection, "")
            connection.flush()
            clean = True
        except NoMoreData as error:
            self.log.debug("Ignored premature client disconnection. %s", error)
        except StopIteration as error:  # an app that has ended the connection by itself, as websockets do
            self.log.debug("Closing connection. %s", error)
        except OSError as error:
            if error.errno in GONE:
                self.log.debug("Ignoring connection error %s", error)
            else:
                self.log.exception("Socket error processing request.")
        except BaseException as error:
            self.handle_error(request, connection, "", error)
        finally:
            self.running.pop(key, None)
            _end(connection, request if clean else None)


class _Address:
    """The listening socket's name: gunicorn asks for it with each request."""

    def __init__(self, name: Any) -> None:
        self._name = name

    def getsockname(self) -> Any:
        return self._name


def _end(connection: Any, request: Any) -> None:
    """Close a connection so that its client can read the whole answer.

    If bytes were left unread, the kernel would break the connection. nginx might then lose an answer to a request of which
    it still sends the body.
    """
    try:
        if request is None or not _is_read(connection, request):
            connection.shutdown(socket.SHUT_WR)
            end = time.monotonic() + LINGERS
            while (left := end - time.monotonic()) > 0:
                connection.settimeout(left)
                if not connection.recv(65536):
                    break
    except OSError:  # its time is over, or the client has left
        pass
    finally:
        with contextlib.suppress(OSError):
            connection.close()


def _is_read(connection: Any, request: Any) -> bool:
    """Whether the app has read the whole body of its request."""
    if _BODY.isdisjoint(name for name, _ in request.headers):
        return True
    try:
        connection.setblocking(False)
        return not request.body.read(1)
    except Exception:  # not there yet, or malformed
        return False
