"""Reach a podman container: by nsenter when it runs beside us, by `podman exec` otherwise."""

from __future__ import annotations

DOCUMENTATION = r"""
name: podman
short_description: Run tasks in a podman container, one process per module call
version_added: 0.1.0
author:
  - The Slipway maintainers
description:
  - Modules travel on standard input, so that a module call is one process in the container.
  - Where Ansible runs as root on the machine that runs the container, the process enters the container's namespaces
    with C(nsenter), which takes about 15 ms; C(podman exec) records every call in its database and takes 200 ms and more.
  - Processes start with an environment of their own (E(HOME), E(LANG), E(PATH)) and not with the controller's.
options:
  remote_addr:
    description: Name of the container.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_podman_host
  remote_user:
    description: User in the container who runs the tasks; root when not given. Another one than root goes through C(podman exec).
    type: str
    ini:
      - section: defaults
        key: remote_user
    env:
      - name: ANSIBLE_REMOTE_USER
    vars:
      - name: ansible_user
    keyword:
      - name: remote_user
  executable:
    description: The client to call; anything with podman's C(inspect) and C(exec) will do.
    type: str
    default: podman
    vars:
      - name: ansible_podman_executable
    env:
      - name: ANSIBLE_PODMAN_EXECUTABLE
  nsenter:
    description: Whether to enter the container's namespaces directly where that is possible.
    type: bool
    default: true
    vars:
      - name: ansible_podman_nsenter
    env:
      - name: ANSIBLE_PODMAN_NSENTER
extends_documentation_fragment:
  - connection_pipelining
"""

EXAMPLES = r"""
# inventory
web:
  hosts:
    shop-test:
      ansible_connection: slipway.kit.podman
      ansible_host: slipway-default-bookworm
"""

import hashlib
import os
import select
import selectors
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

display = Display()

ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "container": "podman",
}
"""What a process in the container starts with: Debian's PATH of root, and the mark that systemd knows containers by."""

CLIENT_FAILED = 125
"""Status with which `podman exec` says that it, and not the command, failed (podman-exec(1))."""

MOST = 64 << 20
"""Bytes that a command may say: more is no result, and all of it is kept in memory here."""

CHUNK = 1 << 16
"""Bytes read at a time: what a pipe of Linux holds (pipe(7))."""

# Joins the control groups given up to "--", then becomes the rest: what a task leaves running belongs to the container.
_JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1"; shift; done 2>/dev/null; shift; exec "$@"'


@dataclass(frozen=True)
class Init:
    """The first process of a container; its start time (clock ticks after boot) tells it from a later one of that pid."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Init | None:
        """The process `pid` as it is now, or None when there is none."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        return cls(pid, stat.rpartition(")")[2].split()[19])

    def alive(self) -> bool:
        """Whether the container still runs, and has not been restarted."""
        return Init.of(self.pid) == self

    def control_groups(self) -> list[str]:
        """The files by which a process joins the container's control groups."""
        files = []
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _number, controllers, path = line.split(":", 2)
            names = [controllers.removeprefix("name=")] if controllers else ["unified", ""]
            candidates = [os.path.normpath(f"/sys/fs/cgroup/{name}{path}/cgroup.procs") for name in names]
            files += [file for file in candidates if path != "/" and os.path.exists(file)][:1]
        return files


class Connection(ConnectionBase):
    """One container. Processes that serve several tasks find its first process in a small cache file."""

    transport = "slipway.kit.podman"
    has_pipelining = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._init: Init | None = None
        self._prefix: list[str] = []

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def close(self) -> None:
        """Nothing is held open."""
        self._connected = False

    def reset(self) -> None:
        """Forget what is known about the container."""
        self._init = None
        self._cache().unlink(missing_ok=True)

    # --- the container's first process ---------------------------------------------------------------------------

    def _cache(self) -> Path:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "containers"
        name = f"{self.get_option('executable')} {self.get_option('remote_addr')}"
        return folder / hashlib.sha256(name.encode()).hexdigest()[:24]

    def _inspect(self) -> Init | None:
        """Ask podman for the container's first process; None when it is not a process of this machine."""
        argv = [self.get_option("executable"), "inspect", "--type=container", "--format={{.State.Pid}} {{.Id}}"]
        done = subprocess.run([*argv, self.get_option("remote_addr")], capture_output=True, text=True, check=False)
        if done.returncode:
            raise AnsibleConnectionFailure(
                f"there is no container {self.get_option('remote_addr')} ({done.stderr.strip()}): create it first"
            )
        pid, identity = done.stdout.split()
        if pid == "0":
            raise AnsibleConnectionFailure(f"the container {self.get_option('remote_addr')} does not run")
        try:  # with a remote podman the number would be another machine's
            here = identity in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            here = False
        return Init.of(int(pid)) if here else None

    def _find_init(self) -> Init | None:
        """The container's first process when it can be entered directly, from the cache where that is still true."""
        if self._init and self._init.alive():
            return self._init
        direct = (
            self.get_option("nsenter") and os.geteuid() == 0 and self.get_option("remote_user") in (None, "", "root")
        )
        nsenter = shutil.which("nsenter")
        if not direct or nsenter is None:
            return None
        cache = self._cache()
        try:
            pid, started = cache.read_text().split()
            init: Init | None = Init(int(pid), started)
        except (OSError, ValueError):
            init = None
        if init is None or not init.alive():
            init = self._inspect()
            if init is None:
                return None
            cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = cache.with_suffix(f".{os.getpid()}")
            draft.write_text(f"{init.pid} {init.started}\n")
            draft.replace(cache)
        enter = [nsenter, f"--target={init.pid}", "--all", "--"]
        self._prefix = ["/bin/sh", "-c", _JOIN, "sh", *init.control_groups(), "--", *enter]
        self._init = init
        return init

    # --- running -------------------------------------------------------------------------------------------------

    def _run(
        self, command: str, data: bytes = b"", stdin: IO[bytes] | None = None, stdout: IO[bytes] | int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell command in the container, with `data` or the file `stdin` as its standard input.

        Raises AnsibleConnectionFailure when the container cannot be reached, AnsibleError when the command says too much.
        """
        shell = ["/bin/sh", "-c", f"cd 2>/dev/null; unset OLDPWD; {command}"]
        if self._find_init():
            argv = [*self._prefix, *shell]
            return _limited(argv, ENVIRONMENT, data, stdin, stdout)
        argv = [self.get_option("executable"), "exec", "--interactive"]
        if user := self.get_option("remote_user"):
            argv += ["--user", user]
        else:
            argv += [word for name, value in ENVIRONMENT.items() for word in ("--env", f"{name}={value}")]
        argv += [self.get_option("remote_addr"), *shell]
        done = _limited(argv, None, data, stdin, stdout)
        if done.returncode == CLIENT_FAILED and done.stderr.startswith(b"Error: "):
            raise AnsibleConnectionFailure(done.stderr.decode(errors="replace").strip())
        return done

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run `cmd` with `in_data` on its standard input; return its status, output and errors."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        display.vvv(f"EXEC {cmd}", host=self.get_option("remote_addr"))
        done = self._run(cmd, in_data or b"")
        out = done.stdout
        if sudoable and self.become and self.become.success:  # the mark of a become that worked is no output
            out = out.replace(self.become.success.encode() + b"\n", b"", 1)
        return done.returncode, out, done.stderr

    def _copy(self, command: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | int = subprocess.DEVNULL) -> None:
        done = self._run(command, stdin=stdin, stdout=stdout)
        if done.returncode:
            raise AnsibleConnectionFailure(f"`{command}` failed: {done.stderr.decode(errors='replace').strip()}")

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the controller into the container."""
        super().put_file(in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"{in_path} is not there to be copied to {out_path}")
        with open(in_path, "rb") as source:
            self._copy(f"cat > {shlex.quote(out_path)}", stdin=source)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the container to the controller."""
        super().fetch_file(in_path, out_path)
        with open(out_path, "wb") as target:
            self._copy(f"cat {shlex.quote(in_path)}", stdout=target)


def _limited(
    argv: Sequence[str],
    environment: dict[str, str] | None,
    data: bytes,
    stdin: IO[bytes] | None,
    stdout: IO[bytes] | int,
) -> subprocess.CompletedProcess[bytes]:
    """As `subprocess.run`, which has no limit for what it reads. Raises AnsibleError beyond MOST."""
    process = subprocess.Popen(
        argv, env=environment, stdin=stdin or subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, bufsize=0
    )
    said: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    left = memoryview(data)
    with process, selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            if stream:
                selector.register(stream, selectors.EVENT_READ)
        if process.stdin:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _events in selector.select():
                if key.fileobj is process.stdin:
                    try:
                        left = left[os.write(key.fd, left[: select.PIPE_BUF]) :]
                    except BrokenPipeError:  # it reads no more
                        left = left[:0]
                    over = not left
                else:
                    chunk = os.read(key.fd, CHUNK)
                    said[key.fileobj] += chunk
                    over = not chunk
                    if len(said[key.fileobj]) > MOST:
                        process.kill()
                        raise AnsibleError(
                            f"A command in the container said more than {MOST >> 20} MiB, and nothing of that was used; see "
                            "what changes the container's answers"
                        )
                if over:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
    return subprocess.CompletedProcess(
        argv, process.returncode, bytes(said[process.stdout]), bytes(said[process.stderr])
    )
