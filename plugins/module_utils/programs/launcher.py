#!/usr/bin/python3 -IS
r"""Become a command, in the environment and with the rights of an app.

    exec [--user USER] [--chdir DIR] [--venv DIR] [--umask OCTAL] [--socket PATH --socket-group GROUP [--socket-mode OCTAL]]
         [--log PIPE] [--limit NAME=N ...] ENVIRONMENT.json -- COMMAND [ARG...]

Installed as ``exec`` in every release: one file, since it runs without anything else of the kit (`python3 -I -S`). gunicorn,
hooks, one-off commands and the import probe all start through it. So each of them sees the same environment to the byte under
both process managers. A unit file or a supervisor program cannot promise that: neither carries every value.

The environment is a fixed base (PATH with the virtualenv first, HOME, USER, LOGNAME, LANG, PYTHONUNBUFFERED, VIRTUAL_ENV).
Then comes everything in ENVIRONMENT.json: one ASCII JSON object of strings. Bytes that are not UTF-8 travel as surrogate
escapes ("\\udcff"). Nothing else of the caller's environment survives, with two exceptions. They are NOTIFY_SOCKET and the
sockets that are passed in (LISTEN_FDS), when systemd started us as the app's user already.

With ``--user``, started as root, it also makes the listening socket and passes it on as systemd would. Another process of root
keeps that socket open, so that requests wait while the command starts again after a crash or a restart. It sets limits,
forbids new privileges and drops to the user. ``--log`` sends both outputs into the pipe of the log's reader. It then
replaces itself, so the process id is the one that the manager started.

Exit codes: 78 refused (a wrong option, environment or account), 127 no such command, 126 not executable;
otherwise the command's own. A refusal is one sentence on stderr; values are never printed.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from typing import NoReturn

REFUSED = 78  # EX_CONFIG of sysexits.h; supervisor and systemd show it as is
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # what shells and env(1) answer

# What systemd gives to a service of the system manager (systemd.exec(5), "PATH").
SYSTEM_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Seconds for the log's reader to make its pipe, until this says that it waits, and between two looks. A host that is so slow is no
# fault of the release: what limits its start is the app's `timeouts.boot`.
READER_BEGINS, READER_LATE, READER_LOOKS = 300.0, 2.0, 0.005

LIMITS = ("nofile", "nproc", "as", "core", "fsize")
SINGLE = ("--user", "--chdir", "--venv", "--umask", "--socket", "--socket-group", "--socket-mode", "--log")
USAGE = "exec [options] ENVIRONMENT.json -- COMMAND [ARG...]"

SOCKET_MODE = 0o660  # nginx's group may connect

FIRST_PASSED = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)

KEEPER = "keeper"  # beside the socket: where the process that keeps it open hands it out, to root alone
KEEPER_ANSWERS, KEEPER_LOOKS = 5.0, 5.0  # seconds: for an answer of it, and between its looks at the socket's path

PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
# The longest "NAME=value" in bytes: the kernel allows 32 pages with the closing NUL (MAX_ARG_STRLEN, execve(2)).
LONGEST_VARIABLE = 32 * os.sysconf("SC_PAGESIZE") - 1


class Refused(Exception):
    """The command may not start; the text is one sentence for the operator."""


def parse(arguments: list[str]) -> tuple[dict[str, str], list[tuple[str, int]], str, list[bytes]]:
    """Split the command line into (options, limits, environment file, command).

    By hand, because argparse costs a third of the start-up time of the whole launcher.
    """
    options: dict[str, str] = {}
    limits: list[tuple[str, int]] = []
    rest = list(arguments)
    while rest and rest[0].startswith("--") and rest[0] != "--":
        option = rest.pop(0)
        if option not in (*SINGLE, "--limit"):
            raise Refused(f"unknown option {option!r}; usage: {USAGE}")
        if not rest:
            raise Refused(f"{option} needs a value; usage: {USAGE}")
        value = rest.pop(0)
        if option == "--limit":
            name, _, number = value.partition("=")
            if name not in LIMITS or not (number.isascii() and number.isdecimal()):
                raise Refused(f"--limit {value!r} is not NAME=N with a NAME of {', '.join(LIMITS)} and a whole N")
            limits.append((name, int(number)))
        else:
            options[option] = value
    if ("--socket" in options) != ("--socket-group" in options):
        raise Refused("--socket and --socket-group belong together: give both or neither")
    if "--socket-mode" in options and "--socket" not in options:
        raise Refused("--socket-mode needs --socket: it is that socket's mode")
    if "--socket" in options and "--user" not in options:
        raise Refused("--socket needs --user: without it the socket is systemd's to make")
    if len(rest) < 3 or rest[1] != "--":
        raise Refused(f"expected an environment file, then -- and a command; usage: {USAGE}")
    return options, limits, rest[0], [os.fsencode(part) for part in rest[2:]]


def read_environment(path: str) -> dict[bytes, bytes]:
    """Read ENVIRONMENT.json and return exactly the bytes that the process is to see."""
    try:
        with open(path, encoding="ascii") as file:
            entries = json.load(file)
    except OSError as error:
        raise Refused(f"cannot read the environment file {path}: {error.strerror}") from None
    except ValueError as error:  # covers both bad JSON and bytes that are not ASCII
        # A decoding error would quote the file's content when printed: name the place only.
        place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "a byte that is not ASCII"
        raise Refused(f"the environment file {path} is not ASCII JSON ({place}); deploy again to rewrite it") from None
    if not isinstance(entries, dict):
        raise Refused(f"the environment file {path} holds no JSON object; deploy again to rewrite it")
    environment = {}
    for name, value in entries.items():
        if not isinstance(value, str):
            raise Refused(f"environment variable {name!r} is not a string; quote its value in the inventory")
        try:
            raw_name, raw_value = name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise Refused(f"environment variable {name!a} holds half a character (a lone surrogate)") from None
        if not raw_name or b"=" in raw_name or b"\0" in raw_name:
            raise Refused(f"{name!r} cannot name an environment variable: empty, or with '=' or a NUL byte in it")
        if b"\0" in raw_value:
            raise Refused(f"environment variable {name!r} holds a NUL byte, which no operating system can pass on")
        if len(raw_name) + 1 + len(raw_value) > LONGEST_VARIABLE:
            raise Refused(
                f"environment variable {name!r} has {len(raw_value)} bytes, but Linux passes on at most "
                f"{LONGEST_VARIABLE} with its name. Put the value in a file and its path in the variable"
            )
        environment[raw_name] = raw_value
    return environment


def account(user: str | None) -> tuple[str, int, int, str]:
    """Return (name, uid, gid, home) of USER, or of the user that runs this."""
    import pwd

    if user is not None:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise Refused(f"there is no user {user!r} on this host; run site.yml to create it") from None
    else:
        try:
            entry = pwd.getpwuid(os.getuid())
        except KeyError:  # a container's bare uid
            return str(os.getuid()), os.getuid(), os.getgid(), "/"
    return entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir


def base_environment(name: str, home: str, venv: str | None) -> dict[bytes, bytes]:
    """Return the variables that every process of an app has, before its own are added."""
    environment = {
        b"PATH": SYSTEM_PATH,
        b"HOME": os.fsencode(home),
        b"USER": os.fsencode(name),
        b"LOGNAME": os.fsencode(name),
        b"LANG": b"C.UTF-8",
        b"PYTHONUNBUFFERED": b"1",  # what an app prints is in its log at once
    }
    if venv is not None:
        environment[b"VIRTUAL_ENV"] = os.fsencode(venv)
        environment[b"PATH"] = os.path.join(os.fsencode(venv), b"bin") + b":" + SYSTEM_PATH
    return environment


def pass_socket(path: str, group: str, mode: int) -> None:
    """Keep the socket at PATH open as the first that is passed on; root's, and GROUP may connect.

    As a socket unit of systemd does it: the folder is root's as well, so the app can put nothing in the socket's place.
    """
    import grp

    try:
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        raise Refused(f"there is no group {group!r} on this host; run site.yml to create it") from None
    folder = os.path.dirname(os.path.abspath(path))
    mask = os.umask(0o022)
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or (status.st_uid, status.st_mode & 0o022) != (os.geteuid(), 0):
            raise Refused(f"the socket's folder {folder} is not root's alone; remove it")
        handed = kept(folder)
        descriptor = listen(path) if handed is None else handed
        os.chown(path, -1, gid)
        os.chmod(path, mode)
        if handed is None:
            keep(path, descriptor)
    except OSError as error:
        raise Refused(f"cannot make the socket {path}: {error.strerror}") from None
    finally:
        os.umask(mask)
    if descriptor != FIRST_PASSED:
        os.dup2(descriptor, FIRST_PASSED)
        os.close(descriptor)
    os.set_inheritable(FIRST_PASSED, True)


def listen(path: str) -> int:
    """Make the listening socket, to which no client may connect yet; returns its descriptor."""
    import socket

    if os.path.lexists(path):
        os.unlink(path)  # that of an instance that was killed
    os.umask(0o777)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(socket.SOMAXCONN)  # what has to wait waits here
    return listener.detach()


def kept(folder: str) -> int | None:
    """Get the listening socket from the process that keeps it open; None where there is no such process."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(KEEPER_ANSWERS)
            door.connect(os.path.join(folder, KEEPER))
            descriptors = socket.recv_fds(door, 1, 1)[1]
    except OSError:
        return None
    return descriptors[0] if descriptors else None


def keep(path: str, descriptor: int) -> None:
    """Start the process that keeps a socket open while the instance is down, so that requests wait in its queue.

    It is no child of this process, which becomes gunicorn: the health gate would count it as a worker. Where it cannot start,
    a restart makes a new socket.
    """
    import contextlib
    import socket

    place = os.path.join(os.path.dirname(os.path.abspath(path)), KEEPER)
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as door:
        if os.path.lexists(place):
            os.unlink(place)
        os.umask(0o177)
        door.bind(place)
        door.listen(1)
        if child := os.fork():
            os.waitpid(child, 0)
            return
        try:
            os.setsid()
            if not os.fork():
                null = os.open(os.devnull, os.O_RDWR)
                for output in range(3):  # supervisord reads them until no process has them open
                    os.dup2(null, output)
                for one in (descriptor, door.fileno()):
                    os.set_inheritable(one, True)
                words = [sys.executable, "-IS", os.path.abspath(__file__), "--keep", path]
                os.execv(sys.executable, [*words, str(descriptor), str(door.fileno())])  # noqa: S606  # nosec B606 # no shell is the point
        finally:
            os._exit(0)


def keeper(path: str, listener: int, door: int) -> None:
    """Hand the socket at PATH to each launcher that asks, until another one, or nothing, is at PATH."""
    import contextlib
    import select
    import socket

    def place() -> tuple[int, int] | None:
        try:
            status = os.lstat(path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    first = place()
    with socket.socket(fileno=door) as waiting:
        while first == place() is not None:
            if select.select([waiting], [], [], KEEPER_LOOKS)[0] and first == place():
                with contextlib.suppress(OSError), waiting.accept()[0] as launcher:
                    launcher.settimeout(KEEPER_ANSWERS)
                    socket.send_fds(launcher, [b"."], [listener])


def write_to(pipe: str) -> None:
    """Send both outputs into the pipe. Its reader may begin at the same time, so this waits until the pipe is there.

    Opened for reading as well, so that no write fails while the pipe's reader is started again.
    """
    begin = time.monotonic()
    late, end = begin + READER_LATE, begin + READER_BEGINS
    failure: OSError
    while True:
        try:
            descriptor = os.open(pipe, os.O_RDWR | os.O_APPEND | os.O_NOCTTY)
            break
        except (FileNotFoundError, PermissionError) as error:  # at first the pipe is root's alone
            failure = error
        except OSError as error:
            failure, end = error, 0.0
        if time.monotonic() > end:
            why = failure.strerror
            raise Refused(f"cannot write to the log's pipe {pipe}: {why}; see its reader's unit") from None
        if time.monotonic() > late:
            late = end
            text = f"slipway exec: waiting for the log's pipe {pipe}, which its reader's unit makes"
            print(text, file=sys.stderr, flush=True)
        time.sleep(READER_LOOKS)
    for output in (1, 2):
        os.dup2(descriptor, output)
    os.close(descriptor)


def set_limits(limits: list[tuple[str, int]]) -> None:
    """Set each limit, soft and hard alike; where the host's own hard limit is lower, that one holds."""
    import resource

    for name, wanted in limits:
        kind = getattr(resource, "RLIMIT_" + name.upper())
        _, hard = resource.getrlimit(kind)
        try:
            resource.setrlimit(kind, (wanted, wanted))
        except (OSError, ValueError, OverflowError):
            # Raising a hard limit is root's, and not even root's in most containers.
            resource.setrlimit(kind, (hard, hard))
            print(f"slipway exec: limit {name} is {hard}, not {wanted}: this host allows no more", file=sys.stderr)


def drop_to(name: str, uid: int, gid: int) -> None:
    """Become the user permanently: groups, ids, and no way back through a setuid program."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise Refused(f"cannot forbid new privileges: {os.strerror(ctypes.get_errno())}")
    try:
        os.initgroups(name, gid)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise Refused(f"cannot become user {name!r}: {error.strerror}") from None


def prepare(arguments: list[str]) -> tuple[list[bytes], dict[bytes, bytes]]:
    """Do everything but the exec itself; return the command and its environment."""
    options, limits, path, command = parse(arguments)
    user = options.get("--user")
    mask = octal(options, "--umask")
    entries = read_environment(path)
    name, uid, gid, home = account(user)
    environment = base_environment(name, home, options.get("--venv"))
    # With --user we come from supervisor, ansible or a shell: a NOTIFY_SOCKET there is another program's.
    if user is None and b"NOTIFY_SOCKET" in os.environb:
        environment[b"NOTIFY_SOCKET"] = os.environb[b"NOTIFY_SOCKET"]
    environment.update(entries)
    if passed := sockets(options):  # this process is replaced, so its id stays the right one
        environment[b"LISTEN_PID"], environment[b"LISTEN_FDS"] = b"%d" % os.getpid(), b"%d" % passed
    if "--log" in options:
        write_to(options["--log"])
    set_limits(limits)
    if user is not None and os.getuid() != uid:
        if os.geteuid() != 0:
            raise Refused(f"only root can become user {name!r}; run this with sudo")
        drop_to(name, uid, gid)
    if mask is not None:
        os.umask(mask)
    if "--chdir" in options:  # after the drop: the user itself must be able to enter
        try:
            os.chdir(options["--chdir"])
        except OSError as error:
            raise Refused(f"user {name!r} cannot enter {options['--chdir']}: {error.strerror}") from None
    return command, environment


def octal(options: dict[str, str], option: str) -> int | None:
    """Return the mask or mode that an option asks for."""
    if option not in options:
        return None
    try:
        mask = int(options[option], 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise Refused(f"{option} {options[option]!r} is not an octal number from 0 to 0777")
    return mask


def sockets(options: dict[str, str]) -> int:
    """Make the listening socket where the options ask for one; return how many sockets are passed on."""
    if "--socket" in options:
        mode = octal(options, "--socket-mode")
        pass_socket(options["--socket"], options["--socket-group"], SOCKET_MODE if mode is None else mode)
        return 1
    if "--user" not in options and os.environ.get("LISTEN_PID") == str(os.getpid()):
        return int(os.environ.get("LISTEN_FDS", "0"))
    return 0


def become(command: list[bytes], environment: dict[bytes, bytes]) -> NoReturn:
    """Replace this process by COMMAND, looked up along the PATH of the new environment."""
    import signal

    # Python ignores these two, and an ignored signal stays ignored through exec: pipes in hooks would not end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    shown = os.fsdecode(command[0])
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606  # nosec B606 # no shell is the point
    except (FileNotFoundError, NotADirectoryError):
        status, problem = NOT_FOUND, f"there is no command {shown!r} (or the interpreter in its first line)"
    except OSError as error:
        status, problem = NOT_EXECUTABLE, f"cannot execute {shown!r}: {error.strerror}"
    print(f"slipway exec: {problem}", file=sys.stderr)
    sys.exit(status)


def main() -> NoReturn:
    """Run the command line of this process."""
    if sys.argv[1:2] == ["--keep"]:
        keeper(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        sys.exit(0)
    try:
        command, environment = prepare(sys.argv[1:])
    except Refused as refusal:
        print(f"slipway exec: {refusal}", file=sys.stderr)
        sys.exit(REFUSED)
    become(command, environment)


if __name__ == "__main__":
    main()
