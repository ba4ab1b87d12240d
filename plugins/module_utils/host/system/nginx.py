"""What a host's nginx is and serves: its user, whose its configuration is, who answers on a port."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...contract import names
from . import dpkg, machine, ports
from .reading import at, read

ADDRESS = re.compile(r"[\d.]+")
"""A server's name that is the host's address."""
SERVER = ["http", "server"]
"""The blocks around the directives of a site."""
DEFAULT = {"default_server", "default"}
"""What makes a server the one that gets what names no other."""
OWN = re.compile(r"/etc/nginx/conf\.d/slipway[^/]*|/etc/nginx/slipway/.+|/etc/slipway/.+")
"""The kit's own nginx files. Those of a certificate are in its folder."""
CONF = "/etc/nginx/nginx.conf"
"""Debian's, and the kit's."""
USER = "www-data"
"""The user that nginx will have once Debian's package is installed."""
INCLUDES = 10
"""How deep includes may nest before it must be a loop; real configurations have 2 or 3."""
TOKEN = re.compile(
    r"""
    \#[^\n]*                           # a comment, where a word may begin
    | ([;{}])                           # the end of a directive, the begin or end of a block
    | "((?:\\.|[^"\\])*)"
    | '((?:\\.|[^'\\])*)'
    | ((?:\\.|\$\{[^}]*\}|[^\s;{}])+)   # a word; ${name} is part of it
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Front:
    """Where clients get an app from nginx on this host."""

    port: int
    host: str
    tls: bool

    def url(self, path: str) -> str:
        """The address of a page there."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"


Directive = tuple[str, list[str], list[str]]
"""File, enclosing blocks from the outside in, and the directive's words; `{` alone where the innermost block begins."""


def facts(root: str, binary: str, build: str, wanted: Sequence[int]) -> dict[str, Any]:
    """Return the facts about nginx: ``build`` is what ``nginx -V`` printed, ``wanted`` the ports asked for."""
    options = dict(re.findall(r"--([a-z-]+)=('[^']*'|\S+)", build))
    conf = options.get("conf-path", CONF)
    directives = list(configuration(root, conf, os.path.dirname(conf))) if binary else []
    top = {words[0]: words[1:] for _file, blocks, words in directives if not blocks}
    user, *rest = top.get("user") or [options.get("user", "nobody") if binary else USER]
    group = rest[0] if rest else options.get("group", user)
    if group == "nobody" and "\nnobody:" not in "\n" + (read(root, "/etc/group") or ""):
        group = "nogroup"  # what nginx was compiled with where the distribution has no such group
    pid, *_ = top.get("pid") or [options.get("pid-path", "/run/nginx.pid")]
    process = running(root, pid, "nginx")
    version = re.search(r"nginx version: nginx/([0-9.]+)", build)
    openssl = re.findall(r"(?:built|running) with OpenSSL ([0-9.]+)", build)  # the one that runs comes last
    listens = listening(root)
    asked = [*wanted, *(one["port"] for several in listens.values() for one in several)]
    claimed = {port: default_server(directives, port) for port in asked}
    welcome = next((path for path in claimed.values() if path and is_welcome(root, path)), None)
    return {
        "installed": bool(binary),
        "user": user,
        "group": group,
        "main_conf": whose(root, conf),
        "distro_conf": (read(root, conf) or None) if whose(root, conf) == "distro" else None,
        "running": process is not None,
        "masked": machine.masked(root, "nginx"),
        "at_boot": machine.starts_at_boot(root, "nginx"),
        "version": version[1] if version else "",
        "openssl": openssl[-1] if openssl else "",
        "http3": "--with-http_v3_module" in build,
        "ports": [
            {
                "port": port,
                "taken": ports.other_listener(root, port, process),
                "default_server": None if path == welcome else path,
                "nameless_server": nameless_server(directives, port) if path is None else None,
            }
            for port, path in claimed.items()
        ],
        "welcome_page": welcome,
        "sites": sites(root),
        "names": served(root),
        "listening": listens,
    }


def configuration(root: str, path: str, base: str, blocks: Sequence[str] = (), depth: int = 0) -> Iterator[Directive]:
    """Yield every directive of an nginx configuration file and of what it includes (relative to ``base``), in order.

    A file that is missing or whose syntax is broken yields what can be read: nginx -t is the judge, not this.
    """
    text = read(root, path)
    if text is None or depth > INCLUDES:
        return
    stack = list(blocks)
    words: list[str] = []
    for token in TOKEN.finditer(text):
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
                for file in sorted(glob.glob(at(root, where))):
                    name = file if root == "/" else "/" + os.path.relpath(file, root)
                    yield from configuration(root, name, base, stack, depth + 1)
        elif words:
            yield path, list(stack), words
        words = []


def default_server(directives: Sequence[Directive], port: int) -> str | None:
    """Return the file, not ours, that claims ``port`` on all addresses with ``default_server``.

    nginx refuses a second claim, so that ours can be made only where there is none.
    """
    for path, blocks, words in directives:
        if blocks == SERVER and _listens(words, port) and DEFAULT & set(words[2:]) and not OWN.fullmatch(path):
            return path
    return None


def nameless_server(directives: Sequence[Directive], port: int) -> str | None:
    """Return the file, not ours, whose server gets what names no other one on ``port``, only because it is the first.

    It has no name, so that it would get nothing any more beside a default server of the kit. None as soon as there is a
    default server.
    """
    servers: list[tuple[str, list[list[str]]]] = []
    for path, blocks, words in directives:
        if blocks != SERVER:
            continue
        if words == ["{"]:
            servers.append((path, []))
        servers[-1][1].append(words)
    listening = [(path, inner) for path, inner in servers if any(_listens(words, port) for words in inner)]
    if any(_listens(words, port) and DEFAULT & set(words[2:]) for _path, inner in listening for words in inner):
        return None
    for path, inner in listening:
        if not OWN.fullmatch(path):
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
        same = os.path.samefile(at(root, path), at(root, name))
        return same and whose(root, name) == "distro" and set(os.listdir(at(root, "/var/www/html"))) <= page
    except OSError:
        return False


def sites(root: str) -> dict[str, list[str]]:
    """Return the kit's site files and the apps that each includes."""
    apps = {}
    for path in sorted(glob.glob(at(root, names.NGINX_CONF_D) + "/slipway-site-*.conf")):
        name = f"{names.NGINX_CONF_D}/{os.path.basename(path)}"
        text = read(root, name) or ""
        apps[name] = re.findall(r"^\s*include\s+/etc/nginx/slipway/([^/;\s]+)\.conf;", text, re.MULTILINE)
    return apps


def listening(root: str) -> dict[str, list[dict[str, Any]]]:
    """Return the ports of each site file of the kit."""
    ports = {}
    for path in sites(root):
        words = re.findall(r"^\s*listen\s+(?:\S*:)?(\d{1,5})\b([^;]*);", read(root, path) or "", re.MULTILINE)
        known = {int(port): set[str]() for port, _ in words}
        for port, options in words:
            known[int(port)].update(options.split())
        ports[path] = [
            {"port": port, "tls": "ssl" in options, "quic": "quic" in options}
            for port, options in sorted(known.items())
        ]
    return ports


def served(root: str) -> dict[str, list[str]]:
    """Return the names in the kit's site files, `_` for every other one, with the apps that they serve."""
    apps: dict[str, set[str]] = {}
    for path, members in sites(root).items():
        for names_of in re.findall(r"^\s*server_name\s+([^;]+);", read(root, path) or "", re.MULTILINE):
            for name in names_of.split():
                apps.setdefault(name.strip("\"'"), set()).update(members)
    return {name: sorted(members) for name, members in apps.items()}


def named(host: str, root: str = "/") -> list[str]:
    """Return the files, not ours, with a server whose name is ``host``. nginx may let one of them answer in place of the app."""
    directives = configuration(root, CONF, os.path.dirname(CONF))
    files = [
        path
        for path, blocks, words in directives
        if blocks == SERVER and words[0] == "server_name" and host in words[1:] and not OWN.fullmatch(path)
    ]
    return list(dict.fromkeys(files))


def front(app: str, host: str, root: str = "/") -> Front | None:
    """Return where clients get ``app``, by the kit's site files: https before plain http, and under ``host`` if they may.

    None where no site serves the app in a way that can be read, as with a template of the user's.
    """
    fronts: list[Front] = []
    for file, members in sites(root).items():
        if app in members:
            for words in _servers(configuration(root, file, "/etc/nginx"), f"{names.NGINX_APPS}/{app}.conf"):
                fronts += _fronts(words, host)
    return max(fronts, key=lambda one: (one.tls, one.host == host), default=None)


def _servers(directives: Iterator[Directive], locations: str) -> Iterator[list[list[str]]]:
    """Yield the servers of a site file that include the file with an app's locations: each by its own directives."""
    server: list[list[str]] = []
    serves = False
    for path, blocks, words in directives:
        if blocks == ["server"] and words == ["{"]:
            if serves:
                yield server
            server, serves = [], False
        if blocks == ["server"]:
            server.append(words)
        serves = serves or path == locations
    if serves:
        yield server


def _fronts(server: Sequence[Sequence[str]], host: str) -> Iterator[Front]:
    """Yield where a server listens for TCP on every address of IPv4, with the name to ask for."""
    known = [name for words in server if words[0] == "server_name" for name in words[1:] if name != "_"]
    allowed = not known or any(host == name or (name[:2] == "*." and host.endswith(name[1:])) for name in known)
    name = host if allowed else next((name for name in known if "*" not in name), host)
    for words in server:
        if words[0] == "listen" and words[1].isdecimal() and "quic" not in words:
            yield Front(int(words[1]), name, "ssl" in words)


def whose(root: str, conf: str) -> str:
    """Say whose nginx.conf is: ``slipway``, ``distro`` (as the package brought it), ``local`` or ``absent``."""
    try:
        with open(at(root, conf), "rb") as handle:
            data = handle.read()
    except OSError:
        return "absent"
    if b"slipway" in b"\n".join(data.splitlines()[:5]).lower():  # the comment that heads every file of the kit
        return "slipway"
    return "distro" if dpkg.brought(root, conf, data) else "local"


def running(root: str, pid_file: str, name: str) -> int | None:
    """Return the process that ``pid_file`` names, if it runs and is ``name``."""
    pid = (read(root, pid_file) or "").strip()
    return int(pid) if pid.isdigit() and (read(root, f"/proc/{pid}/comm") or "").strip() == name else None
