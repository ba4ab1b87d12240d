"""Connects to a podman container: by nsenter if it runs on this machine, else by `podman exec`."""

from __future__ import annotations

DOCUMENTATION = r"""
name: podman
short_description: Run tasks in a podman container, one process per module call
version_added: 0.1.0
author:
  - The Slipway maintainers
description:
  - Modules are sent on standard input, so that a module call is one process in the container.
  - If Ansible runs as root on the container's machine, the process enters the container's namespaces with C(nsenter), which takes
    about 15 ms. C(podman exec) records every call in its database and takes 200 ms and more.
  - Processes do not inherit the controller's environment. They start with E(HOME), E(LANG) and E(PATH) of the container.
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
    description: User in the container that runs the tasks; root by default. Any other user needs C(podman exec).
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
    description: The client to call. Any program with podman's C(inspect) and C(exec) works.
    type: str
    default: podman
    vars:
      - name: ansible_podman_executable
    env:
      - name: ANSIBLE_PODMAN_EXECUTABLE
  nsenter:
    description: Whether to enter the container's namespaces directly if possible.
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
"""The environment of a process in the container: Debian's PATH for root, and the mark of a container for systemd."""

CLIENT_FAILED = 125
"""The status of `podman exec` when podman itself failed, not the command (podman-exec(1))."""

MOST = 64 << 20
"""Most bytes of a command's output, all of which is kept in memory. No real result is longer."""

CHUNK = 1 << 16
"""Bytes to read at a time: the size of a pipe on Linux (pipe(7))."""

# Joins the control groups before "--", then becomes the command after it. So processes that a task leaves running belong to the
# container.
_JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1"; shift; done 2>/dev/null; shift; exec "$@"'


@dataclass(frozen=True)
class Init:
    """The first process of a container. Its start time (clock ticks after boot) distinguishes it from a later process."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Init | None:
        """Read the process with this pid; None if it does not exist, or is ending and has no namespaces any more."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            os.readlink(f"/proc/{pid}/ns/mnt")
        except OSError:
            return None
        return cls(pid, stat.rpartition(")")[2].split()[19])

    def alive(self) -> bool:
        """Whether the container still runs and was not restarted."""
        return Init.of(self.pid) == self

    def control_groups(self) -> list[str]:
        """List the files by which a process joins the container's control groups."""
        files = []
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _number, controllers, path = line.split(":", 2)
            names = [controllers.removeprefix("name=")] if controllers else ["unified", ""]
            candidates = [os.path.normpath(f"/sys/fs/cgroup/{name}{path}/cgroup.procs") for name in names]
            files += [file for file in candidates if path != "/" and os.path.exists(file)][:1]
        return files

    def entered_by(self, nsenter: str) -> list[str]:
        """The words before a command that runs it in the container: in its control groups and namespaces."""
        enter = [nsenter, f"--target={self.pid}", "--all", "--"]
        return ["/bin/sh", "-c", _JOIN, "sh", *self.control_groups(), "--", *enter]


class Connection(ConnectionBase):
    """A connection to one container. A small cache file names the container's first process for other processes."""

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
        """Close nothing, since nothing stays open."""
        self._connected = False

    def reset(self) -> None:
        """Forget the container's first process."""
        self._init = None
        self._cache().unlink(missing_ok=True)

    # --- the container's first process ---------------------------------------------------------------------------

    def _cache(self) -> Path:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slipway" / "containers"
        name = f"{self.get_option('executable')} {self.get_option('remote_addr')}"
        return folder / hashlib.sha256(name.encode()).hexdigest()[:24]

    def _inspect(self) -> Init | None:
        """Ask podman for the container's first process; None if it is not on this machine."""
        argv = [self.get_option("executable"), "inspect", "--type=container", "--format={{.State.Pid}} {{.Id}}"]
        answer = subprocess.run([*argv, self.get_option("remote_addr")], capture_output=True, text=True, check=False)
        if answer.returncode:
            raise AnsibleConnectionFailure(
                f"there is no container {self.get_option('remote_addr')} ({answer.stderr.strip()}): create it first"
            )
        pid, container_id = answer.stdout.split()
        if pid == "0":
            raise AnsibleConnectionFailure(
                f"the container {self.get_option('remote_addr')} does not run: start it first"
            )
        try:  # with a remote podman, the pid belongs to another machine
            is_local = container_id in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            is_local = False
        return Init.of(int(pid)) if is_local else None

    def _find_init(self) -> Init | None:
        """Return the container's first process if it can be entered directly, from the cache if that is still valid."""
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
        self._prefix = init.entered_by(nsenter)
        self._init = init
        return init

    # --- running -------------------------------------------------------------------------------------------------

    def _run(
        self, command: str, data: bytes = b"", stdin: IO[bytes] | None = None, stdout: IO[bytes] | int = subprocess.PIPE
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell command in the container, with `data` or the file `stdin` as its standard input.

        Raises:
            AnsibleConnectionFailure: The container cannot be reached.
            AnsibleError: The command's output is too long.
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
        result = _limited(argv, None, data, stdin, stdout)
        if result.returncode == CLIENT_FAILED and result.stderr.startswith(b"Error: "):
            raise AnsibleConnectionFailure(result.stderr.decode(errors="replace").strip())
        return result

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command with `in_data` on its standard input.

        Returns:
            Its status, output and errors.
        """
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        display.vvv(f"EXEC {cmd}", host=self.get_option("remote_addr"))
        result = self._run(cmd, in_data or b"")
        out = result.stdout
        if sudoable and self.become and self.become.success:  # the mark of a become that worked is not output
            out = out.replace(self.become.success.encode() + b"\n", b"", 1)
        return result.returncode, out, result.stderr

    def _copy(self, command: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | int = subprocess.DEVNULL) -> None:
        result = self._run(command, stdin=stdin, stdout=stdout)
        if result.returncode:
            raise AnsibleConnectionFailure(f"`{command}` failed: {result.stderr.decode(errors='replace').strip()}")

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the controller into the container."""
        super().put_file(in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"{in_path} does not exist and cannot be copied to {out_path}")
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
    """Run a command as `subprocess.run` does, but limit its output to MOST.

    Raises:
        AnsibleError: The output is longer.
    """
    process = subprocess.Popen(
        argv, env=environment, stdin=stdin or subprocess.PIPE, stdout=stdout, stderr=subprocess.PIPE, bufsize=0
    )
    output: dict[Any, bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
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
                    except BrokenPipeError:  # the command no longer reads
                        left = left[:0]
                    over = not left
                else:
                    chunk = os.read(key.fd, CHUNK)
                    output[key.fileobj] += chunk
                    over = not chunk
                    if len(output[key.fileobj]) > MOST:
                        process.kill()
                        raise AnsibleError(
                            f"A command in the container wrote more than {MOST >> 20} MiB, all of which was discarded; find out "
                            "what changes the container's output"
                        )
                if over:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
    return subprocess.CompletedProcess(
        argv, process.returncode, bytes(output[process.stdout]), bytes(output[process.stderr])
    )
