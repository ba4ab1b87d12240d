"""What this machine's podman needs before it can start a host, and which packages are missing.

`read` gathers facts from files; `needs` and `missing` are pure functions of those facts. An ordinary machine needs
nothing, and then podman runs with its own configuration.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CAP_SYS_RESOURCE = 24
"""Bit of the capability that lets a process raise its hard limits (capabilities(7), linux/capability.h)."""

WANTED_LIMIT = 1048576
"""What podman asks for, for open files and for processes, when nothing else is configured (measured, podman 4.3)."""

SOFT_OPEN_FILES = 1024
"""Soft limit of open files that a process gets on an ordinary Debian host."""

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HELPER_FOLDERS = ("/usr/lib/podman", "/usr/libexec/podman", "/usr/local/lib/podman", "/usr/local/libexec/podman")
CNI_FOLDERS = ("/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin")


class HostsError(Exception):
    """A fault that the user can correct; the message says how."""


@dataclass(frozen=True)
class Facts:
    """What decides how podman is configured.

    `cgroups` is "unified", "hybrid" or "legacy"; limits are the hard ones, `None` meaning unlimited; `tools` are the
    commands and helpers that were found, by name.
    """

    uid: int
    may_raise_limits: bool
    open_files: int | None
    processes: int | None
    pid_max: int
    cgroups: str
    distribution: str
    release: int
    tools: frozenset[str]


@dataclass(frozen=True)
class Needs:
    """Settings that differ from podman's own, as sections of containers.conf, and one reason for each."""

    settings: Mapping[str, Mapping[str, str]]
    reasons: tuple[str, ...]

    def configuration(self) -> str:
        """The text of the containers.conf that carries the settings."""
        lines = ["# Written by tests/hosts for this machine; delete it at will."]
        for section, values in self.settings.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
        return "\n".join(lines) + "\n"

    def sentence(self) -> str:
        """One line for the terminal."""
        return (
            "podman needs nothing special here" if not self.reasons else "podman here gets " + "; ".join(self.reasons)
        )


def _limit(text: str, name: str) -> int | None:
    match = re.search(rf"^{re.escape(name)}\s+\S+\s+(\S+)", text, re.MULTILINE)
    return int(match[1]) if match and match[1] != "unlimited" else None


def _cgroups(mounts: str) -> str:
    kinds = {fields[2] for line in mounts.splitlines() if len(fields := line.split()) > 2}
    if "cgroup" not in kinds:
        return "unified"
    return "hybrid" if "cgroup2" in kinds else "legacy"


def _tools(root: Path) -> frozenset[str]:
    commands = (
        "podman",
        "mmdebstrap",
        "crun",
        "runc",
        "iptables",
        "nft",
        "nsenter",
        "newuidmap",
        "slirp4netns",
        "pasta",
    )
    # Debian keeps some of them where only root's PATH looks.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    if root != Path("/"):
        path = os.pathsep.join(str(root / folder) for folder in ("usr/bin", "usr/sbin"))
    tools = {name for name in commands if shutil.which(name, path=path)}
    for folders, names in ((HELPER_FOLDERS, ("netavark", "aardvark-dns")), (CNI_FOLDERS, ("bridge", "dnsname"))):
        tools |= {name for name in names for folder in folders if (root / folder.lstrip("/") / name).exists()}
    if (root / KEYRING.lstrip("/")).exists():
        tools.add("debian-archive-keyring")
    return frozenset(tools)


def read(root: Path = Path("/")) -> Facts:
    """Gather the facts from the files under `root` (another folder than "/" in tests)."""
    limits = (root / "proc/self/limits").read_text()
    status = (root / "proc/self/status").read_text()
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', (root / "etc/os-release").read_text(), re.MULTILINE))
    uid = re.search(r"^Uid:\s+\d+\s+(\d+)", status, re.MULTILINE)
    effective = re.search(r"^CapEff:\s+([0-9a-f]+)", status, re.MULTILINE)
    return Facts(
        uid=int(uid[1]) if uid else os.geteuid(),
        may_raise_limits=bool(effective and int(effective[1], 16) >> CAP_SYS_RESOURCE & 1),
        open_files=_limit(limits, "Max open files"),
        processes=_limit(limits, "Max processes"),
        pid_max=int((root / "proc/sys/kernel/pid_max").read_text()),
        cgroups=_cgroups((root / "proc/self/mounts").read_text()),
        distribution=release.get("ID", ""),
        release=int(re.match(r"\d*", release.get("VERSION_ID", ""))[0] or 0),  # type: ignore[index]
        tools=_tools(root),
    )


def needs(facts: Facts) -> Needs:
    """The settings that podman needs on the machine that `facts` describe: none, on an ordinary one."""
    settings: dict[str, dict[str, str]] = {}
    reasons: list[str] = []
    if facts.cgroups == "hybrid":
        settings["engine"] = {"runtime": '"runc"'}
        reasons.append("runc, since crun starts no container under a hybrid cgroup hierarchy")
    # A rootless podman lowers its demand by itself; root without the capability gets "operation not permitted".
    if facts.uid == 0 and not facts.may_raise_limits:
        files = min(WANTED_LIMIT, facts.open_files or WANTED_LIMIT)
        # podman has lowered its own process limit to pid_max by the time the runtime sets the container's.
        processes = min(WANTED_LIMIT, facts.processes or WANTED_LIMIT, facts.pid_max)
        if (files, processes) != (WANTED_LIMIT, WANTED_LIMIT):
            soft = min(SOFT_OPEN_FILES, files)
            settings["containers"] = {"default_ulimits": f'["nofile={soft}:{files}", "nproc={processes}:{processes}"]'}
            reasons.append(f"limits of {files} open files and {processes} processes, since root may not raise them")
    return Needs(settings, tuple(reasons))


def missing(facts: Facts) -> list[str]:
    """The Debian packages that have to be installed before hosts can be made, in the order of their use."""
    tools = facts.tools
    firewall, command = (
        ("nftables", "nft") if facts.distribution == "debian" and facts.release >= 13 else ("iptables",) * 2
    )
    packages = [name for name in ("podman", "mmdebstrap", "debian-archive-keyring") if name not in tools]
    if "runc" not in tools and (facts.cgroups == "hybrid" or "crun" not in tools):
        packages.append("runc")
    if not {"bridge", "dnsname"} <= tools:
        packages += [name for name in ("netavark", "aardvark-dns") if name not in tools]
    if command not in tools:
        packages.append(firewall)
    if facts.uid != 0:
        packages += ["uidmap"] if "newuidmap" not in tools else []
        packages += ["slirp4netns"] if not {"slirp4netns", "pasta"} & tools else []
    return packages


def install_command(packages: list[str]) -> list[str]:
    """The exact command that installs `packages` on Debian."""
    return ["apt-get", "install", "--yes", "--no-install-recommends", *packages]


def environment(facts: Facts, folder: Path) -> dict[str, str]:
    """The variables that every podman call needs: CONTAINERS_CONF, or none on an ordinary machine.

    The configuration is written below `folder`. A CONTAINERS_CONF that is already set is the person's own choice and stays.
    """
    wanted = needs(facts)
    if not wanted.settings or os.environ.get("CONTAINERS_CONF"):
        return {}
    path = folder / "containers.conf"
    text = wanted.configuration()
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(text)
        draft.replace(path)  # two scenarios may start at once
    return {"CONTAINERS_CONF": str(path)}


def attempt(argv: list[str], env: Mapping[str, str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command with `env` on top of this process's environment, `text` on its standard input."""
    try:
        return subprocess.run(argv, env={**os.environ, **env}, input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HostsError(f"{argv[0]} is not installed: run `python -m tests.hosts podman`") from None


def run(argv: list[str], env: Mapping[str, str], text: str | None = None) -> str:
    """The standard output of a command that has to succeed; HostsError with its last lines when it does not."""
    result = attempt(argv, env, text)
    if result.returncode:
        tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-15:])
        raise HostsError(f"`{' '.join(argv[:4])} ...` failed with status {result.returncode}:\n{tail}")
    return result.stdout
