"""What makes a value of the right type wrong: each check returns a sentence, or None.

One module, though a long one: a flat list of small functions, which the schema names key by key.
"""

from __future__ import annotations

import ast
import contextlib
import ipaddress
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from . import commands, ownership, schedules, source_kinds
from .spelling import as_yaml

Check = Callable[[Any], str | None]

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(
    r"<[^<>]*>|x{3,}|(please[ _-]?)?(change|replace|fill)[ _-]?(me|this|it|in)[.!]*|to[ _-]?do|fix[ _-]?me|your[ _-].*[ _-](here|key|secret|password|token)|placeholder",
    re.IGNORECASE,
)
SIZE_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
SIGNALS = tuple(
    f"{prefix}{name}" for prefix in ("SIG", "") for name in ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH")
)
"""Signals that may ask a process to end."""
BARRED_SIGNALS = {
    f"{prefix}{name}": "no process can handle it, so none could finish its task; use SIGTERM, and a short `stop_timeout` for "
    "a process that may be killed soon"
    for prefix in ("SIG", "")
    for name in ("KILL", "STOP")
}
"""Signals that the kernel delivers to no process."""
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
DURATION_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
"""The units of a duration, in seconds."""
_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)", re.IGNORECASE)


def between(low: float, high: float) -> Check:
    """Checks `low` <= value <= `high`."""

    def check(value: float) -> str | None:
        return None if low <= value <= high else f"must be from {low:g} to {high:g}"

    return check


def size_from(low: str, why: str) -> Check:
    """Checks that a size is not below `low`."""

    def check(value: int | str) -> str | None:
        return None if parse_size(str(value)) >= parse_size(low) else f"must be at least {low}: {why}"

    return check


MOST = 5
"""Wrong items of a list that a message names for each fault."""


def each(check: Check) -> Check:
    """Applies `check` to every item of a list of strings, and names those that are wrong."""

    def checked(items: Sequence[Any]) -> str | None:
        wrong: dict[str, list[str]] = {}
        for item in items:
            fault = check(item) if isinstance(item, str) else "must be text"
            if fault:
                wrong.setdefault(fault, []).append(f"item {as_yaml(item)}")
        if wrong:
            return "; ".join(f"{', '.join(those[:MOST])} {fault}" for fault, those in list(wrong.items())[:MOST])
        if len(set(items)) != len(items):
            return "holds an item twice"
        return None

    return checked


def parse_size(text: str) -> int:
    """Bytes in `text` such as `512M`. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(text)
    return int(match[1]) * SIZE_UNITS[match[2].upper()]


def parse_statuses(value: int | str | Sequence[int | str]) -> tuple[tuple[int, int], ...]:
    """`[200, "300-399"]` as ranges `((200, 200), (300, 399))`. Raises ValueError."""
    items = [value] if isinstance(value, int | str) else list(value)
    ranges = []
    for item in items:
        low, _, high = str(item).partition("-")
        pair = (int(low), int(high or low))
        if not 100 <= pair[0] <= pair[1] <= 599:
            raise ValueError(item)
        ranges.append(pair)
    if not ranges:
        raise ValueError("no status")
    return tuple(ranges)


def parse_duration(value: Any) -> Any:
    """Seconds in a number, or in `90`, `90s`, `10m`, `2h` or `1d`. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(str(value))
    if not match:
        raise ValueError(value)
    return int(match[1]) * DURATION_UNITS[match[2]]


def duration(low: float, high: float) -> Check:
    """Checks a duration against limits in seconds."""

    def check(value: Any) -> str | None:
        try:
            fits = low <= parse_duration(value) <= high
        except ValueError:
            return "must be a number of seconds, or a duration such as 90s, 10m or 2h"
        return None if fits else f"must be from {low} s to {high} s"

    return check


def part_of_unit(value: str) -> str | None:
    """A name that becomes a part of the names of units, logs and folders."""
    if value == "web":
        return "is the name of the app's own web server; choose another name"
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,23}", value):
        return "must be a name of at most 24 lower-case letters, digits and hyphens, a letter first"
    return None


def schedule(value: str) -> str | None:
    """A time of the day, cron's fields, or systemd's calendar form."""
    return schedules.fault(value)


def one_command(value: Any) -> str | None:
    """One command, and not several."""
    if fault := commands.fault(value, single=True):
        return fault
    if not isinstance(value, str) and commands.several(value):
        return "must be one command: a text, or a list of its words"
    words = commands.parse(value)[0]
    if any(ord(letter) < 32 for word in words for letter in word):
        return "must not have control characters or line breaks"
    return None


def process(value: Any) -> str | None:
    """A command, where it is not written as a mapping."""
    return None if isinstance(value, Mapping) else one_command(value)


def statuses(value: Any) -> str | None:
    """HTTP statuses and ranges of them."""
    try:
        parse_statuses(value)
    except (ValueError, TypeError):
        return "must be HTTP statuses from 100 to 599, such as 200 or `200-299`"
    return None


def module_path(value: str) -> str | None:
    """`pkg.mod`, `pkg.mod:attr`, `pkg.mod:factory()` or `pkg.mod:factory("literal")`."""
    module, colon, target = value.partition(":")
    if value.endswith(".py") or module.endswith(".py") or "/" in module:
        stem = re.sub(r"[/\\]+", ".", re.sub(r"\.py$", "", module).strip("./"))
        return f"must be a module's dotted path and a callable, not a file; for example `{stem or 'app'}:app`"
    if not _DOTTED.fullmatch(module):
        return "must be `package.module:callable`; the part before the colon is no dotted module path"
    if not colon:
        return None
    try:
        node = ast.parse(target, mode="eval").body
    except (SyntaxError, ValueError):
        return (
            f"must be `package.module:callable`; {as_yaml(target)} is neither a name nor a call such as `create_app()`"
        )
    if isinstance(node, ast.Call):
        try:
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                ast.literal_eval(argument)
        except ValueError:
            return "may pass only literal arguments (text, numbers, True, None) to its factory"
        if any(keyword.arg is None for keyword in node.keywords):
            return "may pass only plain arguments to its factory"
        node = node.func
    if not isinstance(node, ast.Name):  # gunicorn takes no dotted attribute
        return (
            f"must be `package.module:callable`; {as_yaml(target)} is neither a name nor a call such as `create_app()`"
        )
    if any(ord(character) < 32 for character in value):
        return "must be one line"
    return None


def source(value: Mapping[str, Any]) -> str | None:
    """Exactly one kind of source, with what belongs to it."""
    named = [kind for kind in source_kinds.KINDS if kind in value]
    if len(named) != 1:
        *others, last = source_kinds.KINDS
        return f"must name one of {', '.join(others)} or {last} (it names {' and '.join(named) or 'none'})"
    return source_kinds.fault(named[0], value)


def requirement(value: str) -> str | None:
    """A package requirement that names one version or range."""
    if not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])? *(([=<>!~]=|[<>]) *[A-Za-z0-9.*+!_-]+ *,? *)*", value
    ):
        return "must be a requirement such as `httpbin==0.10.4`"
    return None


def requirements(value: Any) -> str | None:
    """A relative file inside the source, or a list of requirements."""
    if isinstance(value, str):
        return inside(value)
    for item in value:
        if not isinstance(item, str) or not item.strip() or item.lstrip().startswith("-") or "\n" in item:
            return f"item {as_yaml(item)} must be a requirement such as `flask==3.1.3`"
    return None


def inside(value: str) -> str | None:
    """A relative path that stays inside the source."""
    if (
        not value
        or value.startswith("/")
        or "\\" in value
        or ".." in value.split("/")
        or any(ord(c) < 32 for c in value)
    ):
        return "must be a relative path inside the source, without `..`"
    return None


def git_ref(value: str) -> str | None:
    """A branch, tag or commit (git-check-ref-format(1), and no option)."""
    if (
        not value
        or value.startswith(("-", "/"))
        or re.search(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{|//|\.lock$|[/.]$", value)
    ):
        return "must be the name of a branch, a tag or a commit"
    return None


def sha256(value: str) -> str | None:
    """64 hexadecimal digits."""
    return None if re.fullmatch(r"[0-9a-fA-F]{64}", value) else "must be 64 hexadecimal digits"


def domain(value: str) -> str | None:
    """A host name, or `*.` and a host name (RFC 1123; international names in their xn-- form)."""
    if "://" in value or "/" in value:
        return "must be a host name alone, without scheme or path; a path goes into `mount`"
    if len(value) > 253 or not _DOMAIN.fullmatch(value):
        return "must be a host name such as `shop.example.com` (international names in their xn-- form)"
    return None


def url_path(value: str) -> str | None:
    """An absolute URL path, perhaps with a query."""
    return (
        None if re.fullmatch(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*", value) else "must be a URL path that starts with `/`"
    )


def mount(value: str) -> str | None:
    """`/`, or a sub-path without a slash at its end."""
    if value == "/":
        return None
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value) or any(part in (".", "..") for part in value.split("/")):
        return "must be `/`, or a path such as `/shop` that starts with a slash and does not end with one"
    return None


def python(value: str) -> str | None:
    """A version such as 3.12, or an absolute path."""
    if re.fullmatch(r"3\.[0-9]{1,2}", value):
        return None if int(value[2:]) >= 10 else "must be 3.10 or newer, since gunicorn 27 needs that"
    if full := re.fullmatch(r"(3\.[0-9]{1,2})\.[0-9]+", value):
        return (
            f'must be a version of two numbers, "{full[1]}". The host\'s own Python of it is used, else the patch release '
            "that `python_archives` names or the kit's uv has"
        )
    if value.startswith("/") and posixpath.normpath(value) == value and re.fullmatch(r"[A-Za-z0-9._/+-]+", value):
        return None
    return 'must be a version such as "3.12" (in quotes), or an absolute path'


def address(value: str) -> str | None:
    """A URL that uv can fetch: http(s), or a file of the host's."""
    if re.fullmatch(r"(https?://[^\s/]|file:///)[^\s\x00-\x1f]*", value):
        return None
    return "must be a URL that starts with https://, http:// or, for a path on the host, file:///"


def python_archives(value: Mapping[Any, Any]) -> str | None:
    """Full versions of Python to where each is and what its hash is."""
    for version, archive in value.items():
        match = re.fullmatch(r"3\.([0-9]{1,2})\.[0-9]{1,3}", version) if isinstance(version, str) else None
        if not match or int(match[1]) < 10:
            return f'has the version {as_yaml(version)}; must be a full one from 3.10 on, such as "3.13.9" (in quotes)'
        if not isinstance(archive, Mapping) or set(archive) != {"url", "sha256"}:
            return f"must name `url` and `sha256` of {version}, and nothing else"
        for name, check in (("url", address), ("sha256", sha256)):
            if fault := check(str(archive[name])):
                return f"has {version} with a `{name}` that is wrong: it {fault}"
    return None


def network(value: str) -> str | None:
    """An IP address or network, as nginx takes them: without zone, with the length of a prefix and not a mask."""
    try:
        if not re.fullmatch(r"[0-9a-fA-F.:]+(/[0-9]{1,3})?", value):
            raise ValueError(value)
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return "must be an IP address or a network such as 192.0.2.0/24"
    return None


def system_package(value: str) -> str | None:
    """The name of a Debian package (Debian Policy 5.6.1); apt reads a hyphen or a plus at the end as a sign."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]*([a-z0-9.]|\+\+)", value):
        return "must be the name of a Debian package such as libpq-dev: small letters, digits and +.- without version or architecture"
    return None


def word(value: str) -> str | None:
    """A label: letters, digits and hyphens."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", value):
        return "must be a word of letters, digits and hyphens, such as shop"
    return None


def one_of(*choices: str) -> Check:
    """Checks that a text is one of `choices`."""

    def check(value: str) -> str | None:
        return None if value in choices else f"must be one of {', '.join(choices)}"

    return check


def folder(value: str) -> str | None:
    """An absolute path below the root folder, of characters that a unit file takes as they are."""
    if value != "/" and re.fullmatch(r"(/[A-Za-z0-9._@+-]+)+", value) and posixpath.normpath(value) == value:
        return None
    return "must be an absolute path such as /srv/media, without `..`, spaces and a slash at its end"


def ports(values: Sequence[Any]) -> str | None:
    """TCP ports."""
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
            return f"item {as_yaml(value)} must be a port, from 1 to 65535"
    return "holds an item twice" if len(set(values)) != len(values) else None


def clock(value: str) -> str | None:
    """A time of the day."""
    fits = re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value)
    return None if fits else 'must be hours and minutes such as "04:30" (in quotes)'


def url(value: str) -> str | None:
    """An http(s) URL."""
    return (
        None
        if re.fullmatch(r"https?://[^\s\x00-\x1f]+", value)
        else "must be a URL that starts with https:// or http://"
    )


def credentials(value: Mapping[str, Any]) -> str | None:
    """Hosts, perhaps with a port, to a user and a password."""
    for host, content in value.items():
        if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?", str(host)):
            return "must have the index's host as its name, such as pypi.example.com"
        if not str(content).strip() or re.search(r"[\x00-\x20\x7f]", str(content)):
            return "must be `user:password` or a token, without spaces"
    return None


KIT_OWNED_FOLDERS = (".slipway",)
"""Folders in the code in which the kit ships what it has fetched."""
LONGEST_VARIABLE = 32 * 4096 - 1
"""Bytes in `NAME=value` (execve(2): 32 pages with the final NUL)."""

KIT_OWNED_VARIABLES = {
    **dict.fromkeys(("SLIPWAY_APP", "SLIPWAY_RELEASE", "SLIPWAY_SHARED"), "is set by the kit; leave it out"),
    "SCRIPT_NAME": "follows from `mount`; leave it out",
    "GUNICORN_CMD_ARGS": "would win over the kit's configuration; use `gunicorn_extra`",
    "GUNICORN_FD": "is gunicorn's own; leave it out",
    "GUNICORN_PID": "is gunicorn's own; leave it out",
    "LISTEN_FDS": "is systemd's own; leave it out",
    "LISTEN_PID": "is systemd's own; leave it out",
    "NOTIFY_SOCKET": "is systemd's own; leave it out",
}
"""Variables by which an instance is started and reached, and what to do instead."""


def environment(value: Mapping[str, Any]) -> str | None:
    """Names that every shell and manager can carry, and values the operating system can hold."""
    for name, content in value.items():
        if not _NAME.fullmatch(str(name)):
            return "must have a name of letters, digits and _ that does not start with a digit"
        if "\0" in str(content):
            return "holds a NUL character, which no environment variable can hold"
        try:
            size = len(f"{name}={content}".encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            return "holds half a character (a lone surrogate), which is no text"
        if size > LONGEST_VARIABLE:
            return (
                f"has {size} bytes with its name, but Linux passes on at most {LONGEST_VARIABLE}; "
                "put the value in a file, and the file's path here"
            )
        if name in KIT_OWNED_VARIABLES:
            return KIT_OWNED_VARIABLES[name]
    return None


def secrets(value: Mapping[str, Any]) -> str | None:
    """Like `environment`, and no placeholder left over."""
    for content in value.values():
        if not str(content).strip() or _PLACEHOLDER.fullmatch(str(content).strip()):
            return "is still a placeholder; write the real value (ansible-vault encrypts it)"
    return environment(value)


def folder_of_source(value: str) -> str | None:
    """A folder below the source, in letters that no unit file or configuration needs to quote."""
    if fault := inside(value):
        return fault
    plain = re.fullmatch(r"[A-Za-z0-9._@+/-]+", value) and posixpath.normpath(value) == value.rstrip("/") != "."
    return None if plain else "must be a folder of the source such as backend or apps/web"


def in_shared(folder: str) -> str:
    """Which folder of the app's shared folder a static folder is; empty for one of the source."""
    path = posixpath.normpath(folder) if not folder.startswith("./") else ""
    return path.removeprefix("shared/") if path.startswith("shared/") else ""


def static(value: Mapping[str, Any]) -> str | None:
    """URL prefixes `/x/` to folders inside the source, or to `shared/x`, one of the app's shared folder."""
    for prefix, folder in value.items():
        if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/", str(prefix)) or ".." in str(prefix).split("/"):
            return "must be a URL prefix that starts and ends with a slash, such as /static/"
        fault = inside(str(folder))
        if fault or not re.fullmatch(r"[A-Za-z0-9._@+/-]+", str(folder)):
            why = f"is the folder {as_yaml(folder)}, which {fault or 'holds a character that nginx would need quoted'}"
            shared = "shared/" in str(folder) or "SLIPWAY_SHARED" in str(folder)
            return f"{why}; for what the app writes on the host, write shared/<folder>" if shared else why
        if str(folder).startswith("shared/") and not in_shared(str(folder)):
            return f"is the folder {as_yaml(folder)}: nginx serves no shared folder as a whole; name a folder in it, such as shared/media"
    return None


def gunicorn_extra(value: str) -> str | None:
    """Valid Python that leaves alone what is the kit's to set, as far as reading it tells; the host looks again."""
    try:
        tree = ast.parse(value.strip("\n"))
    except (SyntaxError, ValueError) as exc:
        return f"is no valid Python: {exc}"
    for name in sorted(_bound(tree) & set(ownership.GUNICORN)):
        return f"must not set {name}: {ownership.GUNICORN[name]}"
    return _control(value)


def _bound(tree: ast.AST) -> set[str]:
    """Every name that the module's own code binds, in whatever way. What it deletes is not bound."""
    names: set[str] = set()
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            # Names inside of it are its own, but those that it declares to be the module's.
            names.update(name for inner in ast.walk(node) if isinstance(inner, ast.Global) for name in inner.names)
            names.update({node.name} if not isinstance(node, ast.Lambda) else ())
            continue
        if isinstance(node, ast.comprehension):
            todo += [node.iter, *node.ifs]  # its targets are its own
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            names.add(node.rest)
        todo += ast.iter_child_nodes(node)
    return names


def unit_extra(value: str) -> str | None:
    """Lines `Name=value`, comments, or nothing; no section header, so that a line cannot leave its section."""
    for line in value.split("\n"):  # as systemd and supervisor read lines
        if line.strip(" \t") and not line.startswith(("#", ";")) and not re.match(r"[A-Za-z_]+[ \t]*=", line):
            return f"line {as_yaml(line)} must be `Name=value`"
        if line.endswith("\\"):
            return f"line {as_yaml(line)} must not end with a backslash, which would swallow the next line"
        name = line.partition("=")[0].strip(" \t")
        if name.lower() in ownership.UNIT and not line.startswith(("#", ";")):
            return f"must not set {name}: {ownership.UNIT[name.lower()]}"
    return _control(value)


def unit_names(value: str) -> tuple[str, ...]:
    """The names that a checked `unit_extra` sets, each once."""
    lines = (line for line in value.split("\n") if line.strip() and not line.startswith(("#", ";")))
    return tuple(dict.fromkeys(line.partition("=")[0].strip(" \t") for line in lines))


_NGINX_SPACE = " \t\r\n"


def _nginx_tokens(text: str) -> Iterator[tuple[str, int]]:
    """The words and marks (`;`, `{`, `}`) of a configuration with their places, as nginx reads it (ngx_conf_read_token).

    A quote, `#` and `}` mean something only where a word may begin. Raises ValueError with the place that cannot be read.
    """
    at = 0
    while at < len(text):
        begin, here = at, text[at]
        if here in _NGINX_SPACE:
            at += 1
        elif here == "#":
            at = (text + "\n").index("\n", at)
        elif here in ";{}":
            at += 1
            yield here, begin
        else:
            at = _nginx_word(text, begin)
            yield text[begin:at], begin


def _nginx_word(text: str, begin: int) -> int:
    """Where the word ends that begins there. Raises ValueError with its place when it does not, or text follows its quote."""
    quote = text[begin] if text[begin] in "\"'" else ""
    at, variable = begin + len(quote), False
    while at < len(text):
        here = text[at]
        if here == "{" and variable:  # ${name}: no block
            at += 1
            continue
        variable = here == "$"
        if here == "\\":
            at += 2
        elif quote and here == quote:
            if at + 1 < len(text) and text[at + 1] not in f"{_NGINX_SPACE};{{)":
                raise ValueError(begin)
            return at + 1
        elif not quote and here in f"{_NGINX_SPACE};{{":
            return at
        else:
            at += 1
    if quote or at > len(text):
        raise ValueError(begin)
    return at


def nginx_extra(value: str) -> str | None:
    """Whole directives, each ended, their braces balanced.

    This is only the early message. The directives stay inside of the app's location because they are in a separate file,
    which nginx reads. Only nginx reads the Lua of a block such as `content_by_lua_block`.
    """
    words: list[str] = []
    depth = 0
    try:
        for part, place in _nginx_tokens(value):
            if part not in (";", "{", "}"):
                words.append(part)
                continue
            if bool(words) == (part == "}"):
                return f"must end every directive with `;`, and have none without a name (before {as_yaml(value[place:][:20])})"
            if depth == 0 and words and (fault := _nginx_owned(words)):
                return fault
            if part == "{" and words[0].endswith("_by_lua_block"):
                return _control(value)
            depth += {"{": 1, "}": -1}.get(part, 0)
            if depth < 0:
                return "must have balanced braces"
            words = []
    except ValueError as exc:
        rest = value[exc.args[0] :][:20]
        return f"cannot be read from {as_yaml(rest)} on: a quote is not closed, or text follows it"
    if words:
        return "must end every directive with `;`"
    if depth:
        return "must have balanced braces"
    return _control(value)


def _directives(value: str) -> Iterator[tuple[str, int, int]]:
    """The directives of `nginx_extra`, those inside of others left out: name, beginning and end.

    As far as they can be read: Lua, for one, nginx alone reads.
    """
    depth, begin, name = 0, 0, ""
    with contextlib.suppress(ValueError):
        for part, place in _nginx_tokens(value):
            if part not in (";", "{", "}"):
                begin, name = (begin, name) if name else (place, part)
                continue
            if part == "{" and name.endswith("_by_lua_block"):
                return
            depth += {"{": 1, "}": -1}.get(part, 0)
            if not depth and part != "{":
                yield name, begin, place + 1
                name = ""


def directives(value: str) -> set[str]:
    """The names of the directives of `nginx_extra` that are not inside of others."""
    return {name for name, _, _ in _directives(value)}


def added_headers(value: str) -> set[str]:
    """The names of the headers that `nginx_extra` adds to the answers of the app's location."""
    texts = (value[begin:end] for name, begin, end in _directives(value) if name == "add_header")
    words = ([part for part, _ in _nginx_tokens(text)] for text in texts)
    return {parts[1].strip("\"'") for parts in words if len(parts) > 1}


def for_streams(value: str) -> str:
    """`nginx_extra` as the location of websockets and event streams takes it.

    It is a named location, in which nginx allows no other, and it is unbuffered by itself.
    """
    kept, position = "", 0
    for name, begin, end in _directives(value):
        if name in ("location", "proxy_buffering"):
            kept, position = kept + value[position:begin], end
    return kept + value[position:]


def body_size(value: int | str) -> str | None:
    """A size of a request body. A few bytes mean that the unit was forgotten."""
    size = parse_size(str(value))
    return None if size >= 1024 else f"that is in bytes; write `{size}M` for megabytes"


def buffers(value: int | str) -> str | None:
    """A size that nginx takes for one buffer of a connection."""
    try:
        size = parse_size(str(value))
    except ValueError:
        return None  # the type's own message
    return None if 4096 <= size <= 1024**2 else "must be from 4K to 1M"


def _nginx_owned(words: Sequence[str]) -> str | None:
    """What is wrong with a directive beside the kit's own in the app's location; in a separate block it is allowed."""
    name = words[0]
    if name in ownership.NGINX:
        return f"must not set {name}: {ownership.NGINX[name]}"
    header = words[1].strip("\"'").lower() if name == "proxy_set_header" and len(words) > 1 else ""
    if header in ownership.HEADERS:
        return f"must not set the header {words[1]}: the kit passes on what nginx knows of the client"
    return None


def _control(value: str) -> str | None:
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value):
        return "must be plain lines, without control characters"
    return None


def files(value: Mapping[str, Any]) -> str | None:
    """A file's place in the code, and the one of the inventory that it is made of."""
    for place, origin in value.items():
        if inside(str(place)) or posixpath.normpath(str(place)) != place or place == ".":
            return "must be the place of a file inside the code, such as shop/local_settings.py, without `..`"
        if str(place).split("/")[0] in KIT_OWNED_FOLDERS:
            return "is in a folder of the kit; choose another place"
        if not isinstance(origin, str) or not origin.strip("/") or origin.endswith("/") or _control(origin):
            return "must name a file of the inventory, such as files/local_settings.py.j2"
    return None


def command(value: Any) -> str | None:
    """One command or several."""
    return commands.fault(value)


def variable(value: str) -> str | None:
    """The name of an environment variable."""
    return None if _NAME.fullmatch(value) else "must be the name of one of the app's secrets"


def setup(value: Any) -> str | None:
    """A hook of commands alone."""
    if isinstance(value, Mapping) and "tasks" in value:
        return (
            "must be `command`: it runs inside of the build, where the code exists and nothing has imported it. Tasks cannot "
            "run there; for tasks there is `before_prepare`"
        )
    return hook(value)


def hook(value: Any) -> str | None:
    """One command or several, or a mapping with `command` or `tasks`."""
    if isinstance(value, Mapping):
        kinds = [kind for kind in ("command", "tasks") if kind in value]
        if len(kinds) != 1:
            return "must name one of command and tasks"
        if kinds == ["tasks"]:
            return None
        value = value["command"]
    return commands.fault(value)
