"""Run an app's timers where no systemd does, and keep what became known about each run.

    python3 timer.py due MANIFEST STATE
    python3 timer.py begun FILE RELEASE PIPE
    python3 timer.py ended FILE TIMEOUT PIPE

cron calls the first each minute, and systemd calls the others before and after a run, all as root. STATE is a folder with a FILE
for each timer: `last` is its last run, `running` the present one. They are root's. PIPE is where the reader of the log reads.

A line with the time says when a run begins and how it ended, since many commands write no time.

`due` starts each timer that was due since it last looked, once. So a run that was missed while the host was down is caught up.
A run begins as root and becomes the app by the launcher. What it prints passes through this process into the log, so the app
cannot change its log. A run never starts while the one before still runs. All that it has started ends with it (`reaper.py`).
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from typing import Any

LONGEST = 7 * 24 * 60
"""Minutes that `due` looks back: a run that was missed longer ago is not caught up."""
GRACE = 10.0
"""Seconds between the signal that asks a run to end and the one that ends it."""
MOST = 20 * 1024 * 1024
"""Bytes of a run's output that are kept, and of a log that is moved before the next run."""
DRAIN = 16
"""Pieces that are read of what a run has left in its pipe, which holds 1 MiB at most."""
REAPER = os.path.join(os.path.dirname(os.path.realpath(__file__)), "reaper.py")
KEPT = 9
"""How many earlier logs are kept, as log_reader.py does where a reader writes the log."""


def read(path: str) -> dict[str, Any]:
    """A small file of JSON; empty where there is none."""
    try:
        with open(path, encoding="utf-8") as handle:
            data = json.loads(handle.read(65536))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write(path: str, data: dict[str, Any]) -> None:
    """Put the file in its place in one step."""
    with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        json.dump(data, handle)
    os.rename(f"{path}.new", path)


def now() -> str:
    """The time in UTC."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # UTC: Python 3.11


def line(text: str) -> bytes:
    """A line for the log."""
    when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S +0000")  # UTC: Python 3.11
    return f"[{when}] slipway: {text}\n".encode()


def note(pipe: str, text: str) -> None:
    """Write a line into the pipe of the log. Without a reader, the line is lost and the run goes its way."""
    with contextlib.suppress(OSError):
        descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, line(text))
        finally:
            os.close(descriptor)


def boot() -> str:
    """Which boot of the host this is."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as handle:
        return handle.read().strip()


def started(pid: int) -> int:
    """When a process started, in ticks since the boot (proc(5), field 22). Its number may be another one's later."""
    with open(f"/proc/{pid}/stat", "rb") as handle:
        return int(handle.read().rpartition(b")")[2].split()[19])


def begun(path: str, release_id: str, pid: int = 0) -> None:
    """Note that a run begins."""
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    known = {key: value for key, value in read(path).items() if key == "last"}
    began = {"release": release_id, "began": now(), "clock": time.time(), "boot": boot(), "pid": pid}
    if pid:
        began["start"] = started(pid)
    write(path, {**known, "running": began})


def ended(path: str, result: str, status: str, more: dict[str, Any]) -> None:
    """Note how a run ended: `success`, `failed` or `timeout`."""
    running = read(path).get("running") or {}
    last = {
        "release": running.get("release", ""),
        "began": running.get("began", ""),
        "result": result,
        "status": status,
    }
    seconds = max(0.0, time.time() - float(running.get("clock") or time.time()))
    write(path, {"last": {**last, "seconds": round(seconds, 1)}, **more})


def ended_by_systemd(path: str, timeout: str, pipe: str) -> None:
    """The same with what systemd says about it."""
    service_result = os.environ.get("SERVICE_RESULT", "")
    result = service_result if service_result in ("success", "timeout") else "failed"
    status = os.environ.get("EXIT_STATUS", "")
    note(pipe, ending(result, status, timeout))
    ended(path, result, status, {})


def ending(result: str, status: str, timeout: object) -> str:
    """How a run ended, in words."""
    if result == "timeout":
        return f"the run was killed, since it took longer than its timeout of {timeout} s"
    if status and not status.isdigit():
        return f"the run was killed by SIG{status}"
    return f"the run ended with exit status {status}" if status else "the run did not start"


def on(moments: dict[str, Any], moment: time.struct_time) -> bool:
    """Whether a timer is due on a day."""
    day, weekday = moment.tm_mday in moments["day"], (moment.tm_wday + 1) % 7 in moments["weekday"]
    return moment.tm_mon in moments["month"] and ((day or weekday) if moments["either"] else (day and weekday))


def at(moments: dict[str, Any], clock: int) -> bool:
    """Whether a timer is due in a minute."""
    moment = time.localtime(clock)
    return moment.tm_min in moments["minute"] and moment.tm_hour in moments["hour"] and on(moments, moment)


def following(moments: dict[str, Any], clock: int) -> str:
    """The next time that a timer is due after a minute, in UTC; empty where that is more than two months away."""
    for minute in range(clock + 60, clock + 62 * 86400, 60):
        if minute % 3600 and time.localtime(minute).tm_hour not in moments["hour"]:
            continue
        if at(moments, minute):
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(minute))
    return ""


def due(manifest: dict[str, Any], state: str) -> list[dict[str, Any]]:
    """The timers that were due since this was last asked."""
    stamp, clock = os.path.join(state, "checked"), int(time.time()) // 60 * 60
    before = read(stamp).get("clock")
    # A clock that was set back asks about this minute alone, and so does the first time.
    first = max(before + 60, clock - LONGEST * 60) if isinstance(before, int) and before <= clock else clock
    if first > clock:
        return []
    os.makedirs(state, 0o700, exist_ok=True)
    write(stamp, {"clock": clock})
    minutes = range(first, clock + 60, 60)
    timers = [timer for timer in manifest.get("timers", ()) if timer["moments"]]
    return [timer for timer in timers if any(at(timer["moments"], minute) for minute in minutes)]


def run(timer: dict[str, Any], release_id: str, state: str) -> None:
    """Run a timer, unless its last run has not ended yet."""
    path = os.path.join(state, timer["name"] + ".json")
    with open(os.open(f"{path}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb", 0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _log(timer["log"]) as log:
                put(log, line("a run is left out, since the one before still runs"))
            return
        turn(timer["log"])
        with _log(timer["log"]) as log:
            begun(path, release_id, os.getpid())
            put(log, line(begins(release_id)))
            result, status = _run(timer, log)
            put(log, line(ending(result, status, timer["timeout"])))
        more = {"next": following(timer["moments"], int(time.time()) // 60 * 60)}
        ended(path, result, status, more)


def begins(release_id: str) -> str:
    """That a run begins, in words."""
    return f"a run of {release_id} begins"


def turn(path: str) -> None:
    """Move a large log, and those before it. logrotate runs only once a day."""
    if not os.path.exists(path) or os.lstat(path).st_size < MOST:
        return
    names = [path, *(f"{path}.{number}" for number in range(1, KEPT + 1))]
    owner = os.lstat(path)
    for number in range(KEPT, 0, -1):
        if os.path.lexists(names[number - 1]):
            os.rename(names[number - 1], names[number])
    with _log(path) as log:
        os.fchown(log.fileno(), owner.st_uid, owner.st_gid)


def _log(path: str) -> Any:
    """The log, opened to append. A link in its place is not followed."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, 0o640), "ab", 0)


def _run(timer: dict[str, Any], log: Any) -> tuple[str, str]:
    """Run the command until it ends or its time is over; what it prints goes into the log. All that it has started ends."""
    theirs, ours = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", REAPER, str(theirs), *timer["command"]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        start_new_session=True,
        pass_fds=[theirs],
    )
    os.close(theirs)
    end, asked = time.monotonic() + timer["timeout"], 0.0
    output = Output(process.stdout.fileno() if process.stdout else -1, log)  # which it is not
    while process.poll() is None:
        output.wait(0.2)
        if time.monotonic() > end and not asked:
            asked = time.monotonic()
            process.terminate()
        if asked and ours >= 0 and time.monotonic() > asked + GRACE:
            os.close(ours)  # which ends all of it
            ours = -1
    for _ in range(DRAIN):
        output.wait(0)
    if ours >= 0:
        os.close(ours)
    return "timeout" if asked else "failed" if process.returncode else "success", shown(process.returncode)


def shown(status: int) -> str:
    """An exit status, or the signal that ended a process, as systemd says it. From 128 on a status says a signal, as a shell's."""
    with contextlib.suppress(ValueError):
        return signal.Signals(abs(status) - 128 * (status > 0)).name.replace("SIG", "")
    return str(status)


class Output:
    """What a run prints, on its way into the log. What the log cannot take, as on a full disk, is lost."""

    def __init__(self, pipe: int, log: Any) -> None:
        self._pipe, self._log, self._left = pipe, log, MOST
        self._open = True

    def wait(self, seconds: float) -> None:
        """Take the next piece, if there is one within this time."""
        if not self._open:
            time.sleep(seconds)  # it has closed its output, and keeps running
        elif select.select([self._pipe], [], [], seconds)[0]:
            data = os.read(self._pipe, 65536)
            self._open = bool(data)
            put(self._log, data[: self._left])
            self._left -= len(data[: self._left])


def put(log: Any, data: bytes) -> None:
    """Append to the log, as far as the disk allows."""
    with contextlib.suppress(OSError):
        log.write(data)


def main() -> None:
    """Run the command line of this process."""
    what, first, second, *pipe = sys.argv[1:]
    if what == "begun":
        begun(first, second)
        note(pipe[0], begins(second))
    elif what == "ended":
        ended_by_systemd(first, second, pipe[0])
    else:
        manifest = read_manifest(first)
        for timer in due(manifest, second):
            if not os.fork():
                os.setsid()
                run(timer, manifest["release"], second)
                os._exit(0)


def read_manifest(path: str) -> dict[str, Any]:
    """What the current release says about itself."""
    with open(path, encoding="utf-8") as handle:
        data: dict[str, Any] = json.load(handle)
    return data


if __name__ == "__main__":
    main()
