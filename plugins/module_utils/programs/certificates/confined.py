"""Runs certbot, and reads what it made, as a user that has no other rights."""

from __future__ import annotations

import contextlib
import os
import pwd
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .settings import Trouble

OUTPUT = 64 * 1024
"""Bytes that are kept of a command's output."""
READ = 10.0
"""Seconds within which a file of the user's is read."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
FILE = 4 << 20
"""Bytes of a file that certbot writes. It writes a whole answer of the authority into its log."""
ADDRESSES = 512 << 20
"""Bytes of memory that a process may reserve. certbot with boto3 reserves 80 MB. In many containers systemd's own limit of
memory does nothing, since they have no control group for it."""
LIMITS = ("--core=0", f"--fsize={FILE}", f"--as={ADDRESSES}", "--nproc=256", "--nofile=1024")
SANDBOX = (
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectProc=invisible",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "LockPersonality=yes",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "MemoryMax=512M",
    "MemorySwapMax=0",
    f"LimitFSIZE={FILE}",
    f"LimitAS={ADDRESSES}",
    "LimitCORE=0",
    "TasksMax=256",
    "UMask=0022",
    "KillMode=control-group",
    "KillSignal=SIGKILL",
)
"""What systemd enforces for certbot: it writes its own folder and talks to the network."""
UNIT = "slipway-acme"


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    output: str
    timed_out: bool


def has_systemd() -> bool:
    """Whether systemd is the host's init."""
    return os.path.isdir("/run/systemd/system")


def run(command: Sequence[str], user: str, folder: str, environment: Mapping[str, str], deadline: float) -> Outcome:
    """Run a command as the user; when this returns, none of the user's processes is left.

    Args:
        command: the program and its arguments, none of them a secret.
        user: who runs it.
        folder: the one folder that it may write, where systemd enforces that.
        environment: variables beyond PATH and HOME, none of them a secret.
        deadline: seconds after which it is ended.

    Raises:
        Trouble: the user is missing, or the command could not be started.
    """
    account = _account(user)
    variables = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": folder, **environment}
    if has_systemd():
        properties = (
            *SANDBOX,
            f"ReadWritePaths={folder}",
            f"User={user}",
            f"RuntimeMaxSec={deadline + 30:.0f}",
        )
        argv = ["systemd-run", "--quiet", "--collect", "--wait", "--pipe", "--service-type=exec"]
        argv += [f"--unit={UNIT}-certbot", "--description=Slipway: certbot"]
        argv += [f"--property={text}" for text in properties]
        argv += [f"--setenv={name}={value}" for name, value in variables.items()]
        # systemd puts variables into a command's words, except where the sign is doubled.
        argv += ["--", *(word.replace("$", "$$") for word in command)]
    else:
        argv = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        argv += ["--no-new-privs", "prlimit", *LIMITS, "--", *command]
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables, cwd="/"
        )
    except OSError as error:
        raise Trouble(f"{argv[0]} cannot be started: {error.strerror}") from error
    try:
        return _follow(process, time.monotonic() + deadline)
    finally:
        end_all(account.pw_uid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(READ)
        if process.poll() is None:
            process.kill()
        if process.stdout:
            process.stdout.close()


def _follow(process: subprocess.Popen[bytes], until: float) -> Outcome:
    kept = b""
    output = process.stdout.fileno() if process.stdout else -1
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while time.monotonic() < until:
            if not selector.select(min(1.0, until - time.monotonic())):
                if process.poll() is not None:
                    break
                continue
            data = os.read(output, 65536)
            if not data:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, until - time.monotonic()))
                break
            kept = (kept + data)[-OUTPUT:]
    status = process.poll()
    return Outcome(-1 if status is None else status, kept.decode("utf-8", "replace"), status is None)


def end_all(uid: int) -> None:
    """Kill every process of a user in one step of the kernel, which no fork escapes."""
    if uid == 0:
        return
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def read(path: str, user: str, limit: int) -> bytes:
    """The content of a file that belongs to the user, read with the user's rights: a link leads nowhere else.

    Raises:
        Trouble: it cannot be read, or is larger than the limit.
    """
    account = _account(user)
    command = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--no-new-privs"]
    try:
        result = subprocess.run(
            [*command, "head", f"--bytes={limit + 1}", "--", path],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=READ,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"{path} cannot be read within {READ:.0f} s") from error
    if result.returncode:
        raise Trouble(f"{path} cannot be read by {user}")
    if len(result.stdout) > limit:
        raise Trouble(f"{path} is larger than {limit} bytes, which no certificate is")
    return result.stdout


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError as error:
        raise Trouble(f"this host has no user {user}; deploy again to create it") from error
