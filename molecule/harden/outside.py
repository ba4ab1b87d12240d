"""The hosts of this scenario, seen from outside."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.hosts.scenario import ROOT, Scenario
from tests.patience import patience

FILES = ROOT / ".cache/tests/harden"
SCENARIO = Scenario("harden")
HOSTS = ("bookworm", "trixie")
within, address = SCENARIO.within, SCENARIO.address
ODD_PORT = 9999
"""A port of which the inventory says nothing."""
PASSWORD = "a-poor-password"
ENVIRONMENT = {
    **os.environ,
    **SCENARIO.environment,
    "ANSIBLE_STDOUT_CALLBACK": "slipway.kit.concise",
}


def ssh(host: str, *options: str, password: str = "") -> subprocess.CompletedProcess[str]:
    """Log in by ssh from here, over a separate connection."""
    environment = dict(ENVIRONMENT)
    if password:
        script = FILES / "askpass"
        script.write_text(f"#!/bin/sh\necho {password}\n")
        script.chmod(0o700)
        environment |= {"SSH_ASKPASS": str(script), "SSH_ASKPASS_REQUIRE": "force"}
    command = ["ssh", "-F", str(FILES / "ssh_config"), "-o", f"HostName={address(host)}", "-o", "ConnectTimeout=5"]
    command += [*options, SCENARIO.container(host), "id -un"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def by_password(host: str) -> subprocess.CompletedProcess[str]:
    """Log in by password alone."""
    return ssh(host, "-o", "PreferredAuthentications=password,keyboard-interactive", password=PASSWORD)


def visit(host: str, path: str = "/shop/", **headers: str) -> int:
    """Send a request as a client does. Returns the status."""
    connection = http.client.HTTPConnection(address(host), 80, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": "site.test", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def basic(user: str) -> str:
    """The header `Authorization` of a client that guesses a password."""
    return f"Basic {base64.b64encode(f'{user}:wrong'.encode()).decode()}"


def open_port(host: str, port: int) -> bool:
    """Whether a port is reachable from outside the host."""
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex((address(host), port)) == 0


@contextmanager
def listener(host: str, port: int = ODD_PORT) -> Iterator[None]:
    """A program that listens on a port of a host, on every address."""
    unit = f"listener-{port}"
    serve = f"import socket, time; s = socket.create_server(('', {port})); exec('while True: s.accept()')"
    within(host, "systemd-run", "--quiet", f"--unit={unit}", "/usr/bin/python3", "-c", serve)
    try:
        wait(lambda: within(host, "ss", "-Hltn", f"sport = {port}").strip() != "", "nobody listens")
        yield
    finally:
        within(host, "systemctl", "stop", unit)


def wait(condition: Any, otherwise: str, seconds: float = 30) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)


def play(playbook: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run a playbook over ssh, as the operator does."""
    argv = [f"{Path(sys.executable).parent}/ansible-playbook", "-i", SCENARIO.inventory, playbook, *options]
    return subprocess.run(
        [*argv, "-e", json.dumps(variables)],
        cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
