"""Hosts to measure on: containers that have booted systemd, reached over a real ssh connection."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.kit.plugins.module_utils import indexes

from tests.hosts import containers, images
from tests.hosts.machine import environment, read, run

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache/benchmarks"
SCENARIO = "benchmarks"
IMAGE = "localhost/slipway-bookworm-ready"
"""Debian 12 with nginx, git and python3-venv installed: what is measured is the deploy, not Debian's package server."""
PREPARE = """
set -e
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
apt-get -qq update || true
DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends openssh-server python3-packaging >/dev/null
rm /usr/sbin/policy-rc.d
install -d -m 0700 /root/.ssh && cat > /root/.ssh/authorized_keys
rm -f /etc/nginx/sites-enabled/default
systemctl -q enable ssh && systemctl -q enable nginx
"""
"""What makes the image one that can be reached by ssh, its nginx one that runs, and Ansible's pip module content."""
TRUST = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Host:
    """A host, and how it is reached."""

    name: str
    address: str

    @property
    def ssh(self) -> list[str]:
        """The command that runs another one on the host, over a connection that is shared and kept, as Ansible's is."""
        return ["ssh", *options(), f"root@{self.address}"]

    def run(self, *command: str, text: str | bytes = b"") -> str:
        """The output of a command on the host, which has to succeed."""
        data = text.encode() if isinstance(text, str) else text
        result = subprocess.run([*self.ssh, *command], input=data, capture_output=True, timeout=300, check=False)
        if result.returncode:
            raise RuntimeError(f"{self.name}: {command} ended with {result.returncode}: {result.stderr.decode()}")
        return result.stdout.decode()


def key() -> Path:
    """The private key of the measurements, made once."""
    path = CACHE / "key"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


def options() -> list[str]:
    """How every contender connects."""
    return [
        *("-i", str(key())),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
        *("-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", f"ControlPath={CACHE}/%C"),
    ]


def image(env: dict[str, str]) -> str:
    """The image with an ssh server, built once."""
    name = "localhost/slipway-benchmarks"
    images.ensure([IMAGE], env)
    base = run(["podman", "image", "inspect", IMAGE, "--format", "{{.Id}}"], env).strip()
    public = key().with_suffix(".pub").read_text(encoding="utf-8")
    wanted = hashlib.sha256(f"{base}{PREPARE}{package_index()}{public}".encode()).hexdigest()[:16]
    label = subprocess.run(
        ["podman", "image", "inspect", name, "--format", '{{index .Labels "recipe"}}'],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if label.stdout.strip() != wanted:
        host = containers.container(SCENARIO, "maker")
        containers.create(SCENARIO, {"maker": IMAGE}, env)
        run(["podman", "exec", "-i", host, "sh", "-c", PREPARE], env, public)
        for path, text in package_index().items():
            run(["podman", "exec", "-i", host, "sh", "-c", f"mkdir -p $(dirname {path}) && cat > {path}"], env, text)
        run(["podman", "commit", "--quiet", "--change", f"LABEL recipe={wanted}", host, name], env)
        containers.destroy(SCENARIO, env)
    return name


def package_index() -> dict[str, str]:
    """Write the files that let pip and uv on a host use this machine's package index and certificate authorities.

    Slipway writes its own; the others need these.
    """
    controller = indexes.find({}, os.environ, indexes.pip_settings())
    pip, uv = [], ["native-tls = true"]
    if controller.url:
        pip.append(f"index-url = {controller.url}")
        uv.append(f'index-url = "{controller.url}"')
    if controller.extra:
        pip.append(f"extra-index-url = {' '.join(controller.extra)}")
        uv.append(f"extra-index-url = {json.dumps(controller.extra)}")
    files = {"/etc/uv/uv.toml": "\n".join(uv) + "\n", "/etc/pip.conf": "\n".join(["[global]", *pip]) + "\n"}
    if controller.ca:
        files[TRUST] = Path(controller.ca).read_text(encoding="utf-8")
        files["/etc/pip.conf"] += f"cert = {TRUST}\n"
    return files


@contextlib.contextmanager
def fresh(number: int = 1) -> Iterator[Sequence[Host]]:
    """So many hosts on which nothing was deployed yet; gone afterwards."""
    env = environment(read(), ROOT / ".cache/hosts")
    names = [f"host-{one}" for one in range(1, number + 1)]
    containers.create(SCENARIO, dict.fromkeys(names, image(env)), env)
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    try:
        hosts = []
        for name in names:
            container = containers.container(SCENARIO, name)
            hosts.append(Host(name, run(["podman", "inspect", container, "--format", form], env).strip()))
        for host in hosts:
            _reach(host)
        yield hosts
    finally:
        containers.destroy(SCENARIO, env)


def _reach(host: Host) -> None:
    end = time.monotonic() + 30
    while True:
        # A shared connection to a host that had this address before is of no use.
        subprocess.run(["ssh", *options(), "-O", "exit", f"root@{host.address}"], capture_output=True, check=False)
        with contextlib.suppress(RuntimeError):
            host.run("true")
            return
        if time.monotonic() > end:
            raise RuntimeError(f"{host.name} cannot be reached by ssh")
        time.sleep(0.2)
