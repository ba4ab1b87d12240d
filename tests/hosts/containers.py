"""The hosts of one Molecule scenario: started together, named after it, and gone without a trace.

Scenarios run in parallel: each has its own network and its own names, `slipway-<scenario>-<host>`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from .machine import HostsError, attempt, run

BOOTED = ("running", "degraded")
BOOT_DEADLINE = 60.0
"""Seconds until a host must have booted; one second is the rule, slow disks and eight hosts at once are not."""

LABEL = "slipway.scenario"


def container(scenario: str, host: str) -> str:
    """The container's name, which the inventory gives as `ansible_host`."""
    return f"slipway-{scenario}-{host}"


def _start(scenario: str, host: str, image: str, env: Mapping[str, str]) -> None:
    argv = ["podman", "run", "--detach", "--replace", "--pull=never", "--systemd=always"]
    # Without it, the sandbox directives of a unit (ProtectSystem=, PrivateTmp=, ...) are accepted and do nothing.
    argv += ["--privileged"]
    argv += ["--tmpfs=/run", "--tmpfs=/tmp"]
    argv += ["--name", container(scenario, host), "--hostname", host, "--label", f"{LABEL}={scenario}"]
    argv += ["--network", f"slipway-{scenario}", "--network-alias", host]
    run([*argv, image, "/sbin/init"], env)


def wait(name: str, env: Mapping[str, str]) -> str:
    """Wait until systemd in the container `name` has booted; return its state, "running" or "degraded"."""
    deadline = time.monotonic() + BOOT_DEADLINE
    argv = ["podman", "exec", name, "systemctl", "is-system-running", "--wait"]
    while True:
        result = attempt(argv, env)
        if (state := result.stdout.strip()) in BOOTED:
            return state
        if time.monotonic() > deadline:
            raise HostsError(
                f"the host {name} has not booted within {BOOT_DEADLINE:.0f} s (systemd says "
                f"{state or result.stderr.strip()!r}): look at `podman logs {name}`"
            )
        time.sleep(0.2)  # systemd does not answer yet


def create(scenario: str, hosts: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """Start a container for each host (name: image), replacing one that is there; return their states when booted."""
    network = f"slipway-{scenario}"
    if attempt(["podman", "network", "exists", network], env).returncode:
        run(["podman", "network", "create", network], env)

    def one(host: str) -> str:
        _start(scenario, host, hosts[host], env)
        return wait(container(scenario, host), env)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(hosts, pool.map(one, hosts), strict=True))


def destroy(scenario: str, env: Mapping[str, str]) -> list[str]:
    """Remove every container of the scenario and its network; return the containers' names."""
    listed = run(["podman", "ps", "--all", "--format", "json", "--filter", f"label={LABEL}={scenario}"], env)
    names = [name for each in json.loads(listed or "[]") for name in each["Names"]]
    if names:
        run(["podman", "rm", "--force", "--time", "0", *names], env)
    run(["podman", "network", "rm", "--force", f"slipway-{scenario}"], env)
    return names


def restart(name: str, env: Mapping[str, str]) -> str:
    """Reboot a host: its processes are stopped in order, /run and /tmp are empty, and systemd boots again."""
    run(["podman", "restart", name], env)
    return wait(name, env)
