"""One-off commands: run in the current release as its app's user, watched by a process of the kit that keeps the output.

The watcher needs no controller. The controller asks it for the output over a socket for root alone, piece by piece. So a lost
connection ends nothing, and the next request continues where the last answer ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from ...contract import names
from ...contract.errors import HostError
from ...contract.manifest import Manifest, app_name, read_manifest, release_path
from ..base.space import explained
from ..build import proving
from ..process import confine
from ..process.masking import Masking
from ..process.running import CUT
from ..system import lock, releases

FOLDER = f"{names.RUN}/commands"
"""The sockets of the watchers; root's alone."""
TOKEN = re.compile(r"[0-9a-f]{12}")
"""Names one command. Longer than the digits of a release's id, so that its unit is not mistaken for an instance's."""
LIMIT, CHUNK, LONGEST = 4 << 20, 256 << 10, 64 << 10
"""Bytes of output that wait for the controller, of one answer, and of one line."""
GONE = 60.0
"""Seconds after which a controller that does not ask is gone: the command then no longer waits for it."""
KEPT = 600.0
"""Seconds for which the end of a command is kept for a controller that does not ask."""
_CUT = re.compile(re.escape(CUT).replace(re.escape("{}"), r"\d+").encode())
STATUS = 'exec 2>&1; "$@"; exit $?'
"""Runs the command with one output, in the order in which it writes. A signal that ends it becomes 128 and its number."""


@dataclass(frozen=True)
class End:
    """How a command ended."""

    status: int
    seconds: float
    timed_out: bool = False
    error: str = ""
    """Why it could not be run."""


@dataclass(frozen=True)
class Piece:
    """A part of the output."""

    text: str
    offset: int
    """Where the next part begins."""
    end: End | None
    """Set with the last part."""


@dataclass
class Owner:
    """The user who runs a command."""

    who: str
    controller: str


def current(root: str) -> Manifest:
    """The manifest of the release in which a command runs.

    Raises:
        HostError: the host has no current release of the app.
    """
    release_id = releases.current(root)
    if release_id is None:
        raise HostError(f"{app_name(root)} has no current release on this host; deploy it first")
    try:
        return read_manifest(root, release_id)
    except FileNotFoundError:
        raise HostError(
            f"the current release {release_id} of {app_name(root)} is gone from this host; deploy again"
        ) from None


def words(manifest: Manifest, command: Sequence[str]) -> list[str]:
    """The command as the app's user runs it, with one output and a faithful exit status."""
    return ["/bin/sh", "-c", STATUS, "sh", *proving.launch(manifest, command)]


def start(root: str, command: Sequence[str], timeout: float, owner: Owner) -> tuple[Manifest, str]:
    """Start a command and its watcher; returns the release's manifest and the command's token."""
    manifest = current(root)
    os.makedirs(FOLDER, 0o700, exist_ok=True)
    _forget()
    token = secrets.token_hex(6)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(_socket(token))
    listener.listen(4)
    child = os.fork()
    if child:
        listener.close()
        os.waitpid(child, 0)
    else:
        _detached(listener, manifest, token, command, timeout, owner)
    return manifest, token


def _socket(token: str) -> str:
    if not TOKEN.fullmatch(token):
        raise HostError(f"{token!r} names no command")
    return f"{FOLDER}/{token}"


def _forget() -> None:
    """Remove the sockets of watchers that are gone."""
    for name in os.listdir(FOLDER):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(f"{FOLDER}/{name}")
            except ConnectionRefusedError:
                with contextlib.suppress(OSError):
                    os.unlink(f"{FOLDER}/{name}")
            except OSError:
                continue


def _detached(
    listener: socket.socket, manifest: Manifest, token: str, command: Sequence[str], timeout: float, owner: Owner
) -> NoReturn:
    """Leave the caller's session, and watch the command to its end."""
    status = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        kept = os.dup2(listener.fileno(), 3)
        listener.detach()
        os.closerange(4, 4096)  # the controller's connection among them
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.close(null)
        Watcher(socket.socket(fileno=kept), manifest, token, command, timeout, owner).watch()
        status = 0
    finally:
        os._exit(status)


class Output:
    """The output of a command that the controller has not taken yet."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.asked = time.monotonic()
        """When the controller asked last."""
        self._data = bytearray()
        self._base = 0
        """The offset of the first byte that is kept."""
        self._line = self._cut = 0
        """Bytes of the unfinished line that are kept, and that are left out."""

    def full(self) -> bool:
        """Whether the command has to wait for the controller."""
        return len(self._data) >= LIMIT and not self._alone()

    def _alone(self) -> bool:
        return time.monotonic() - self.asked > GONE

    def add(self, data: bytes) -> None:
        """Take what the command has written. A line that is too long loses its end."""
        with self.changed:
            for piece in data.splitlines(keepends=True):  # of bytes: at \n, \r and \r\n
                ends = piece.endswith((b"\n", b"\r"))
                text = piece.rstrip(b"\r\n") if ends else piece
                kept = text[: LONGEST - self._line]
                self._data += kept
                self._line += len(kept)
                self._cut += len(text) - len(kept)
                if ends:
                    self._finish()
            if len(self._data) > LIMIT and self._alone():
                self._drop(self._data.find(b"\n", len(self._data) - LIMIT) + 1)
            self.changed.notify_all()

    def _finish(self) -> None:
        self._data += CUT.format(self._cut).encode() if self._cut else b"\n"
        self._line = self._cut = 0

    def close(self) -> None:
        """The command has ended: its last line needs no end."""
        with self.changed:
            if self._line or self._cut:
                self._finish()
            self.changed.notify_all()

    def _drop(self, number: int) -> None:
        del self._data[:number]
        self._base += number

    def take(self, offset: int, ended: bool) -> tuple[int, bytes]:
        """The next whole lines from an offset on; what is before it was received. Returns their offset, too."""
        if offset > self._base:
            self._drop(min(offset - self._base, len(self._data)))
        piece = self._data[:CHUNK]
        if ended and len(piece) == len(self._data):
            return self._base, bytes(piece)
        end = piece.rfind(b"\n") + 1
        if end and _CUT.match(
            self._data, end - 1
        ):  # what says that something is left out stays behind what is before it
            end = piece.rfind(b"\n", 0, end - 1) + 1 or end
        return self._base, bytes(piece[:end])

    def left(self) -> int:
        """Bytes that the controller has not received."""
        return len(self._data)


@dataclass
class Watcher:
    """Runs the command, and answers the controller."""

    listener: socket.socket
    manifest: Manifest
    token: str
    command: Sequence[str]
    timeout: float
    owner: Owner
    output: Output = field(default_factory=Output)
    end: End | None = None

    def watch(self) -> None:
        """Run the command to its end, and answer until the controller has all of its output."""
        threading.Thread(target=self._run, daemon=True).start()
        self.listener.settimeout(1.0)
        received = False
        while not (received or (self.end and time.monotonic() - self.output.asked > KEPT)):
            with contextlib.suppress(OSError, ValueError):
                client, _ = self.listener.accept()
                with client:
                    client.settimeout(20)
                    received = self._answer(client)
        with contextlib.suppress(OSError):
            os.unlink(f"{FOLDER}/{self.token}")

    def _run(self) -> None:
        since, begun = releases.now(), time.monotonic()
        try:
            command, cell = words(self.manifest, self.command), confine.app(self.manifest, f"run-{self.token}")
            outcome = confine.run(command, cell, self.timeout, sink=self.output)
            end = End(outcome.status, time.monotonic() - begun, outcome.timed_out)
        except (HostError, OSError) as error:
            end = End(1, time.monotonic() - begun, error=explained(str(error)))
        self.output.close()
        # Before the controller knows the end: what it reports is in the journal.
        record(self.manifest, self.command, since, end, self.owner, self.token)
        with self.output.changed:
            self.end = end
            self.output.changed.notify_all()

    def _answer(self, client: socket.socket) -> bool:
        """Answer one request; says whether the controller has everything now."""
        asked = json.loads(client.makefile("r", encoding="ascii").readline(200))
        offset, until = int(asked["offset"]), time.monotonic() + min(10.0, float(asked["wait"]))
        with self.output.changed:
            self.output.asked = time.monotonic()
            at, data = self.output.take(offset, bool(self.end))
            while not data and not self.end and time.monotonic() < until:
                self.output.changed.wait(until - time.monotonic())
                at, data = self.output.take(offset, bool(self.end))
            last = self.end is not None and len(data) == self.output.left()
            complete = last and not data and bool(asked.get("done"))
            head = {"at": at, "size": len(data), "end": asdict(self.end) if last and self.end else None}
        client.sendall(json.dumps(head).encode() + b"\n" + data)
        return complete


def record(manifest: Manifest, command: Sequence[str], since: str, end: End, owner: Owner, token: str) -> None:
    """Write a command that has ended into the host's journal, as far as the disk allows."""
    shown = Masking(manifest.path, manifest.secrets)(shlex.join(command))[:500]
    line = {
        "id": token,
        "purpose": "command",
        "app": manifest.app,
        "release": manifest.release_id,
        "who": owner.who,
        "controller": owner.controller,
        "start": since,
        "seconds": round(end.seconds, 1),
        "outcome": "failed" if end.status or end.timed_out else "ok",
        "reason": f"{shown}: {end.error or f'exit status {end.status}'}",
    }
    with contextlib.suppress(OSError):
        lock.append([line])


def read(root: str, release_id: str, token: str, offset: int, wait: float) -> Piece:
    """The next part of a command's output, secrets hidden.

    Args:
        root: the app's.
        release_id: the release in which the command runs.
        token: the command's.
        offset: where the last part ended.
        wait: seconds to wait for more output.

    Raises:
        HostError: the command is not known here, or not any more.
    """
    head, data = _ask(token, {"offset": offset, "wait": wait}, wait + 30)
    left_out = CUT.format(head["at"] - offset) if head["at"] > offset else ""
    hide = Masking(release_path(root, release_id), _secrets(root, release_id))
    text = left_out + hide(data.decode("utf-8", "replace"))
    end = End(**head["end"]) if head["end"] else None
    if end:
        with contextlib.suppress(HostError):  # it need not wait for a request that does not come
            _ask(token, {"offset": head["at"] + len(data), "wait": 0, "done": True}, 5)
    return Piece(text, head["at"] + len(data), end and End(**{**asdict(end), "error": hide(end.error)}))


def _secrets(root: str, release_id: str) -> tuple[str, ...]:
    manifest = releases.manifest_or_none(root, release_id)
    return manifest.secrets if manifest else ()


def _ask(token: str, request: Mapping[str, Any], timeout: float) -> tuple[dict[str, Any], bytes]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        try:
            client.connect(_socket(token))
            client.sendall(json.dumps(request).encode() + b"\n")
            with client.makefile("rb") as answer:
                head = json.loads(answer.readline(10_000))
                return head, answer.read(head["size"])
        except (OSError, ValueError) as error:
            raise HostError(
                f"the process that watches the command is gone ({error}). The host was restarted, or it was killed"
            ) from error
