"""Command line: `python -m tests.hosts` from the project's folder."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from . import containers, images, machine
from .machine import HostsError

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "hosts"


def _packages(facts: machine.Facts, install: bool) -> None:
    """Install missing packages where that is requested and possible, else name them in one line."""
    packages = machine.missing(facts)
    if not packages:
        return
    command = machine.install_command(packages)
    if install and facts.uid == 0 and facts.distribution == "debian":
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for argv in (["apt-get", "update", "-qq"], command):
            if subprocess.run(argv, env=env, stdout=sys.stderr, check=False).returncode:
                raise HostsError(f"`{shlex.join(argv)}` failed: its own message is above")
        return
    sudo = "" if facts.uid == 0 else "sudo "
    raise HostsError(f"test hosts need packages that are not here; install them with: {sudo}{shlex.join(command)}")


def _hosts(pairs: list[str]) -> dict[str, str]:
    hosts = dict(pair.partition("=")[::2] for pair in pairs)
    if wrong := [name for name, image in hosts.items() if not name or not image]:
        raise HostsError(f"a host is given as name=image, not {wrong[0]!r}")
    return hosts


def main() -> None:
    """Run one command; faults are one line on standard error and status 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts", description=__doc__)
    parser.add_argument("--install", action="store_true", help="install missing packages (root on Debian only)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("podman", help="print what this machine's podman needs, as a line for eval")
    commands.add_parser("images", help="build the images").add_argument("image", nargs="*", default=list(images.COMMON))
    create = commands.add_parser("create", help="start a scenario's hosts")
    create.add_argument("scenario")
    create.add_argument("host", nargs="+", help="name=image")
    commands.add_parser("destroy", help="remove a scenario's hosts").add_argument("scenario")
    commands.add_parser("restart", help="reboot a host").add_argument("container")
    options = parser.parse_args()

    facts = machine.read()
    _packages(facts, options.install)
    env = machine.environment(facts, CACHE)
    if options.command == "podman":
        print(f"# {machine.needs(facts).sentence()}")
        for name, value in env.items():
            print(f"export {name}={shlex.quote(value)}")
    elif options.command == "images":
        built = images.ensure(options.image, env)
        print("\n".join(f"built {image}" for image in built) or "every image is there")
    elif options.command == "create":
        hosts = _hosts(options.host)
        print(machine.needs(facts).sentence())
        images.ensure(list(hosts.values()), env)
        for host, state in containers.create(options.scenario, hosts, env).items():
            print(f"{host} is {state}")
    elif options.command == "destroy":
        print("\n".join(f"removed {name}" for name in containers.destroy(options.scenario, env)))
    elif options.command == "restart":
        print(f"{options.container} is {containers.restart(options.container, env)}")


if __name__ == "__main__":
    try:
        main()
    except HostsError as fault:
        sys.exit(str(fault))
