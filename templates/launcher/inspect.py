"""Import an app the way gunicorn will, and say in one sentence what is wrong with it.

    venv/bin/python inspect MODULE --code DIR --deadline SECONDS [--interface wsgi|asgi]
                            [--source DIR] [--dependencies TEXT] [--secrets NAME,NAME]

Installed as ``inspect`` in every release, and run by the release's own virtualenv, as the app's user, with its
environment (through ``exec``) before any process of the release is started. MODULE is what gunicorn takes:
``pkg.mod:attr``, ``pkg.mod:factory()``, ``pkg.mod:factory("arg", key=1)`` or ``pkg.mod`` (= ``:application``).

The last line of stdout is one JSON object and the exit code is 0, whatever the app does:

    {"ok": true, "interface": "wsgi"|"asgi", "module": MODULE, "seconds": time of the import}
    {"ok": false, "kind": KIND, "message": one sentence, "hint": what to do, "detail": end of the traceback or ""}

``--source`` is the whole source, of which the code may be a folder; ``--dependencies`` says where a missing one is added;
``--secrets`` names the variables that no message may repeat.

What the app prints goes to stderr. KINDs: bad-module, no-module, no-attribute, not-callable, needs-parentheses,
factory-failed, import-error, missing-dependency, exits-at-import, blocks-at-import, wrong-interface.
Only a call into C that holds the interpreter's lock past the deadline, or an ``os._exit``, leaves no answer:
the caller needs a timeout of its own, a little longer than the deadline.

Python 3.10 or later, standard library only.
"""

from __future__ import annotations

import os
import sys

# This file lies beside the app's `code/` and is itself called `inspect`: neither may be importable from here.
_HERE = os.path.dirname(os.path.realpath(__file__))
if sys.path and os.path.realpath(sys.path[0]) == _HERE:
    del sys.path[0]

import _thread
import ast
import difflib
import errno
import functools
import importlib
import inspect
import json
import linecache
import re
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, ModuleType
from typing import Any, NoReturn

# Taken before the app can replace them (gevent does).
_sleep, _clock, _exit = time.sleep, time.monotonic, os._exit

GUARD = 'if __name__ == "__main__":'

# Distributions whose name is not the one that is imported.
DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "Crypto": "pycryptodome",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "decouple": "python-decouple",
    "dns": "dnspython",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "environ": "django-environ",
    "fitz": "PyMuPDF",
    "flask_cors": "Flask-Cors",
    "flask_sqlalchemy": "Flask-SQLAlchemy",
    "git": "GitPython",
    "google": "google-cloud-<service>",  # "google" itself is a stranger's
    "jose": "python-jose",
    "jwt": "PyJWT",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "pkg_resources": "setuptools<81",  # 81 no longer brings it
    "psycopg2": "psycopg2-binary",
    "pymysql": "PyMySQL",
    "pythonjsonlogger": "python-json-logger",
    "rest_framework": "djangorestframework",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socketio": "python-socketio",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
# Names that apps give to modules of their own: a package of that name is a stranger's.
LOOKED_AT = 2048
"""Characters of a value that are looked at for what a secret looks like: the pattern takes time by the square of them."""
OWN_NAMES = re.compile(
    "api|app|application|apps|auth|base|blog|common|conf|config|core|database|db|extensions|forms|frontend|handlers|helpers|"
    "home|lib|libs|local_settings|main|models|modules|pages|project|routes|schemas|server|services|settings|shared|src|"
    "tasks|tests?|tools|users|utils?|views|web|website"
)
# Functions that begin a program and return no application.
PROGRAMS = {"main", "run", "cli", "serve", "start", "launch", "launch_instance", "entrypoint", "entry_point", "manage"}
# Modules that Python itself used to bring (PEP 594, PEP 632), and what brings them now.
REMOVED = {
    "asynchat": "pyasynchat",
    "asyncore": "pyasyncore",
    "cgi": "legacy-cgi",
    "crypt": "legacycrypt",
    "distutils": "setuptools",
    "imp": "",
    "telnetlib": "telnetlib3",
}

# Calls that serve for ever, by the name under which they are imported.
SERVING_FUNCTIONS = {
    "aiohttp.web.run_app",
    "bottle.run",
    "cherrypy.quickstart",
    "eventlet.wsgi.server",
    "granian.Granian.serve",
    "hypercorn.run.run",
    "uvicorn.run",
    "waitress.serve",
    "werkzeug.run_simple",
    "werkzeug.serving.run_simple",
}
# Methods that serve for ever on anything.
SERVING_METHODS = {"serve_forever", "run_simple", "run_app"}
# Methods that serve for ever on an application. On other objects `run` is an honest word, so the receiver must be
# the application, or made by something named like one; the deadline finds the rest.
RUN_METHODS = {"run", "run_server"}
MAKES_APPLICATION = re.compile(
    r"^(Flask|FastAPI|Quart|Sanic|Bottle|Starlette|Litestar|Dash|SocketIO|APIFlask|OpenAPI|\w*[aA]pp|\w*[aA]pplication)$"
)
# Modules in which a thread that waits is a server: the deepest of them names the cause of a deadline passed.
SERVER_MODULES = (
    "aiohttp.web",
    "bottle",
    "cherrypy",
    "eventlet.wsgi",
    "gevent.baseserver",
    "gevent.pywsgi",
    "granian",
    "hypercorn",
    "socketserver",
    "uvicorn",
    "waitress",
    "werkzeug.serving",
    "wsgiref",
)

SKIPPED_FOLDERS = {"__pycache__", "node_modules", "site-packages", "venv", "tests", "test", "migrations", "static"}
MOST_FILES = 1000  # looked at for a suggestion; a bigger tree gets a suggestion from its first files

FACTORY_NAME = re.compile(r"^(create|make|get|build|new)_|_factory$|^factory$")


class Fault(Exception):
    """The app cannot be served; carries what is reported."""

    def __init__(self, kind: str, message: str, hint: str, detail: str = "") -> None:
        super().__init__(message)
        self.report = {"ok": False, "kind": kind, "message": message, "hint": hint, "detail": detail}


# ---------------------------------------------------------------------------------------------------------------
# The answer


class Answer:
    """The real stdout, and the one line that is written to it."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = os.dup(1)  # not inherited by programs that the app starts
        os.dup2(2, 1)
        self._process = os.getpid()
        self._once = _thread.allocate_lock()

    def give(self, report: dict[str, Any]) -> NoReturn:
        """Write REPORT and end the process at once: no exit handler or thread of the app holds us up."""
        if os.getpid() != self._process:
            _exit(0)  # a child that the app forked came back through its import
        if not self._once.acquire(blocking=False):
            while True:  # the other thread is about to end the process
                _sleep(1)
        for key in ("message", "hint", "detail"):
            if key in report:
                report[key] = masked(report[key])
        line = json.dumps(report).encode("ascii") + b"\n"
        while line:
            line = line[os.write(self._out, line) :]
        _exit(0)


def masked(text: str) -> str:
    """Put `$NAME` for every secret value of the environment. Before a text is cut, or half a secret is left."""
    for value, name in SECRETS:
        text = text.replace(value, f"${name}")
    return text


def _secrets(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return (value, name) of the environment values that no message may repeat, the longest first.

    Exceptions quote connection strings and keys, and the answer goes into logs. NAMES are the app's secrets. Of the other
    variables those count whose name or value says that it is one; all else stays readable, a path above all.
    """
    named = set(names)
    sure = re.compile(r"SECRET|TOKEN|KEY|PASS|PWD", re.IGNORECASE)
    likely = re.compile(r"DSN|CREDENTIAL|AUTH", re.IGNORECASE)
    plain = re.compile(r"[A-Za-z_][A-Za-z_.:\-]*|[\d.:]+|/[\w./\-]*")
    # A password in a URL; and what looks as if nobody had made it up.
    within = re.compile(r"\w://[^/@]*:.+@|\A(?=.*\d)(?=.*[A-Za-z])[\w+/=-]{20,}\Z", re.DOTALL)
    base = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "VIRTUAL_ENV", "NOTIFY_SOCKET", "PWD", "OLDPWD"}
    found = []
    for name, value in os.environ.items():
        if name in base or len(value) < 6 or (name.startswith("SLIPWAY_") and name not in named):
            continue
        told = (
            sure.search(name)
            or (likely.search(name) and not plain.fullmatch(value))
            or within.search(value[:LOOKED_AT])
        )
        if name in named or told:
            found += [(form, name) for form in {value, repr(value)[1:-1], value.strip()} if len(form) >= 6]
    return sorted(found, key=lambda pair: -len(pair[0]))


def option(arguments: list[str], name: str) -> str:
    """Return the value of an option of the command line."""
    return arguments[arguments.index(name) + 1] if name in arguments[:-1] else ""


SECRETS = _secrets(option(sys.argv, "--secrets").split(","))  # before the app can change its environment


# ---------------------------------------------------------------------------------------------------------------
# MODULE and the files of the app


class Target:
    """MODULE taken apart, and the folders in which it is looked for."""

    def __init__(self, text: str, code: str, tree: str = "", dependencies: str = "") -> None:
        self.text = text
        self.code = os.path.realpath(code)
        self.tree = os.path.realpath(tree or code)
        self.dependencies = dependencies or "the app's dependencies"
        source = os.path.join(self.code, "src")
        self.roots = [self.code, source] if os.path.isdir(source) else [self.code]
        self.module, _, expression = text.partition(":")
        expression = expression if ":" in text else "application"
        self.call: tuple[list[Any], dict[str, Any]] | None = None
        self.attribute = self._attribute(expression)
        if not all(part.isidentifier() for part in self.module.split(".")):
            guess = re.sub(r"\.py$", "", self.module).strip("/").replace("/", ".")
            raise Fault(
                "bad-module",
                f"{self.module!r} in {text!r} is not the dotted name of a module",
                f'write "{guess}:{expression}": no .py, and dots instead of slashes',
            )

    def _attribute(self, expression: str) -> str:
        """Return the name after the colon, and keep the arguments of a factory."""
        wrong = Fault(
            "bad-module",
            f"{expression!r} in {self.text!r} is neither a name nor a call with plain values",
            'write "pkg.mod:app", "pkg.mod:create_app()" or "pkg.mod:create_app(\\"production\\", debug=False)"',
        )
        try:
            node = ast.parse(expression.strip(), mode="eval").body
            if isinstance(node, ast.Name):
                return node.id
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                keywords = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg is not None}
                if len(keywords) != len(node.keywords):
                    raise wrong
                self.call = ([ast.literal_eval(value) for value in node.args], keywords)
                return node.func.id
        except (SyntaxError, ValueError):
            pass
        raise wrong

    @property
    def called(self) -> str:
        """The words for what is called: `create_app()`."""
        return f"{self.attribute}()"

    def owns(self, path: str) -> bool:
        """Tell whether the file is the app's own, not a library's."""
        if path.startswith("<"):  # <frozen importlib._bootstrap>, <string>
            return False
        path = os.path.realpath(path)
        return path.startswith(self.tree + os.sep) and "/site-packages/" not in path

    def shown(self, path: str) -> str:
        """Return the file's name as its author knows it."""
        return os.path.relpath(os.path.realpath(path), self.code) if self.owns(path) else path

    @functools.cached_property
    def modules(self) -> dict[str, str]:
        """Return every module in the app's folders: dotted name to file, the shortest names first."""
        found: dict[str, str] = {}
        for root in reversed(self.roots):
            for folder, folders, files in os.walk(root):
                prefix = os.path.relpath(folder, root).split(os.sep)
                prefix = [] if prefix == ["."] else prefix
                folders[:] = sorted(
                    name
                    for name in folders
                    if name.isidentifier()
                    and name not in SKIPPED_FOLDERS
                    and len(prefix) < 5
                    # src/ is a root of its own
                    and not (os.path.join(folder, name) in self.roots and folder == self.code)
                )
                for name in sorted(files):
                    stem, extension = os.path.splitext(name)
                    if extension == ".py" and stem.isidentifier() and len(found) < MOST_FILES:
                        dotted = ".".join(prefix if stem == "__init__" else [*prefix, stem])
                        if dotted:
                            found[dotted] = os.path.join(folder, name)
        return dict(sorted(found.items(), key=lambda item: (item[0].count("."), item[0])))

    def has(self, top: str) -> bool:
        """Tell whether a top-level module or package of this name is among the app's own."""
        return any(
            os.path.isfile(os.path.join(root, top + ".py")) or os.path.isdir(os.path.join(root, top))
            for root in self.roots
        )

    def elsewhere(self, name: str) -> str | None:
        """Return the folder of the source, seen from its top, in which a module or package of this name lies."""
        looked = 0
        for folder, folders, files in os.walk(self.tree):
            folders[:] = sorted(one for one in folders if one not in SKIPPED_FOLDERS and not one.startswith("."))
            looked += len(files)
            holds = name in folders and any(one.endswith(".py") for one in os.listdir(os.path.join(folder, name)))
            if (holds or name + ".py" in files) and os.path.realpath(folder) not in self.roots:
                return os.path.relpath(folder, self.tree)
            if looked > MOST_FILES:
                break
        return None

    def packaged(self, folder: str) -> bool:
        """Tell whether a folder of the source, seen from its top, is a package or part of one."""
        parts = folder.split(os.sep)
        places = [os.path.join(self.tree, *parts[: length + 1]) for length in range(len(parts))]
        return any(os.path.isfile(os.path.join(place, "__init__.py")) for place in places)


def find_source(target: Target) -> str | None:
    """Return the file of the module, found without running any of the app (importlib's own way runs the parents)."""
    path: Any = None
    origin = None
    name = ""
    for part in target.module.split("."):
        name = f"{name}.{part}" if name else part
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path) if find else None
            if spec is not None:
                break
        else:
            return None
        path, origin = spec.submodule_search_locations, spec.origin
    return origin if origin and origin.endswith(".py") and os.path.isfile(origin) else None


def quoted(names: Iterable[str], most: int = 8) -> str:
    """Join names for a sentence: the first few, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# ---------------------------------------------------------------------------------------------------------------
# Before the import: calls at module level that never return


def blocking_call(tree: ast.Module, attribute: str) -> tuple[int, str] | None:
    """Return (line, words) of the first call in the module that would serve for ever on import, or None.

    Looks only at what an import always runs: no function bodies, and no branches, because whether those are taken
    is not written in the source. ATTRIBUTE is the application's name.
    """
    imported: dict[str, str] = {}
    made_by: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                imported[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            for name in statement.targets:
                if isinstance(name, ast.Name):
                    made_by[name.id] = _dotted(statement.value.func).rpartition(".")[2]

    def serves(call: ast.Call) -> bool:
        words = _dotted(call.func)
        head, _, tail = words.partition(".")
        if head in imported and (imported[head] + ("." + tail if tail else "")) in SERVING_FUNCTIONS:
            return True
        if not isinstance(call.func, ast.Attribute):
            return False
        if call.func.attr in SERVING_METHODS:
            return True
        if call.func.attr not in RUN_METHODS:
            return False
        receiver = call.func.value
        if isinstance(receiver, ast.Call):
            return bool(MAKES_APPLICATION.match(_dotted(receiver.func).rpartition(".")[2]))
        if not isinstance(receiver, ast.Name):
            return False
        return receiver.id == attribute or bool(MAKES_APPLICATION.match(made_by.get(receiver.id, "")))

    for certain in _always_run(tree.body):
        for expression in _evaluated(certain):
            if isinstance(expression, ast.Call) and serves(expression):
                return expression.lineno, f"{ast.unparse(expression.func)}()"
    return None


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` of nested attributes, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = _dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def _main_guard(test: ast.expr) -> bool | None:
    """Return what the test of an `if` is on import: False for the guard, True for its opposite, None if unknown."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        sides = [test.left, test.comparators[0]]
        named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
        main = any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
        if named and main and isinstance(test.ops[0], ast.Eq | ast.NotEq):
            return isinstance(test.ops[0], ast.NotEq)
    if isinstance(test, ast.Constant):
        return bool(test.value)
    return None


def _always_run(body: list[ast.stmt]) -> Iterator[ast.stmt | ast.expr]:
    """Yield the simple statements of BODY that every import runs, in order."""
    for statement in body:
        if isinstance(statement, ast.If):
            taken = _main_guard(statement.test)
            if taken is not None:
                yield from _always_run(statement.body if taken else statement.orelse)
        elif isinstance(statement, ast.With):
            yield from (item.context_expr for item in statement.items)
            yield from _always_run(statement.body)
        elif isinstance(statement, ast.Try):
            yield from _always_run(statement.body)
            yield from _always_run(statement.finalbody)
        elif isinstance(statement, ast.ClassDef):
            yield from _always_run(statement.body)
        elif isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign):
            yield statement


def _evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yield NODE and the expressions below it that are evaluated with it for certain."""
    yield node
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.BoolOp):
        yield from _evaluated(node.values[0])
    elif isinstance(node, ast.IfExp):
        yield from _evaluated(node.test)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _evaluated(child)


def check_source(target: Target) -> None:
    """Raise a Fault when the module's own source serves for ever on import."""
    path = find_source(target)
    if path is None:
        return
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (OSError, SyntaxError, ValueError):
        return  # the import itself will say so
    found = blocking_call(tree, target.attribute)
    if found is not None:
        line, words = found
        raise serves_at_import(f"{target.shown(path)}:{line}", words)


def serves_at_import(place: str, words: str) -> Fault:
    """Return the Fault for a server that is started by the import."""
    return Fault(
        "blocks-at-import",
        f"{place} calls {words} when the module is imported, which serves for ever, so gunicorn never gets the app",
        f"put {words} under {GUARD} (gunicorn serves the app itself)",
    )


# ---------------------------------------------------------------------------------------------------------------
# During the import: the deadline, and what went wrong


def watch(target: Target, answer: Answer, deadline: float, stage: list[str]) -> None:
    """Start the thread that answers for an import which does not end.

    A bare thread: `threading` would enter it into books that gevent and others replace under our feet.
    """
    main = _thread.get_ident()
    end = _clock() + deadline

    def wait() -> None:
        while (left := end - _clock()) > 0:
            _sleep(left)
        try:
            frame = sys._current_frames().get(main)
            report = blocked(target, frame, deadline, stage[0]).report
        except BaseException as error:
            report = Fault("blocks-at-import", f"{stage[0]} took over {deadline:g} s", "", repr(error)).report
        answer.give(report)

    _thread.start_new_thread(wait, ())


def blocked(target: Target, frame: FrameType | None, deadline: float, stage: str) -> Fault:
    """Say where the main thread stands: the deepest line of the app's own, else the deepest of all."""
    frames: list[FrameType] = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    own = [(depth, f) for depth, f in enumerate(frames) if target.owns(f.f_code.co_filename)]
    others = [(depth, f) for depth, f in enumerate(frames) if not _of_import(f.f_code.co_filename)]
    if not own and not others:
        return Fault("blocks-at-import", f"{stage} did not end within {deadline:g} s", "see the app's output above")
    depth, where = (own or others)[0]
    path, line = where.f_code.co_filename, where.f_lineno
    place = f"{target.shown(path)}:{line}"
    text = linecache.getline(path, line).strip()
    detail = "\n".join(
        _frame_lines(target, [(f.f_code.co_filename, f.f_lineno, f.f_code.co_name) for _, f in own][::-1])
    )
    if any(_is_server(f.f_globals.get("__name__")) for f in frames[:depth]):
        call = re.search(r"[\w.]+(?=\()", text)
        fault = serves_at_import(place, f"{call.group()}()" if call else "a server")
        fault.report["detail"] = detail
        return fault
    return Fault(
        "blocks-at-import",
        f"{stage} did not end within {deadline:g} s: {place} is still running{': ' + text if text else ''}",
        "an import must return at once: do this per request, in a background process, or with a short timeout; "
        f"put a server's start under {GUARD}",
        detail,
    )


def _is_server(name: object) -> bool:
    return isinstance(name, str) and any(name == known or name.startswith(known + ".") for known in SERVER_MODULES)


def _of_import(path: str) -> bool:
    """Tell whether a frame is the import system's or this program's."""
    return path.startswith("<frozen importlib") or path == __file__ or "/importlib/" in path


def _frame_lines(target: Target, frames: list[tuple[str, int | None, str]]) -> list[str]:
    """Return one line per frame: file:line, function, source."""
    lines = []
    for path, line, function in frames[-5:]:
        text = linecache.getline(path, line).strip() if line else ""
        name = "" if function == "<module>" else f" in {function}()"
        lines.append(f"{target.shown(path)}:{line}{name}: {text}")
    return lines


def frames_of(target: Target, error: BaseException) -> list[tuple[str, int | None, str]]:
    """Return (file, line, function) of the app's own frames in the traceback, or of the last others."""
    everything = [(f.filename, f.lineno, f.name) for f in traceback.extract_tb(error.__traceback__)]
    everything = [frame for frame in everything if not _of_import(frame[0])]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        everything.append((error.filename, error.lineno, "<module>"))
    return [frame for frame in everything if target.owns(frame[0])] or everything[-2:]


def explain(target: Target, error: BaseException, stage: str, otherwise: str) -> Fault:
    """Turn what came out of the import, or out of a factory, into a Fault; OTHERWISE is the kind of the rest."""
    frames = frames_of(target, error)
    place = f"{target.shown(frames[-1][0])}:{frames[-1][1]}" if frames else target.module
    # Never fails, not even on an exception whose __str__ does. Of a syntax error the last line is the message.
    lines = masked("".join(traceback.format_exception_only(type(error), error))).strip().splitlines()
    lines = lines[-1:] if isinstance(error, SyntaxError) else lines
    said = " ".join(" ".join(lines).split())
    detail = "\n".join([*_frame_lines(target, frames), *lines[:10]])
    if isinstance(error, SystemExit):
        return Fault(
            "exits-at-import",
            f"{stage} ended the process: sys.exit({error.code!r}) at {place}",
            f"raise an exception instead, or put command line code under {GUARD}",
            detail,
        )
    if isinstance(error, ModuleNotFoundError) and error.name and not _of_distribution(error):
        found = _missing_module(target, error.name, place, detail)
        if found is not None:
            return found
    if isinstance(error, SyntaxError):
        version = ".".join(map(str, sys.version_info[:2]))
        message = f"{place} is not valid Python {version}: {error.msg}"
        return Fault(
            "import-error", message, "mend the line, or choose another version with the app's `python`", detail
        )
    reason = _reason(error)
    if reason is not error:
        told = " ".join(masked("".join(traceback.format_exception_only(type(reason), reason))).split())
        if told not in said:
            said = f"{said if len(said) <= 200 else said[:200] + '...'}, because of {told}"
            detail = "\n".join([detail, *_frame_lines(target, frames_of(target, reason)), told])
        if isinstance(reason, ModuleNotFoundError) and reason.name and not _of_distribution(reason):
            found = _missing_module(target, reason.name, place, detail)
            if found is not None:
                return found
    short = said if len(said) <= 400 else said[:400] + "..."
    return Fault(otherwise, f"{stage} failed at {place}: {short}", _hint(target, reason), detail)


def _reason(error: BaseException) -> BaseException:
    """Return what is at the bottom of an exception: what it was raised from, or while, where that tells more."""
    seen: list[BaseException] = []
    while error not in seen and not isinstance(error, ImportError | OSError):
        seen.append(error)
        below = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        telling = isinstance(below, ImportError | OSError) or (isinstance(below, KeyError) and _names_variable(below))
        if below is None or not (telling or error.__cause__):
            break
        error = below
    return error


def _of_distribution(error: BaseException) -> bool:
    """Tell whether `importlib.metadata` does not know a distribution: an ImportError by its class alone."""
    return type(error).__name__ == "PackageNotFoundError"


def _hint(target: Target, error: BaseException) -> str:
    """Say what to do about an exception of the app's own."""
    if isinstance(error, KeyError) and _names_variable(error):
        return f"if the app reads it from os.environ, add {error.args[0]} to the app's environment or secrets"
    if isinstance(error, ImportError) and _of_distribution(error):
        name = str(error.name)
        folder = re.sub(r"[-.]", "_", name).lower()
        if target.has(folder) or target.elsewhere(folder) is not None:
            return (
                f"{name} is the app's own: write its `name`, its `version` and a [build-system] into the pyproject.toml beside "
                "it, so that its metadata are known"
            )
        return f"add {name} to {target.dependencies}, and deploy again"
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT):
        shared, home = (os.environ.get(name, "") for name in ("SLIPWAY_SHARED", "HOME"))
        where = f"{shared} (the variable SLIPWAY_SHARED), to {home} (HOME)" if shared else "shared/, to HOME"
        return (
            f"the app runs as a user of its own, and its code is read-only: what it writes goes to {where}, to /tmp, or to a "
            "folder that `sandbox.write` names"
        )
    return "mend the error; the app must start with the environment that the inventory gives it"


def _names_variable(error: KeyError) -> bool:
    return (
        bool(error.args)
        and isinstance(error.args[0], str)
        and re.fullmatch(r"[A-Z][A-Z0-9_]*", error.args[0]) is not None
    )


MADE = "what no source has is made by the app's `build` or placed by its `files`"
"""Where a module of the app's own may come from."""


def _missing_module(target: Target, name: str, place: str, detail: str) -> Fault | None:
    """Explain a ModuleNotFoundError for NAME; None when it is just another error of the app's."""
    if name == target.module or target.module.startswith(name + "."):
        return no_module(target, name)
    top = name.partition(".")[0]
    if target.has(top):
        near = difflib.get_close_matches(name, target.modules, 1, 0.75)
        hint = f"did you mean {near[0]}?" if near else f"there is: {quoted(target.modules)}; {MADE}"
        return Fault("import-error", f"{place} imports {name}, which is not in the app's code", hint, detail)
    place_of = target.elsewhere(top)
    if place_of is not None:
        return _elsewhere(target, name, place_of, place, detail)
    if top in REMOVED:
        version = ".".join(map(str, sys.version_info[:2]))
        package = REMOVED[top]
        hint = f"add {package} to {target.dependencies}, or " if package else ""
        return Fault(
            "missing-dependency",
            f"{place} imports {name}, which Python {version} no longer brings",
            f"{hint}choose an older Python with the app's `python`",
            detail,
        )
    installed = sys.modules.get(top)
    if name != top and installed is not None and getattr(installed, "__file__", None):
        return Fault(
            "import-error",
            f"{place} imports {name}, which the installed version of {top} does not have",
            f"pin a version of {top} that has it, or import from where it is now",
            detail,
        )
    if OWN_NAMES.fullmatch(top):
        return Fault(
            "import-error",
            f"{place} imports {name}, which is neither in the app's code nor installed",
            "if it is the app's own, see whether git ignores it, and whether `source.folder` is the folder that it is "
            f"imported from; {MADE}; if a package brings it, add that to {target.dependencies}",
            detail,
        )
    package = DISTRIBUTIONS.get(top, "")
    called = f" (the package is called {package})" if package else ""
    guess = "the package that brings it, usually called " + top.replace("_", "-")
    return Fault(
        "missing-dependency",
        f"{place} imports {name}, which is not installed{called}",
        f"add {package or guess} to {target.dependencies}, and deploy again",
        detail,
    )


def _elsewhere(target: Target, name: str, folder: str, place: str, detail: str) -> Fault:
    """Explain a module that is the app's own, in another folder than the one that it is imported from."""
    message = f"{place} imports {name}, which is in the source's folder {folder}, from where nothing is imported"
    inside = os.path.relpath(os.path.join(target.tree, folder), target.code)
    if target.packaged(folder):
        dotted = ".".join([*inside.split(os.sep), name])
        return Fault("import-error", message, f"import it as {dotted}", detail)
    if inside.startswith(".."):
        hint = (
            f"name it in the requirements of the app, as {inside}, if it is a project; else leave out `source.folder`"
        )
        return Fault("import-error", message, hint, detail)
    module = target.text
    prefix = inside.replace(os.sep, ".") + "."
    if module.startswith(prefix):
        module = module[len(prefix) :]
    also = f" and `module: {module}`" if module != target.text else ""
    return Fault("import-error", message, f"set `source.folder: {folder}`{also}", detail)


def no_module(target: Target, name: str) -> Fault:
    """Explain that the module of MODULE is not there, with what is."""
    parent, _, last = name.rpartition(".")
    folder = "the app's code"
    message = f"there is no module {name!r} in {folder} nor in its virtualenv"
    if parent and parent in sys.modules:
        packaged = hasattr(sys.modules[parent], "__path__")
        message = f"there is no module {last!r} in {parent}" if packaged else f"{parent} is a module, not a package"
        if last == "py":
            return Fault("no-module", message, f'write "{parent}:{target.text.partition(":")[2]}", without .py')
    expression = target.text.partition(":")[2] or "application"
    # A module deeper in the tree (backend/shop/wsgi.py for shop.wsgi), one with a similar name, or one that has
    # what is looked for; the first two only if they have it too, as far as the source tells.
    below = [known for known in target.modules if known.endswith("." + target.module)]
    for known in below:
        prefix = known[: -len(target.module) - 1].replace(".", os.sep)
        folder = os.path.relpath(os.path.join(target.code, prefix), target.tree)
        if not target.packaged(folder):
            return Fault(
                "no-module", message, f"it is in the folder {folder} of the source: set `source.folder: {folder}`"
            )
    # The folder that `source.folder` names is no part of the module's name.
    inner = os.path.relpath(target.code, target.tree).replace(os.sep, ".")
    if target.module.startswith(f"{inner}.") and target.module[len(inner) + 1 :] in target.modules:
        return Fault(
            "no-module",
            message,
            f'write "{target.module[len(inner) + 1 :]}:{expression}": it counts from `source.folder`',
        )
    lower = {known.lower(): known for known in target.modules}
    close = [lower[known] for known in difflib.get_close_matches(target.module.lower(), lower, 3)]
    having = [known for known, path in target.modules.items() if target.attribute in _bound_names(path)]
    guesses = [known for known in below + close if known in having] or below or close[:1] or having[:1]
    there = f"there is: {quoted(target.modules)}" if target.modules else "the app's folder holds no Python file"
    return Fault("no-module", message, f'did you mean "{guesses[0]}:{expression}"? {there}' if guesses else there)


# ---------------------------------------------------------------------------------------------------------------
# After the import: is it an application?


def attribute_of(target: Target, module: ModuleType) -> Any:
    """Return the attribute that MODULE names, or raise the Fault that says what there is."""
    try:
        return getattr(module, target.attribute)
    except AttributeError:
        pass
    call = "()" if target.call is not None else ""
    message = f"module {target.module} has no attribute {target.attribute!r}"
    for name, path in target.modules.items():
        if name != target.module and target.attribute in _bound_names(path):
            where = "its submodule " if name.startswith(target.module + ".") else ""
            return _fail(
                "no-attribute", f"{message}, but {where}{name} has", f'write "{name}:{target.attribute}{call}"'
            )
    names = callables(module)
    inner = f"{target.module}.{target.attribute}"
    if inner in target.modules:
        has = _bound_names(target.modules[inner])
        name = next((name for name in ("application", "app") if name in has), "app")
        return _fail("no-attribute", f"{message}: {inner} is a module in it", f'write "{inner}:{name}"')
    near = difflib.get_close_matches(target.attribute, names, 1)
    suffix = "()" if near and looks_like_factory(getattr(module, near[0])) else ""
    hint = f'did you mean "{target.module}:{near[0]}{suffix}"? ' if near else ""
    hint += f"callable there: {quoted(names)}" if names else "nothing in it is callable"
    return _fail("no-attribute", message, hint)


def _fail(kind: str, message: str, hint: str) -> NoReturn:
    raise Fault(kind, message, hint)


def _bound_names(path: str) -> set[str]:
    """Return the names that the top level of a source file defines (imports do not count)."""
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (OSError, SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        names.update(name.id for name in targets if isinstance(name, ast.Name))
    return names


def callables(module: ModuleType) -> list[str]:
    """Return the module's own callables, applications first; what it imported to build them is noise."""
    first: list[str] = []
    rest: list[str] = []
    for name, value in list(vars(module).items()):
        kind = type(value)
        if (
            name.startswith("_")
            or name in PROGRAMS
            or isinstance(value, ModuleType)
            or not callable(value)
            or kind.__name__ == "LocalProxy"
        ):
            continue
        plain = inspect.isclass(value) or inspect.isroutine(value)
        if plain and getattr(value, "__module__", None) != module.__name__:
            continue
        (first if not plain or looks_like_factory(value) or interfaces(value) else rest).append(name)
    return first + rest


def find_interface(target: Target, app: Any, given: str | None) -> str:
    """Return "wsgi" or "asgi" for the application, or raise the Fault that says why it is neither."""
    words = f"{target.module}:{target.called if target.call is not None else target.attribute}"
    kind = type(app)
    if app is None and target.call is not None:
        raise Fault("not-callable", f"{words} returned None", f"does {target.called} end with `return app`?")
    if inspect.iscoroutine(app):
        app.close()
        raise Fault(
            "not-callable",
            f"{words} returned a coroutine: gunicorn does not wait for an async factory",
            f"make {target.attribute} a plain `def`, and do its asynchronous work in the lifespan",
        )
    if isinstance(app, ModuleType):
        inner = [name for name in ("app", "application", "create_app") if hasattr(app, name)]
        hint = f'name the application in it: "{app.__name__}:{(inner or ["app"])[0]}"'
        raise Fault("not-callable", f"{words} is a module, not an application", hint)
    if not callable(app):
        server = getattr(app, "server", None)
        if server is not None and interfaces(server):
            hint = f'it wraps one: write "application = {target.attribute}.server" and serve that'
        else:
            hint = _others(target, "name the application, such as a Flask or FastAPI object")
        raise Fault("not-callable", f"{words} is not callable: it is of type {kind.__module__}.{kind.__name__}", hint)
    found = interfaces(app)
    if isinstance(found, str):
        raise Fault("wrong-interface", f"{words} {found}", _others(target, "name a WSGI or an ASGI 3 application"))
    if not found:
        raise _no_application(target, app, words)
    if given is not None and given not in found:
        is_ = found[0].upper()
        raise Fault(
            "wrong-interface",
            f"{words} is a{'n' if is_ == 'ASGI' else ''} {is_} application, but `interface: {given}` is set",
            f"remove `interface`, or write `interface: {found[0]}`",
        )
    return given or found[0]


def _others(target: Target, otherwise: str) -> str:
    """Name the things in the module that can be served, or say OTHERWISE."""
    module = sys.modules.get(target.module)
    names = callables(module) if module is not None else []
    good = []
    for name in names:
        value = getattr(module, name)
        if looks_like_factory(value):
            good.append(f'"{target.module}:{name}()"')
        elif isinstance(interfaces(value), tuple) and interfaces(value):
            good.append(f'"{target.module}:{name}"')
    return f"write {' or '.join(good[:3])}" if good else otherwise


def _no_application(target: Target, app: Any, words: str) -> Fault:
    """Explain a callable that is neither kind of application: most often a factory without its ()."""
    takes = _signature_words(app)
    if target.call is None and (inspect.isroutine(app) or inspect.isclass(app) or isinstance(app, functools.partial)):
        if _binds(app):
            what = "a class" if inspect.isclass(app) else "a function that makes the application"
            return Fault(
                "needs-parentheses",
                f"{words} is {what}, not an application: it takes {takes}",
                f'use "{words}()"',
            )
        if FACTORY_NAME.search(target.attribute):
            return Fault(
                "needs-parentheses",
                f"{words} is a function that makes the application: it takes {takes}",
                f'use "{words}(...)" with values for its arguments, such as "{words}(\\"production\\")"',
            )
    hint = _others(target, "name the application, such as a Flask or FastAPI object")
    known = type(app).__module__.partition(".")[0]
    if known in {"aiohttp", "tornado"}:
        hint = f"{known}'s applications need {known}'s own server; only WSGI and ASGI applications are served"
    return Fault(
        "wrong-interface",
        f"{words} is called with {takes}, but WSGI calls (environ, start_response) and ASGI (scope, receive, send)",
        hint,
    )


def _signature(value: Any, follow: bool = True) -> inspect.Signature | None:
    try:
        return inspect.signature(value, follow_wrapped=follow)
    except (TypeError, ValueError):
        return None


def _signature_words(value: Any) -> str:
    signature = _signature(value)
    if signature is None:
        return "unknown arguments"
    words = [str(parameter.replace(annotation=parameter.empty)) for parameter in signature.parameters.values()]
    return "(" + ", ".join(words if len(words) <= 5 else [*words[:4], "..."]) + ")"


def _binds(value: Any) -> bool:
    """Tell whether VALUE can be called without arguments."""
    signature = _signature(value)
    if signature is None:
        return False
    try:
        signature.bind()
    except TypeError:
        return False
    return True


def looks_like_factory(value: Any) -> bool:
    """Tell whether VALUE is a function to be written with () after it."""
    return inspect.isroutine(value) and not interfaces(value) and _binds(value)


def interfaces(app: Any) -> tuple[str, ...] | str:
    """Return the interfaces that the callable may speak, the likelier first; () for neither.

    Only when nothing can be seen (`*args`, compiled code) are there two. A sentence's end says that it is an
    application of a kind that is not served.
    """
    if inspect.isclass(app):
        return _class_interfaces(app)
    if inspect.isroutine(app) or isinstance(app, functools.partial):
        call: Callable[..., Any] = app
    else:
        # An object: what runs is its type's __call__, which may be a slot or a property (Sentry), not a function.
        call = inspect.getattr_static(type(app), "__call__")
        call = call.__get__(app, type(app)) if hasattr(call, "__get__") else call
    return _call_interfaces(call)


def _call_interfaces(call: Callable[..., Any]) -> tuple[str, ...] | str:
    outer = _signature(call, follow=False)
    if outer is None:
        return ("asgi",) if _is_async(call) else ("wsgi", "asgi")
    required, most = _positional(outer)
    if required == 0 and most is None:  # a decorator's (*args, **kwargs): what it wraps tells
        if _is_async(call):
            return ("asgi",)
        inner = getattr(call, "__wrapped__", None)
        if inner is not None and callable(inner):
            inner = inner.__get__(call.__self__) if inspect.ismethod(call) and hasattr(inner, "__get__") else inner
            return _call_interfaces(inner)
        name = getattr(call, "__name__", "")
        return () if FACTORY_NAME.search(name) else ("wsgi", "asgi")
    if required == 0:  # nobody gives an application's arguments defaults: (config=None, debug=False) is a factory
        return ()
    first = next(iter(outer.parameters))
    if required <= 1 and most is not None and most < 2:
        if first == "scope":
            return "is an ASGI 2 application (scope first, then receive and send), which no current server runs"
        return ()
    if required <= 3 and (most is None or most >= 3) and (_is_async(call) or first == "scope" or required == 3):
        return ("asgi",)
    if required <= 2 and (most is None or most >= 2) and not _is_async(call):
        return ("wsgi",)
    return ()


def _class_interfaces(cls: type) -> tuple[str, ...] | str:
    """A class is an application itself when making an instance of it is answering a request (PEP 3333's example)."""
    signature = _signature(cls)
    if signature is None:
        return ()
    required, most = _positional(signature)
    enough = [required <= count and (most is None or most >= count) for count in (1, 2, 3)]
    if required >= 1 and enough[2] and hasattr(cls, "__await__"):
        return ("asgi",)
    if required >= 1 and enough[1] and hasattr(cls, "__iter__"):
        return ("wsgi",)
    if required >= 1 and enough[0] and next(iter(signature.parameters)) == "scope" and _is_async(cls.__call__):
        return "is an ASGI 2 application (a class made per connection), which no current server runs"
    return ()


def _positional(signature: inspect.Signature) -> tuple[int, int | None]:
    """Return how many positional arguments are required, and how many are taken at most (None: any number)."""
    required, most = 0, 0
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return required, None
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            required += parameter.default is parameter.empty
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            return 99, 99  # neither interface passes keywords
    return required, most


def _is_async(call: Any) -> bool:
    """Tell whether calling gives a coroutine, as far as it can be seen without calling."""
    while isinstance(call, functools.partial):
        call = call.func
    # The mark of libraries that wrap a coroutine function in something else (asgiref before Python 3.12).
    function = getattr(call, "__func__", call)
    return inspect.iscoroutinefunction(call) or getattr(function, "_is_coroutine", None) is not None


# ---------------------------------------------------------------------------------------------------------------


def probe(target: Target, answer: Answer, deadline: float, given: str | None) -> dict[str, Any]:
    """Import the app, make it, and return the good answer; anything else is a Fault."""
    for root in reversed(target.roots):
        sys.path.insert(0, root)
    os.chdir(target.code)
    # What an app that reads its command line on import finds under gunicorn.
    sys.argv = [os.path.join(os.path.dirname(sys.executable), "gunicorn"), "-c", "gunicorn.conf.py", target.text]
    check_source(target)

    stage = [f"importing {target.module}"]
    watch(target, answer, deadline, stage)
    start = _clock()
    try:
        module = importlib.import_module(target.module)
    except BaseException as error:
        raise explain(target, error, stage[0], "import-error") from None
    app = attribute_of(target, module)
    if target.call is not None:
        stage[0] = f"the factory {target.called}"
        app = make(target, app, stage[0])
    interface = find_interface(target, app, given)
    return {"ok": True, "interface": interface, "module": target.text, "seconds": round(_clock() - start, 3)}


def make(target: Target, factory: Any, stage: str) -> Any:
    """Call the factory as gunicorn will."""
    arguments, keywords = target.call or ([], {})
    words = f"{target.module}:{target.attribute}"
    if not callable(factory):
        raise Fault("not-callable", f"{words} is of type {type(factory).__name__}: not a function", f'use "{words}"')
    signature = _signature(factory)
    try:
        if signature is not None:
            signature.bind(*arguments, **keywords)
    except TypeError as error:
        if isinstance(interfaces(factory), tuple) and interfaces(factory):
            raise Fault("factory-failed", f"{words} is the application itself", f'use "{words}" without ()') from None
        raise Fault(
            "factory-failed",
            f"{words} takes {_signature_words(factory)}, but {target.text!r} does not fit: {error}",
            f'give its arguments in the parentheses, such as "{words}(\\"production\\")"',
        ) from None
    try:
        return factory(*arguments, **keywords)
    except BaseException as error:
        raise explain(target, error, stage, "factory-failed") from None


def main(arguments: list[str]) -> NoReturn:
    """Run the command line of this process."""
    options = dict.fromkeys(("--code", "--deadline", "--interface", "--source", "--dependencies", "--secrets"), "")
    rest = list(arguments)
    positional = []
    while rest:
        word = rest.pop(0)
        if word in options and rest:
            options[word] = rest.pop(0)
        else:
            positional.append(word)
    try:
        deadline = float(options["--deadline"])
    except ValueError:
        deadline = 0.0
    given = options["--interface"] or None
    if (
        len(positional) != 1
        or deadline <= 0
        or not os.path.isdir(options["--code"])
        or given not in (None, "wsgi", "asgi")
    ):
        print("usage: inspect MODULE --code DIR --deadline SECONDS [--interface wsgi|asgi]", file=sys.stderr)
        sys.exit(64)  # EX_USAGE

    answer = Answer()
    try:
        target = Target(positional[0], options["--code"], options["--source"], options["--dependencies"])
        report = probe(target, answer, deadline, given)
    except Fault as fault:
        report = fault.report
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: S110  the app may have put anything there, and its output is only a courtesy
        pass
    answer.give(report)


if __name__ == "__main__":
    main(sys.argv[1:])
