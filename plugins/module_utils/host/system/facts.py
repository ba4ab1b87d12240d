"""What Slipway needs to know of a host, read in one go: files first, processes only where no file tells.

Every function takes ``root``, the folder that stands for ``/``, so that tests can show it a machine of their making.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...contract.names import APP, RELEASE
from ..files import written
from . import accounts, ports

PYTHONS = ("/usr/bin", "/usr/local/bin")
"""Where interpreters for apps are looked for: folders that every user may enter, unlike a pyenv in someone's home."""

ADDRESS = re.compile(r"[\d.]+")
"""A server's name that is the host's address."""
SERVER = ["http", "server"]
"""The blocks around the directives of a site."""
DEFAULT = {"default_server", "default"}
"""What makes a server the one that gets what names no other."""
OWN_NGINX = re.compile(r"/etc/nginx/(conf\.d/slipway[^/]*|slipway/[^/]*)")
"""The kit's own nginx files."""

NGINX_USER = {"debian": "www-data", "rhel": "nginx", "suse": "nginx"}
"""The user that nginx will have once the family's package is installed."""

STATE = "/var/lib/slipway"
"""Where the kit remembers what it has written."""

INCLUDES = 10
"""How deep includes may nest before it must be a loop; real configurations have 2 or 3."""


def collect(
    apps: Sequence[Mapping[str, str]],
    packages: Sequence[str],
    nginx_port: int,
    tools: Mapping[str, str],
    root: str = "/",
) -> dict[str, Any]:
    """Return all facts.

    ``apps`` are mappings with ``name`` and ``root``, ``packages`` the names of distribution packages, ``nginx_port``
    the port whose default server is looked for, ``tools`` names with the path of the program that proves them.
    """
    release = os_release(root)
    family = family_of(release)
    processes = Versions(root)
    nginx_binary = program(root, "nginx")
    build = Started([_at(root, nginx_binary), "-V"]) if nginx_binary else None
    found = {
        "os": release,
        "machine": platform.machine(),
        "cores": cores(root),
        "memory": memory(root),
        "systemd": os.path.isdir(_at(root, "/run/systemd/system")),
        "boot_id": (_read(root, "/proc/sys/kernel/random/boot_id") or "").strip(),
        "ipv6": ipv6(),
        "packages_missing": packages_missing(root, packages),
        "tools": {name: complete_tool(_at(root, path)) for name, path in tools.items()},
        "supervisor_running": answers(_at(root, "/run/slipway/supervisor.sock")),
        "apps": {app["name"]: app_facts(_at(root, app["root"])) for app in apps},
        "deployed": deployed(root),
        "drifted": written.drifted(root, _at(root, STATE)),
        "users": users(root),
    }
    found["pythons"] = processes.result()
    found["nginx"] = nginx(root, nginx_binary, build.output() if build else "", nginx_port, family)
    return found


# ------------------------------------------------------------------------------------------------------------ helpers
def _at(root: str, path: str) -> str:
    """The path below the stand-in for ``/``."""
    return path if root == "/" else os.path.join(root, path.lstrip("/"))


def _read(root: str, path: str) -> str | None:
    """The text of a file; None when it is not there or may not be read."""
    try:
        with open(_at(root, path), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


class Started:
    """A process that runs while other facts are read."""

    def __init__(self, argv: Sequence[str]) -> None:
        try:
            self.process: subprocess.Popen[str] | None = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        except OSError:
            self.process = None

    def output(self) -> str:
        """Return what it printed; nothing when it failed or took longer than 10 s, which no version query does."""
        if self.process is None:
            return ""
        try:
            text, _ = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            return ""
        return text if self.process.returncode == 0 else ""


def answers(path: str) -> bool:
    """Say whether something listens on the unix socket ``path``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect(path)
        except OSError:
            return False
        return True


# ------------------------------------------------------------------------------------------------------------ machine
def os_release(root: str) -> dict[str, Any]:
    """Return ``id``, ``version_id`` and the list ``like`` of the distribution."""
    text = _read(root, "/etc/os-release") or _read(root, "/usr/lib/os-release") or ""
    values = {key: value.strip().strip("'\"") for key, value in re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE)}
    return {
        "id": values.get("ID", "linux"),
        "version_id": values.get("VERSION_ID", ""),
        "like": values.get("ID_LIKE", "").split(),
    }


def family_of(release: Mapping[str, Any]) -> str:
    """Return debian, rhel or suse, or the distribution's own id."""
    names = [release["id"], *release["like"]]
    for family, members in {
        "debian": ("debian", "ubuntu"),
        "rhel": ("rhel", "fedora", "centos"),
        "suse": ("suse",),
    }.items():
        if any(name in members or name.startswith(family) for name in names):
            return family
    return str(release["id"])


def ipv6() -> bool:
    """Say whether this host can listen on IPv6 at all; where it cannot, nginx would not start."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as server:
            server.bind(("::1", 0))
    except OSError:
        return False
    return True


def cores(root: str) -> int:
    """Return the cores this host may use: the smaller of the affinity and the control groups' quota, at least 1."""
    count = float(len(os.sched_getaffinity(0)))
    for folder in cgroups(root, "cpu"):
        limit = (_read("/", f"{folder}/cpu.max") or "").split()  # version 2: "quota period" or "max period"
        if not limit:
            parts = [_read("/", f"{folder}/cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
            limit = [part.strip() for part in parts]
        if len(limit) == 2 and limit[0].isdigit() and limit[1].isdigit() and int(limit[1]) > 0:
            count = min(count, int(limit[0]) / int(limit[1]))
    return max(1, int(count))


def memory(root: str) -> int:
    """Return the bytes this host may use: the smaller of the machine's memory and the control groups' limit."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read(root, "/proc/meminfo") or "", re.MULTILINE)
    sizes = [int(found[1]) * 1024] if found else []
    for folder in cgroups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = (_read("/", f"{folder}/{name}") or "").strip()
            if text.isdigit():
                sizes.append(int(text))
    return min(sizes, default=0)


def cgroups(root: str, controller: str) -> list[str]:
    """Return the control group folders whose limits hold here, for versions 1 and 2, innermost first."""
    base = _at(root, "/sys/fs/cgroup")
    folders: list[str] = []
    for line in (_read(root, "/proc/self/cgroup") or "0::/").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0":
            tops = [base, os.path.join(base, "unified")]
        elif controller in names.split(","):
            tops = [os.path.join(base, names), os.path.join(base, controller)]
        else:
            continue
        for top in tops:
            # in a container the path may be the host's, of which only the root is visible here
            while True:
                folders.append(os.path.join(top, path.strip("/")))
                if path.strip("/") == "":
                    break
                path = os.path.dirname(path.rstrip("/"))
            path = rest.partition(":")[2]
    return [folder for folder in dict.fromkeys(os.path.normpath(folder) for folder in folders) if os.path.isdir(folder)]


# -------------------------------------------------------------------------------------------------------- interpreters
class Versions:
    """The Python interpreters and their versions; one process for each distinct one but the one running this."""

    def __init__(self, root: str) -> None:
        self.paths: dict[str, str] = {}  # name -> what it leads to
        for folder in PYTHONS:
            for path in sorted(glob.glob(_at(root, folder) + "/python3*")):
                real = os.path.realpath(path)
                usable = re.fullmatch(r"python3(\.\d+)?", os.path.basename(path)) and os.access(path, os.X_OK)
                if usable and "/.pyenv/" not in real and "/shims/" not in real:
                    self.paths[f"{folder}/{os.path.basename(path)}"] = real
        own = os.path.realpath(sys.executable)
        self.known = {own: platform.python_version()}
        script = "import platform; print(platform.python_version())"
        self.running = {
            real: Started([real, "-I", "-S", "-c", script]) for real in set(self.paths.values()) if real != own
        }

    def result(self) -> dict[str, str]:
        """Return the version of every path; one that does not run is left out."""
        for real, process in self.running.items():
            self.known[real] = process.output().strip()
        return {path: self.known[real] for path, real in self.paths.items() if self.known[real]}


# ------------------------------------------------------------------------------------------------- packages and tools
def packages_missing(root: str, names: Sequence[str]) -> list[str]:
    """Return those of ``names`` that are not installed, by dpkg's own file or by one call of rpm."""
    if not names:
        return []
    status = _dpkg(root)
    if status is not None:
        return [name for name in names if not _dpkg_has(status, name)]
    if program(root, "rpm"):
        # a virtual name such as "webserver" counts too
        argv = [_at(root, program(root, "rpm")), "-q", "--whatprovides", *names]
        done = subprocess.run(argv, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
        absent = set(re.findall(r"^no package provides (\S+)$", done.stdout, re.MULTILINE))
        return [name for name in names if name in absent]
    return list(names)


def _dpkg(root: str) -> str | None:
    text = _read(root, "/var/lib/dpkg/status")
    return None if text is None else "\n" + text


def _dpkg_has(status: str, name: str) -> bool:
    """Say whether a package is installed, or one that provides it, in any architecture."""
    for found in re.finditer(rf"\n(?:Package: |Provides: (?:.*[\s,])?){re.escape(name)}(?=[\s,(]|$)", status):
        start = status.rfind("\n\n", 0, found.start() + 1) + 1
        end = status.find("\n\n", found.start() + 1)
        if "\nStatus: install ok installed\n" in status[start : end if end >= 0 else None]:
            return True
    return False


def program(root: str, name: str) -> str:
    """Return the path of a system program, an empty text where there is none."""
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"):
        if os.access(_at(root, f"{folder}/{name}"), os.X_OK):
            return f"{folder}/{name}"
    return ""


def complete_tool(path: str) -> bool:
    """Say whether a tool is whole: its program can be run, and a virtualenv around it carries ``.complete``."""
    around = os.path.dirname(os.path.dirname(path))
    if os.path.isdir(path):
        return os.path.exists(os.path.join(path, ".complete"))
    if os.path.exists(os.path.join(around, "pyvenv.cfg")) and not os.path.exists(os.path.join(around, ".complete")):
        return False
    return os.access(path, os.X_OK)


# --------------------------------------------------------------------------------------------------------------- nginx
NGINX_TOKEN = re.compile(
    r"""
    \#[^\n]*                           # a comment, where a word may begin
    | ([;{}])                           # the end of a directive, the begin or end of a block
    | "((?:\\.|[^"\\])*)"
    | '((?:\\.|[^'\\])*)'
    | ((?:\\.|\$\{[^}]*\}|[^\s;{}])+)   # a word; ${name} is part of it
    """,
    re.VERBOSE | re.DOTALL,
)

Directive = tuple[str, list[str], list[str]]
"""File, enclosing blocks from the outside in, and the directive's words; `{` alone where the innermost block begins."""


def nginx(root: str, binary: str, build: str, port: int, family: str) -> dict[str, Any]:
    """Return what is known of nginx: ``build`` is what ``nginx -V`` printed, ``port`` the one asked for."""
    options = dict(re.findall(r"--([a-z-]+)=('[^']*'|\S+)", build))
    version = re.search(r"nginx version: [^/\s]+/(\S+)", build)
    conf = options.get("conf-path", "/etc/nginx/nginx.conf")
    directives = list(configuration(root, conf, os.path.dirname(conf))) if binary else []
    top = {words[0]: words[1:] for _file, blocks, words in directives if not blocks}
    user, *rest = top.get("user") or [options.get("user", "nobody") if binary else NGINX_USER.get(family, "nginx")]
    group = rest[0] if rest else options.get("group", user)
    if group == "nobody" and "\nnobody:" not in "\n" + (_read(root, "/etc/group") or ""):
        group = "nogroup"  # what nginx was compiled with where the distribution has no such group
    pid, *_ = top.get("pid") or [options.get("pid-path", "/run/nginx.pid")]
    default = default_server(directives, port)
    welcome = default is not None and is_welcome(root, default)
    return {
        "installed": bool(binary),
        "version": version[1] if version else None,
        "user": user,
        "group": group,
        "main_conf": whose(root, conf),
        "distro_conf": (_read(root, conf) or None) if whose(root, conf) == "distro" else None,
        "running": running(root, pid, "nginx") is not None,
        "port_taken": ports.strangers(root, port, running(root, pid, "nginx")),
        "default_server": None if welcome else default,
        "welcome_page": default if welcome else None,
        "nameless_server": nameless_server(directives, port) if default is None else None,
        "sites": sites(root),
    }


def configuration(root: str, path: str, base: str, blocks: Sequence[str] = (), depth: int = 0) -> Iterator[Directive]:
    """Yield every directive of an nginx configuration file and of what it includes (relative to ``base``), in order.

    A file that is missing or whose syntax is broken yields what can be read: nginx -t is the judge, not this.
    """
    text = _read(root, path)
    if text is None or depth > INCLUDES:
        return
    stack = list(blocks)
    words: list[str] = []
    for token in NGINX_TOKEN.finditer(text):
        mark, *parts = token.groups()
        if token[0].startswith("#"):
            continue
        if mark is None:
            words.append(next(part for part in parts if part is not None))
            continue
        if mark == "{":
            stack.append(words[0] if words else "")
            yield path, list(stack), ["{"]
        elif mark == "}":
            if len(stack) > len(blocks):
                stack.pop()
        elif words and words[0] == "include":
            for pattern in words[1:]:
                where = os.path.normpath(os.path.join(base, pattern))
                for found in sorted(glob.glob(_at(root, where))):
                    name = found if root == "/" else "/" + os.path.relpath(found, root)
                    yield from configuration(root, name, base, stack, depth + 1)
        elif words:
            yield path, list(stack), words
        words = []


def default_server(directives: Sequence[Directive], port: int) -> str | None:
    """Return the file, not ours, that claims ``port`` on all addresses with ``default_server``.

    nginx refuses a second claim, so that ours can be made only where there is none.
    """
    for path, blocks, words in directives:
        if blocks == SERVER and _listens(words, port) and DEFAULT & set(words[2:]) and not OWN_NGINX.fullmatch(path):
            return path
    return None


def nameless_server(directives: Sequence[Directive], port: int) -> str | None:
    """Return the file, not ours, whose server gets what names no other one on ``port``, only because it is the first.

    It has no name of its own, so that it would get nothing any more beside a default server of ours. None as soon as
    there is one.
    """
    servers: list[tuple[str, list[list[str]]]] = []
    for path, blocks, words in directives:
        if blocks != SERVER:
            continue
        if words == ["{"]:
            servers.append((path, []))
        servers[-1][1].append(words)
    there = [(path, inner) for path, inner in servers if any(_listens(words, port) for words in inner)]
    if any(_listens(words, port) and DEFAULT & set(words[2:]) for _path, inner in there for words in inner):
        return None
    for path, inner in there:
        if not OWN_NGINX.fullmatch(path):
            names = {name for words in inner if words[0] == "server_name" for name in words[1:]}
            return None if any("." in name and not ADDRESS.fullmatch(name) for name in names) else path
    return None


def _listens(words: Sequence[str], port: int) -> bool:
    """Say whether a directive of a server makes its server listen on ``port`` on all addresses."""
    wildcards = {f"{host}{port}" for host in ("", "*:", "0.0.0.0:", "[::]:")}
    if port == 80:
        wildcards |= {"*", "0.0.0.0", "[::]"}  # noqa: S104  # nosec B104 # what nginx listens on is compared; nothing listens here
    return words[0] == "listen" and words[1] in wildcards


def is_welcome(root: str, path: str) -> bool:
    """Say whether the site ``path`` is Debian's "Welcome to nginx!", with nothing of anybody's behind it."""
    name = "/etc/nginx/sites-available/default"
    page = {"index.nginx-debian.html"}
    try:
        same = os.path.samefile(_at(root, path), _at(root, name))
        return same and whose(root, name) == "distro" and set(os.listdir(_at(root, "/var/www/html"))) <= page
    except OSError:
        return False


def sites(root: str) -> dict[str, list[str]]:
    """Return the kit's site files and the apps that each includes."""
    found = {}
    for path in sorted(glob.glob(_at(root, "/etc/nginx/conf.d") + "/slipway-site-*.conf")):
        name = f"/etc/nginx/conf.d/{os.path.basename(path)}"
        text = _read(root, name) or ""
        found[name] = re.findall(r"^\s*include\s+/etc/nginx/slipway/([^/;\s]+)\.conf;", text, re.MULTILINE)
    return found


def whose(root: str, conf: str) -> str:
    """Say whose nginx.conf is: ``slipway``, ``distro`` (as the package brought it), ``local`` or ``absent``."""
    try:
        with open(_at(root, conf), "rb") as handle:
            data = handle.read()
    except OSError:
        return "absent"
    if b"slipway" in b"\n".join(data.splitlines()[:5]).lower():  # the comment that heads every file of ours
        return "slipway"
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()  # dpkg's own record is an md5
    status = _dpkg(root)
    if status is not None:
        return "distro" if re.search(rf"\n {re.escape(conf)} {md5}(?=\s)", status) else "local"
    rpm = program(root, "rpm")
    if rpm:
        argv = [_at(root, rpm), "-qf", "--qf", "[%{FILENAMES} %{FILEDIGESTS}\\n]", conf]
        listed = Started(argv).output().split("\n")
        digests = {md5, hashlib.sha256(data).hexdigest()}
        return "distro" if any(f"{conf} {digest}" in listed for digest in digests) else "local"
    return "local"


def running(root: str, pid_file: str, name: str) -> int | None:
    """Return the process that ``pid_file`` names, if it runs and is ``name``."""
    pid = (_read(root, pid_file) or "").strip()
    return int(pid) if pid.isdigit() and (_read(root, f"/proc/{pid}/comm") or "").strip() == name else None


# ---------------------------------------------------------------------------------------------------------------- apps
def app_facts(root: str) -> dict[str, Any]:
    """Return an app's ``current`` release, its ``releases`` and its complete ``venvs`` (their hashes)."""
    try:
        current: str | None = os.path.basename(os.readlink(os.path.join(root, "current")))
    except OSError:
        current = None
    if current and not RELEASE.fullmatch(current):
        current = None
    venvs = glob.glob(os.path.join(glob.escape(root), "venvs", "*", ".complete"))
    releases = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(root), "releases", "*"))):
        if RELEASE.fullmatch(os.path.basename(path)) and os.path.isdir(path) and not os.path.islink(path):
            releases[os.path.basename(path)] = release_facts(path)
    return {
        "current": current,
        "releases": releases,
        "venvs": sorted(os.path.basename(os.path.dirname(path)) for path in venvs),
    }


def users(root: str) -> list[str]:
    """Return the accounts that the kit made and that are there."""
    registry = accounts.Registry.read(_at(root, accounts.REGISTRY))
    return sorted(filter(registry.has, registry.made))


def deployed(root: str) -> list[str]:
    """Return the names of the apps of which something is on the host, whether the inventory knows of them or not."""
    places = ("/srv/*/releases", "/var/log/slipway/*", "/etc/nginx/slipway/*.conf")
    found = [path for place in places for path in glob.glob(_at(root, place))]
    names = {
        os.path.basename(os.path.dirname(path) if path.endswith("/releases") else path.removesuffix(".conf"))
        for path in found
    }
    return sorted(name for name in names if APP.fullmatch(name))


def release_facts(path: str) -> dict[str, Any]:
    """Return what one release says of itself; ``complete``: it has its manifest, its code and a whole virtualenv."""
    manifest, bad, activated, migrated = (
        _json(f"{path}/{name}.json") for name in ("manifest", "bad", "activated", "migrated")
    )
    whole = manifest.get("release") == os.path.basename(path) and os.path.isdir(f"{path}/code")
    marked = os.path.exists(f"{path}/bad.json")
    return {
        "version": manifest.get("version"),
        "code": manifest.get("code"),
        "build": manifest.get("build"),
        "placed": manifest.get("placed"),
        "lock": manifest.get("lock"),
        "bad": str(bad.get("reason") or "no reason is recorded") if marked else None,
        "activated": activated.get("when") if activated.get("verified") else None,
        "previous": activated.get("previous"),
        "migrated": migrated.get("when"),
        "complete": whole and os.path.exists(f"{path}/venv/.complete"),
    }


def _json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as handle:
            data = json.load(handle)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
