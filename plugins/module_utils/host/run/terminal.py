"""What slipway-run does on the host: an app's command with the operator's terminal, or with the caller's pipes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import pwd
import re
import secrets
import select
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

from ...contract import names
from ...contract.errors import HostError
from ..build import proving
from ..process import confine, managers, transient, tree
from ..process.cells import Cell
from ..system import releases
from . import commands

USAGE = "usage: slipway-run APP COMMAND [ARGUMENT...]"
REFUSED = 78
"""Exit status where nothing was run (EX_CONFIG of sysexits.h), as the launcher's."""
STATUS = 'trap : INT QUIT; "$@"; exit $?'
"""A signal that ends the command becomes 128 and its number. Ctrl-C reaches the shell, too: systemd counts a shell that SIGINT ends
as a success."""
ON_TERMINAL = f'exec <"$0" >"$0" 2>&1; {STATUS}'
"""The same on a terminal, which becomes that of the session when it is opened."""
TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def main(arguments: Sequence[str]) -> NoReturn:
    """Run the command; this process ends with its status."""
    kind = os.environ.get("TERM", "")
    who = os.environ.get("SUDO_USER") or "root"
    os.environ.clear()  # sudo has checked it, and another way to become root may not have
    os.environ.update({"PATH": PATH, "LC_ALL": "C", "SYSTEMD_TINT_BACKGROUND": "0"})
    try:
        status = run(arguments, kind if TERM.fullmatch(kind) else "dumb", who)
    except (HostError, OSError) as error:
        print(f"slipway-run: {error}", file=sys.stderr)
        status = REFUSED
    sys.exit(status)


def run(arguments: Sequence[str], kind: str, who: str) -> int:
    """Run the command of an app; returns its exit status.

    Args:
        arguments: the app's name, then the command and its arguments.
        kind: of the terminal.
        who: the operator, for the journal.

    Raises:
        HostError: the arguments are wrong, or the app is not on this host.
    """
    if len(arguments) < 2 or arguments[0].startswith("-"):
        raise HostError(USAGE)
    app, *command = arguments
    if not names.APP.fullmatch(app):
        raise HostError(f"{app!r} is no app's name; {USAGE}")
    if not command[0].strip():
        raise HostError(f"the command is empty; {USAGE}")
    manifest = commands.current(names.app_root(app))
    token = secrets.token_hex(6)
    cell = confine.app(manifest, f"run-{token}")
    has_terminal = os.isatty(0) and os.isatty(1)
    shown = ["/usr/bin/env", f"TERM={kind}", *command] if has_terminal else command
    words = proving.launch(manifest, shown)
    since, begun = releases.now(), time.monotonic()
    # Of all that runs single commands, only a transient unit gives them a terminal, and keeps them apart from the caller's.
    if managers.runner() is transient.run:
        status = _in_unit(["/bin/sh", "-c", STATUS, "sh", *words], cell, "--pty" if has_terminal else "--pipe")
    elif has_terminal:
        status = _on_terminal(words, cell)
    else:
        status = _below(["/bin/sh", "-c", STATUS, "sh", *words], cell)
    end = commands.End(status, time.monotonic() - begun)
    commands.record(manifest, command, since, end, commands.Owner(who, os.uname().nodename), token)
    return status


class _Asked(BaseException):
    """This process was asked to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Raise _Asked for signals that would end this process and leave the command behind."""

    def asked(number: int, _frame: FrameType | None) -> None:
        raise _Asked(number)

    before = {number: signal.signal(number, asked) for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_unit(words: Sequence[str], cell: Cell, how: str) -> int:
    """Run it in a transient unit. systemd gives it a separate terminal, so it cannot write into the operator's input."""
    argv = [transient.SYSTEMD_RUN, *transient.described(cell), how, "--", *transient.literal(words)]
    try:
        with _signals():
            return _status(subprocess.run(argv, check=False).returncode)
    except _Asked as asked:
        subprocess.run(["systemctl", "--quiet", "stop", cell.unit], check=False, timeout=30)
        return 128 + asked.number


def _below(words: Sequence[str], cell: Cell) -> int:
    """Run it below the process that ends all of it, with the caller's pipes."""
    theirs, ours = os.pipe()
    try:
        with subprocess.Popen(tree.watched(words, cell, theirs), pass_fds=[theirs]) as process:
            try:
                with _signals():
                    return _status(process.wait())
            except _Asked as asked:
                os.close(ours)
                ours = -1
                process.wait()
                return 128 + asked.number
    finally:
        os.close(theirs)
        if ours >= 0:
            os.close(ours)


def _on_terminal(words: Sequence[str], cell: Cell) -> int:
    """Run it on a separate terminal, and pass on what is typed and shown."""
    ours, theirs = pty.openpty()
    account = pwd.getpwnam(cell.user)
    os.fchown(theirs, account.pw_uid, -1)
    os.fchmod(theirs, 0o600)
    _resized(ours)
    before, resize = termios.tcgetattr(0), signal.signal(signal.SIGWINCH, lambda *_: _resized(ours))
    reading, control = os.pipe()
    argv = tree.watched(["/bin/sh", "-c", ON_TERMINAL, os.ttyname(theirs), *words], cell, reading)
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, pass_fds=[reading])
        os.close(theirs)
        tty.setraw(0)
        with _signals():
            _relay(ours, process)
        return _status(process.wait())
    except _Asked as asked:
        return 128 + asked.number
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)
        signal.signal(signal.SIGWINCH, resize)
        os.close(control)
        os.close(reading)


def _resized(terminal: int) -> None:
    """Give a terminal the size of the operator's."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))


def _relay(terminal: int, process: subprocess.Popen[bytes]) -> None:
    """Copy between the operator's terminal and the command's, until the command ends."""
    sources = [0, terminal]
    while True:
        ready, _, _ = select.select(sources, [], [], 0.25)
        if not ready and process.poll() is not None:
            return
        for source in ready:
            try:
                data = os.read(source, 65536)
            except OSError:  # the command has closed its side
                data = b""
            if not data:
                sources.remove(source)
                if source == terminal:
                    return
                continue
            target = 1 if source == terminal else terminal
            while data:
                data = data[os.write(target, data) :]


def _status(code: int) -> int:
    return code if code >= 0 else 128 - code
