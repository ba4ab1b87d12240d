"""Append what an instance writes into its pipe to its log.

    python3 log.py PIPE LOG

Runs as root beside an instance under systemd. The instance has the pipe and never the file, so it cannot cut, stretch or
replace its log. Nothing is lost when the instance or this reader restarts. Both hold the pipe open for reading and writing, so
it keeps what was not read.

A log of 20 MB is moved to LOG.1, that to LOG.2 and so on up to LOG.9, as supervisord does it. logrotate runs only once a day,
and a disk can be full within minutes. What is older is dropped, and the journal says how much.

SIGHUP opens the log again, after it was moved. SIGTERM ends it when the pipe is empty. A log that cannot be written (a full
disk) costs only the lines. Without a reader the instance would stop at its next line.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import stat
import sys
import time

CHUNK = 65536
PIPE_SIZE = 256 * 1024
"""Bytes that wait while this reader does not run or is slow: an instance that writes more has to wait."""

SIZE, KEPT = 20 * 1024 * 1024, 9
"""Bytes of a log, and how many earlier ones are kept: 200 MB. templates/supervisor/program.conf.j2 has the same. What logrotate
keeps of 14 days besides is at most 280 MB."""
QUIET = 60.0
"""Seconds between two words in the journal on what was dropped."""


def open_pipe(path: str) -> int:
    """Make the pipe, or use the one that an earlier reader has made, with what is in it."""
    if os.path.lexists(path) and not stat.S_ISFIFO(os.lstat(path).st_mode):
        os.unlink(path)
    if not os.path.lexists(path):
        os.mkfifo(path, 0o600)
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    os.fchmod(pipe, 0o660)  # nosec B103 # the group is the app's
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    except PermissionError:
        say("this pipe is smaller than others: root's together are as large as pipe-user-pages-soft allows")
    return pipe


class Log:
    """The file. Where it cannot be written, lines are lost and counted, and the next one tries again."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = -1
        self._size = 0
        self._lost = 0
        self._dropped = 0
        self._reported = -QUIET
        self.write(b"")

    def write(self, data: bytes) -> None:
        """Append all of it, or say that it is lost."""
        try:
            if self._file < 0:
                self._file = self._open()
            if self._size >= SIZE:
                self._turn()
            while data:
                written = os.write(self._file, data)
                self._size += written
                data = data[written:]
        except OSError as error:
            if not self._lost:
                say(f"cannot write {self.path}: {error.strerror}; lines are lost until it can be written")
            self._lost += len(data)
        else:
            if self._lost:
                say(f"{self.path} can be written again; {self._lost} bytes are lost")
            self._lost = 0

    def reopen(self) -> None:
        """Continue in a new file, since this one was moved; in this one as long as there can be no new one."""
        try:
            new = self._open()
        except OSError as error:
            say(f"cannot open {self.path} again: {error.strerror}; the lines still go into the one that was moved")
        else:
            if self._file >= 0:
                os.close(self._file)
            self._file = new

    def _turn(self) -> None:
        """Continue in a new file, and keep this one and the last ones before it."""
        try:
            here = os.path.samestat(os.fstat(self._file), os.lstat(self.path))
        except FileNotFoundError:
            here = False
        if here:  # else logrotate has moved it just now, and this is the file that it has made
            names = [self.path, *(f"{self.path}.{number}" for number in range(1, KEPT + 1))]
            if os.path.lexists(names[-1]):
                self._dropped += os.lstat(names[-1]).st_size
            try:
                for number in range(KEPT, 0, -1):
                    if os.path.lexists(names[number - 1]):
                        os.rename(names[number - 1], names[number])
            except OSError as error:
                say(f"cannot move {error.filename}: {error.strerror}; {self.path} keeps growing")
                self._size = 0  # it is tried again then
                return
        self.reopen()
        now = time.monotonic()
        if self._dropped and now - self._reported >= QUIET:
            say(f"{self.path} grows fast: {self._dropped} bytes of its oldest lines are dropped")
            self._dropped, self._reported = 0, now

    def _open(self) -> int:
        # A link in its place is not followed.
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(file).st_size
        return file


def say(sentence: str) -> None:
    """Into the journal."""
    print(sentence, flush=True)


def ready() -> None:
    """Tell systemd (sd_notify(3)) that the pipe is there."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address[0] == "@" else address)
            channel.sendall(b"READY=1")


def copy(pipe: int, path: str) -> None:
    """Copy until SIGTERM has come and the pipe is empty."""
    # Signals arrive through a separate pipe: a handler that raised might come between a read and its write.
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    log = Log(path)
    ready()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    poll.register(wake, select.POLLIN)
    ending = False
    while True:
        if not ending and wake in dict(poll.poll()):
            arrived = os.read(wake, 512)
            ending = signal.SIGTERM in arrived
            if signal.SIGHUP in arrived:
                log.reopen()
        try:
            data = os.read(pipe, CHUNK)
        except BlockingIOError:
            if ending:
                return
        else:
            log.write(data)


def main() -> None:
    """Run the command line of this process."""
    path, log = sys.argv[1:]
    try:
        pipe = open_pipe(path)
    except OSError as error:
        sys.exit(f"cannot make the pipe {path}: {error.strerror}")
    copy(pipe, log)


if __name__ == "__main__":
    main()
