"""Real runs of the import probe on tiny apps, and its judgement of callables."""

from __future__ import annotations

import ast
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils import programs
from ansible_collections.slipway.kit.plugins.module_utils.programs.probe.signatures import interfaces
from ansible_collections.slipway.kit.plugins.module_utils.programs.probe.source import blocking_call

from tests.patience import patience

RELEASE = tempfile.TemporaryDirectory()
"""The part of a release that the probe needs: itself."""
PROBE = Path(RELEASE.name, programs.PROBE)
LAUNCHER = Path(RELEASE.name, "exec")
for path, text in programs.of_release(log_reader=False).items():
    Path(RELEASE.name, path).parent.mkdir(exist_ok=True, parents=True)
    Path(RELEASE.name, path).write_text(text)
LAUNCHER.chmod(0o700)
APPS = Path(__file__).parents[3] / "fixtures" / "apps"


def run(
    code: Path, module: str, *, deadline: float = 20, interface: str = "", env: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run the probe as a deploy does, and return its answer after checking its shape."""
    result = subprocess.run(
        [sys.executable, "-B", PROBE, module, "--code", code, "--deadline", str(deadline)]
        + (["--interface", interface] if interface else []),
        capture_output=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})},
    )
    assert result.returncode == 0, result.stderr.decode()
    lines = result.stdout.decode("ascii").splitlines()
    assert len(lines) == 1, lines
    report = json.loads(lines[0])
    if report["ok"]:
        assert set(report) == {"ok", "interface", "module", "seconds"}
    else:
        assert set(report) == {"ok", "kind", "message", "hint", "detail"}
        assert report["message"]
        assert report["hint"]
        assert "\n" not in report["message"] + report["hint"]
        assert "importlib" not in report["detail"], "only the app's own frames are of use"
    return report


def app(folder: Path, source: str, name: str = "web.py") -> Path:
    """Write an app of one file into FOLDER, with the imports of the sources below."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return folder


WSGI = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\n"


@pytest.mark.parametrize(
    ("folder", "module", "interface"),
    [
        ("good_wsgi", "web:app", "wsgi"),
        ("good_wsgi", "web", "wsgi"),
        ("good_asgi", "web:app", "asgi"),
        ("flask_like", "web:app", "wsgi"),
        ("src_layout", "shop.wsgi", "wsgi"),
        ("src_layout", "shop.wsgi:application", "wsgi"),
        ("factory", "web:create_app()", "wsgi"),
        ("factory_argument", 'web:create_app("production", debug=False)', "wsgi"),
        ("answers_500", "web:app", "wsgi"),
        ("crashes", "web:app", "wsgi"),
    ],
)
def test_good_apps(folder: str, module: str, interface: str) -> None:
    report = run(APPS / folder, module)
    assert report["ok"], report
    assert (report["interface"], report["module"]) == (interface, module)


BROKEN = [
    # folder, module, kind, words of the message, words of the hint
    ("missing_module", "web:app", "no-module", "no module 'web'", '"shop.wsgi:app"'),
    ("missing_module", "shop.wsgy:app", "no-module", "no module 'wsgy' in shop", '"shop.wsgi:app"'),
    ("missing_module", "wsgi:app", "no-module", "no module 'wsgi'", '"shop.wsgi:app"'),
    ("good_wsgi", "web.app:app", "no-module", "web is a module, not a package", '"web:app"'),
    ("good_wsgi", "web.py:app", "no-module", "web is a module, not a package", '"web:app", without .py'),
    ("good_wsgi", "web.app", "no-module", "web is a module, not a package", 'app is a name in web: write "web:app"'),
    ("good_wsgi", "web.app:application", "no-module", "web is a module", 'app is a name in web: write "web:app"'),
    ("good_wsgi", "sub/web:app", "bad-module", "'sub/web'", '"sub.web:app"'),
    ("good_wsgi", "web:app.wsgi", "bad-module", "'app.wsgi'", "pkg.mod:app"),
    ("good_wsgi", "web:app(name)", "bad-module", "'app(name)'", "pkg.mod:app"),
    ("good_wsgi", "web:ap", "no-attribute", "has no attribute 'ap'", 'did you mean "web:app"?'),
    ("factory", "web:app", "no-attribute", "has no attribute 'app'", "create_app"),
    ("factory", "web:creat_app", "no-attribute", "has no attribute", '"web:create_app()"'),
    ("missing_module", "shop:app", "no-attribute", "but its submodule shop.wsgi has", '"shop.wsgi:app"'),
    ("missing_module", "shop:wsgi", "no-attribute", "shop.wsgi is a module", '"shop.wsgi:app"'),
    ("not_callable", "web:app", "not-callable", "builtins.dict", "name the application"),
    ("factory", "web:create_app", "needs-parentheses", "(config=...)", 'use "web:create_app()"'),
    ("factory_argument", "web:create_app", "needs-parentheses", "(name, ", "create_app(...)"),
    ("factory_argument", "web:create_app()", "factory-failed", "missing a required argument: 'name'", "arguments"),
    ("factory_raises", "web:create_app()", "factory-failed", "web.py:2: ConnectionRefusedError", "environment"),
    ("good_wsgi", "web:app()", "factory-failed", "is the application itself", "without ()"),
    ("raises", "web:app", "import-error", "settings.py:2: ValueError: invalid literal", "correct the error"),
    ("missing_dependency", "web:app", "missing-dependency", "web.py:1 imports yaml_of_nobody", "yaml-of-nobody"),
    ("exits", "web:app", "exits-at-import", "sys.exit(0) at web.py:3", "__main__"),
    ("runs", "web:app", "blocks-at-import", "web.py:16 calls app.run()", "put app.run() under if __name__"),
]


@pytest.mark.parametrize(("folder", "module", "kind", "message", "hint"), BROKEN)
def test_broken_apps(folder: str, module: str, kind: str, message: str, hint: str) -> None:
    report = run(APPS / folder, module)
    assert (report["ok"], report.get("kind")) == (False, kind), report
    assert message in report["message"]
    assert hint in report["hint"]


@pytest.mark.parametrize(
    ("folder", "message", "hint"),
    [
        ("sleeps", "did not end within 1 s: web.py:8 is still running: time.sleep(0.05)", "return at once"),
        ("runs_hidden", "web.py:13 calls server.serve_forever()", "under if __name__"),
        ("slow_boot", "web.py:5 is still running: time.sleep(5)", "return at once"),
    ],
)
def test_an_import_that_blocks_ends_at_the_deadline(folder: str, message: str, hint: str) -> None:
    start = time.monotonic()
    report = run(APPS / folder, "web:app", deadline=1)
    assert time.monotonic() - start < patience(15)
    assert report["kind"] == "blocks-at-import"
    assert message in report["message"]
    assert hint in report["hint"]


def test_flask_run_at_import() -> None:
    pytest.importorskip("flask", reason="flask is not among the test tools")
    report = run(APPS / "flask_runs", "web:app", deadline=5)
    assert (report["kind"], "web.py:14 calls app.run()" in report["message"]) == ("blocks-at-import", True)


def test_a_slow_boot_within_the_deadline_is_good() -> None:
    report = run(APPS / "slow_boot", "web:app", deadline=40)
    assert report["ok"]
    assert report["seconds"] >= 5


def test_a_factory_that_blocks(tmp_path: Path) -> None:
    app(tmp_path, "import time\ndef create_app():\n    time.sleep(60)\n")
    report = run(tmp_path, "web:create_app()", deadline=1)
    assert report["kind"] == "blocks-at-import"
    assert "the factory create_app() did not end within 1 s: web.py:3" in report["message"]


def test_the_given_interface_must_fit() -> None:
    assert run(APPS / "good_wsgi", "web:app", interface="wsgi")["ok"]
    assert run(APPS / "good_asgi", "web:app", interface="asgi")["ok"]
    report = run(APPS / "good_wsgi", "web:app", interface="asgi")
    assert (report["kind"], "is a WSGI application" in report["message"]) == ("wrong-interface", True)
    report = run(APPS / "good_asgi", "web:app", interface="wsgi")
    assert (report["kind"], "is an ASGI application" in report["message"]) == ("wrong-interface", True)


def test_what_an_app_prints_and_leaves_behind_confuses_nobody(tmp_path: Path) -> None:
    """Output on both descriptors, a replaced stdout, a thread and an exit handler that never end, a forked child."""
    source = (
        "import atexit, os, sys, threading, time\n"
        "print('{\"ok\": false}', flush=True)\n"
        "os.system('echo from a shell')\n"
        "threading.Thread(target=time.sleep, args=(100,)).start()\n"
        "atexit.register(time.sleep, 100)\n"
        "os.fork()\n"
        "sys.stdout = None\n"
    )
    assert run(app(tmp_path, source + WSGI), "web:app")["ok"]


def test_files_beside_the_probe_and_the_app_shadow_nothing(tmp_path: Path) -> None:
    """A release holds `inspect`, `exec` and `code/`; an app may have a module with the name of one of them."""
    release = tmp_path / "release"
    code = app(release / "code", "import inspect, json\nassert inspect.signature\n" + WSGI)
    app(code, "raise SystemError('shadowed')\n", "difflib.py")
    app(code, "raise SystemError('shadowed')\n", "command.py")
    app(code, "raise SystemError('shadowed')\n", "slipway_probe/__init__.py")
    shutil.copytree(PROBE, release / "inspect")
    command = [sys.executable, "-B", release / "inspect", "web:app", "--code", code, "--deadline", "20"]
    result = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(result.stdout)["ok"]


@pytest.mark.parametrize(
    ("source", "kind", "message", "hint"),
    [
        ("import cv2", "missing-dependency", "imports cv2", "opencv-python-headless"),
        ("from google.cloud import storage", "missing-dependency", "imports google", "google-cloud-"),
        ("import json.tool_that_is_not", "import-error", "the installed version of json", "pin"),
        ("from web_parts import x", "missing-dependency", "imports web_parts", "web-parts"),
        ("import helpers.missing", "import-error", "imports helpers.missing, which is not in the app's code", "there is"),
        ("import helpers.tex", "import-error", "imports helpers.tex", "did you mean helpers.text?"),
        ("def app(:", "import-error", "web.py:1 is not valid Python", "correct the line"),
        ("import os; os.environ['SHOP_TOKEN']", "import-error", "KeyError: 'SHOP_TOKEN'", "add SHOP_TOKEN"),
        ("open('/proc/version', 'x')", "import-error", "web.py:1: FileExistsError", "correct the error"),
        ("raise KeyboardInterrupt", "import-error", "web.py:1: KeyboardInterrupt", "correct the error"),
        ("class E(BaseException):\n def __str__(self): 1 / 0\nraise E", "import-error", "web.py:3", "correct the error"),
        ("import argparse\nargparse.ArgumentParser().parse_args()", "exits-at-import", "sys.exit(2) at web.py:2", "__main__"),
        ("async def app(): pass", "needs-parentheses", "takes ()", '"web:app()"'),
        ("app = None", "not-callable", "builtins.NoneType", "name the application"),
        ("import json as app", "not-callable", "is a module", '"json:app"'),
        ("class app:\n def __call__(self, e, s): pass", "needs-parentheses", "is a class", '"web:app()"'),
        ("def app(scope): pass", "wrong-interface", "ASGI 2", "ASGI 3"),
        ("def app(item_id): pass\ndef make_app(): pass", "wrong-interface", "(item_id)", '"web:make_app()"'),
    ],
)  # fmt: skip
def test_messages(tmp_path: Path, source: str, kind: str, message: str, hint: str) -> None:
    app(tmp_path, "", "helpers/__init__.py")
    app(tmp_path, "", "helpers/text.py")
    report = run(app(tmp_path, source), "web:app")
    assert (report["ok"], report.get("kind")) == (False, kind), report
    assert message in report["message"]
    assert hint in report["hint"]


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("pass", "not-callable", "web:app() returned None"),
        ("import sys; sys.exit('no')", "exits-at-import", "the factory app() ended the process: sys.exit('no')"),
        ("import cv2", "missing-dependency", "imports cv2"),
        ("return 5", "not-callable", "builtins.int"),
    ],
)
def test_factories(tmp_path: Path, body: str, kind: str, message: str) -> None:
    report = run(app(tmp_path, f"def app():\n    {body}\n"), "web:app()")
    assert (report["kind"], message in report["message"]) == (kind, True), report


def test_an_async_factory_is_explained(tmp_path: Path) -> None:
    report = run(app(tmp_path, "async def app(): pass"), "web:app()")
    assert (report["kind"], "coroutine" in report["message"]) == ("not-callable", True)


def test_values_of_the_environment_are_not_repeated(tmp_path: Path) -> None:
    """Exceptions quote connection strings; the answer goes into a deploy's log."""
    source = (
        "import os\n"
        "def app(): raise RuntimeError(os.environ['DATABASE_URL'], os.environ['API_KEY'], os.environ['MODE'])\n"
        "def long(): raise RuntimeError('x' * 270 + os.environ['DATABASE_URL'])\n"
        "def leave(): raise SystemExit(os.environ['DATABASE_URL'])\n"
    )
    env = {"DATABASE_URL": "postgres://u:canary'\n1canary@h/db", "API_KEY": "canarytwo", "MODE": "production"}
    app(tmp_path, source)
    for factory in ("app", "long", "leave"):
        report = run(tmp_path, f"web:{factory}()", env=env)
        assert "$DATABASE_URL" in report["message"] + report["detail"]
        assert "canary" not in json.dumps(report)
        assert "postgres" not in json.dumps(report)
    assert "$DATABASE_URL\", '$API_KEY', 'production')" in run(tmp_path, "web:app()", env=env)["message"]


def test_a_message_of_many_lines_becomes_one(tmp_path: Path) -> None:
    report = run(app(tmp_path, "raise ValueError('two faults:\\n  name\\n  colour')"), "web:app")
    assert report["message"] == "importing web failed at web.py:1: ValueError: two faults: name colour"
    assert report["detail"].endswith("ValueError: two faults:\n  name\n  colour")


def test_an_exception_of_one_line_is_named_once(tmp_path: Path) -> None:
    report = run(app(tmp_path, "def fail():\n    raise ValueError('no colour')\nfail()\n"), "web:app")
    assert report["message"] == "importing web failed at web.py:2: ValueError: no colour"
    assert report["detail"] == "web.py:3: fail()\nweb.py:2 in fail(): raise ValueError('no colour')"
    source = "import os\ntry:\n    os.environ['COLOUR']\nexcept KeyError as error:\n    raise ValueError('no colour') from error\n"
    report = run(app(tmp_path, source), "web:app")
    assert report["message"].endswith("ValueError: no colour, because of KeyError: 'COLOUR'")
    assert report["detail"].splitlines() == [
        "web.py:5: raise ValueError('no colour') from error",
        "web.py:3: os.environ['COLOUR']",
    ]
    report = run(app(tmp_path, "raise ValueError('x' * 500)"), "web:app")
    assert report["detail"].endswith("x" * 500), "the message has less of it"


def test_through_the_launcher(tmp_path: Path) -> None:
    app(tmp_path / "code", "import os\nassert os.environ['MODE'] == 'a \"b\"\\n'\n" + WSGI)
    (tmp_path / "environment.json").write_text(json.dumps({"MODE": 'a "b"\n'}))
    command = [LAUNCHER, tmp_path / "environment.json", "--", sys.executable, "-B", PROBE, "web:app"]
    result = subprocess.run(
        [*command, "--code", tmp_path / "code", "--deadline", "20"], capture_output=True, check=True, cwd="/"
    )
    assert json.loads(result.stdout)["ok"]


def test_a_wrong_call_of_the_probe_is_refused() -> None:
    result = subprocess.run([sys.executable, PROBE, "web:app"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.startswith("usage:")


# Calls that the source shows before anything runs.

FLASK = "from flask import Flask\napp = Flask(__name__)\n"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (FLASK + "app.run()", 3),
        (FLASK + "app.run(debug=True, port=80)", 3),
        (FLASK + "if True:\n    app.run()", 4),
        (FLASK + "if __name__ != '__main__':\n    app.run()", 4),
        (FLASK + "if __name__ == '__main__':\n    pass\nelse:\n    app.run()", 6),
        (FLASK + "try:\n    app.run()\nfinally:\n    pass", 4),
        (FLASK + "import sys\nsys.exit(app.run())", 4),
        ("site = create_app()\nsite.run()", 2),
        ("from shop import app\napp.run()", 2),
        ("Flask(__name__).run()", 1),
        ("import uvicorn\nuvicorn.run('web:app')", 2),
        ("import uvicorn as u\nu.run('web:app')", 2),
        ("from uvicorn import run\nrun('web:app')", 2),
        ("from waitress import serve\nserve(app)", 2),
        ("import waitress\nwaitress.serve(app)", 2),
        ("from aiohttp import web\nweb.run_app(app)", 2),
        ("from werkzeug.serving import run_simple\nrun_simple('', 80, app)", 2),
        ("from wsgiref.simple_server import make_server\nmake_server('', 80, app).serve_forever()", 2),
        ("with make_server('', 80, app) as s:\n    s.serve_forever()", 2),
        ("socketio = SocketIO(app)\nsocketio.run(app)", 2),
    ],
)
def test_a_server_started_at_import_is_seen_in_the_source(source: str, line: int) -> None:
    call = blocking_call(ast.parse(source), "app")
    assert call is not None
    assert call[0] == line


@pytest.mark.parametrize(
    "source",
    [
        FLASK + "if __name__ == '__main__':\n    app.run()",
        FLASK + "if '__main__' == __name__:\n    app.run()",
        FLASK + "if __name__ == '__main__' and True:\n    app.run()",
        FLASK + "__name__ == '__main__' and app.run()",
        FLASK + "def main():\n    app.run()",
        FLASK + "start = lambda: app.run()",
        FLASK + "import os\nif os.environ.get('DEV'):\n    app.run()",
        FLASK + "import threading, server\nthreading.Thread(target=server.serve_forever)",
        "import subprocess\nsubprocess.run(['true'])",
        "import asyncio\nasyncio.run(setup())",
        "job = Job()\njob.run()",
        "def run(): pass\nrun()",
        "def serve(): pass\nserve()",
    ],
)
def test_honest_sources_are_let_through(source: str) -> None:
    assert blocking_call(ast.parse(source), "app") is None


# The interface of a callable.


def wsgi_function(environ: Any, start_response: Any) -> Any: ...
def wsgi_with_default(environ: Any, start_response: Any = None) -> Any: ...
async def asgi_function(scope: Any, receive: Any, send: Any) -> None: ...
def asgi_plain(scope: Any, receive: Any, send: Any) -> Any: ...
def factory_none() -> Any: ...
def factory_defaults(config: Any = None, debug: bool = False, name: str = "x") -> Any: ...
def create_anything(*args: Any, **kwargs: Any) -> Any: ...
def anything(*args: Any, **kwargs: Any) -> Any: ...
def asgi2_function(scope: Any) -> Any: ...


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Wsgi:
    def __call__(self, environ: Any, start_response: Any) -> Any: ...

    def method(self, environ: Any, start_response: Any) -> Any: ...

    @decorated
    def wrapped(self, environ: Any, start_response: Any) -> Any: ...


class Asgi:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class AsgiStatic:
    @staticmethod
    async def __call__(scope: Any, receive: Any, send: Any) -> None: ...


class AsgiSlot:
    """The way error trackers wrap an application."""

    __slots__ = ("__call__",)

    def __init__(self) -> None:
        self.__call__ = self.run

    async def run(self, scope: Any, receive: Any, send: Any) -> None: ...


class AsgiWrapped:
    @decorated
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class WsgiPerRequest:
    """The example class of PEP 3333."""

    def __init__(self, environ: Any, start_response: Any) -> None: ...

    def __iter__(self) -> Any: ...


class AsgiPerRequest:
    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...

    def __await__(self) -> Any: ...


class Asgi2:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class NoArguments:
    """aiohttp's application."""

    def __call__(self) -> Any: ...


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (wsgi_function, ("wsgi",)),
        (wsgi_with_default, ("wsgi",)),
        (lambda environ, start: [], ("wsgi",)),
        (functools.partial(wsgi_function), ("wsgi",)),
        (functools.partial(lambda config, environ, start: [], {}), ("wsgi",)),
        (decorated(wsgi_function), ("wsgi",)),
        (Wsgi(), ("wsgi",)),
        (Wsgi().method, ("wsgi",)),
        (Wsgi().wrapped, ("wsgi",)),
        (WsgiPerRequest, ("wsgi",)),
        (asgi_function, ("asgi",)),
        (asgi_plain, ("asgi",)),
        (functools.partial(asgi_function), ("asgi",)),
        (decorated(asgi_function), ("asgi",)),
        (Asgi(), ("asgi",)),
        (Asgi().__call__, ("asgi",)),
        (functools.partial(Asgi()), ("asgi",)),
        (AsgiStatic(), ("asgi",)),
        (AsgiSlot(), ("asgi",)),
        (AsgiWrapped(), ("asgi",)),
        (AsgiPerRequest, ("asgi",)),
        (anything, ("wsgi", "asgi")),
        (create_anything, ()),
        (factory_none, ()),
        (factory_defaults, ()),
        (Wsgi, ()),
        (NoArguments(), ()),
    ],
)
def test_interfaces(value: Any, expected: tuple[str, ...]) -> None:
    assert interfaces(value) == expected


@pytest.mark.parametrize("value", [asgi2_function, Asgi2])
def test_asgi_2_is_named(value: Any) -> None:
    assert "ASGI 2" in interfaces(value)


def at(tmp_path: Path, files: dict[str, str], module: str, *options: str, folder: str = "", env: dict[str, str] | None = None):  # fmt: skip
    """What the probe says about an app of several files, in a folder of its source."""
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    command = [sys.executable, "-B", PROBE, module, "--code", str(tmp_path / folder), "--source", str(tmp_path)]
    result = subprocess.run(
        [*command, "--deadline", "10", *options],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(env or {})},
    )
    return json.loads(result.stdout.splitlines()[-1])


MONO = {"backend/shop/__init__.py": "", "backend/shop/settings.py": "", "backend/shop/wsgi.py": "from shop import settings\n" + WSGI}  # fmt: skip


def test_a_module_in_a_folder_of_the_source_names_the_key(tmp_path: Path) -> None:
    assert "set `source.folder: backend`" in at(tmp_path, MONO, "shop.wsgi:app")["hint"]
    assert at(tmp_path, MONO, "shop.wsgi:app", folder="backend")["ok"]
    report = at(tmp_path, MONO, "backend.shop.wsgi:app")
    assert "shop, which is in the source's folder backend" in report["message"]
    assert report["hint"] == "set `source.folder: backend` and `module: shop.wsgi:app`"
    report = at(tmp_path, MONO, "backend.shop.wsgi:app", folder="backend")
    assert report["hint"] == 'write "shop.wsgi:app": it counts from `source.folder`'


def test_a_module_of_the_source_is_never_a_package_of_an_index(tmp_path: Path) -> None:
    files = {"web.py": "import core\n" + WSGI, "shop/__init__.py": "", "shop/core.py": ""}
    report = at(tmp_path, files, "web:app")
    assert (report["kind"], report["hint"]) == ("import-error", "import it as shop.core")
    report = at(tmp_path, {"back/web.py": "import lib\n" + WSGI, "lib/__init__.py": ""}, "web:app", folder="back")
    assert "name it in the requirements of the app" in report["hint"]
    report = at(tmp_path, {"web.py": "import utils\n" + WSGI}, "web:app")
    assert "neither in the app's code nor installed" in report["message"]
    assert "check whether git ignores it" in report["hint"]


def test_where_a_missing_package_is_added(tmp_path: Path) -> None:
    where = ["--dependencies", "pyproject.toml, lock anew (uv lock)"]
    report = at(tmp_path, {"web.py": "import yaml_that_is_not\n"}, "web:app", *where)
    assert report["hint"].endswith("to pyproject.toml, lock anew (uv lock), and deploy again")
    report = at(tmp_path, {"web.py": "import pkg_resources_\n".replace("s_", "s")}, "web:app")
    if not report["ok"] and report["kind"] == "missing-dependency":
        assert "setuptools<81" in report["hint"]


def test_the_reason_below_an_exception(tmp_path: Path) -> None:
    source = (
        "import logging.config\nlogging.config.dictConfig({'version': 1, 'handlers': {'file': "
        "{'class': 'logging.FileHandler', 'filename': '/proc/none/app.log'}}, 'root': {'handlers': ['file']}})\n"
    )
    env = {"SLIPWAY_SHARED": "/srv/shop/shared", "HOME": "/srv/shop/home"}
    report = at(tmp_path, {"web.py": source}, "web:app", env=env)
    assert "Unable to configure handler 'file', because of FileNotFoundError" in report["message"]
    assert "/srv/shop/shared (the variable SLIPWAY_SHARED), to /srv/shop/home (HOME), to /tmp" in report["hint"]
    source = "try:\n    import MySQLdb\nexcept ImportError as error:\n    raise RuntimeError('no driver') from error\n"
    report = at(tmp_path, {"web.py": source}, "web:app")
    assert (report["kind"], "mysqlclient" in report["hint"]) == ("missing-dependency", True)
    source = (
        "import os\ntry:\n    os.environ['SHOP_KEY']\nexcept KeyError:\n    raise RuntimeError('not set') from None\n"
    )
    assert "because of" not in at(tmp_path, {"web.py": source}, "web:app")["message"]


def test_the_apps_own_distribution_is_no_missing_package(tmp_path: Path) -> None:
    source = "from importlib.metadata import version\nversion('ticker-app')\n"
    report = at(tmp_path, {"ticker_app/__init__.py": source}, "ticker_app:app")
    assert "ticker-app is the app's own" in report["hint"]
    assert "[build-system]" in report["hint"]


def test_what_begins_a_program_is_not_suggested(tmp_path: Path) -> None:
    report = at(tmp_path, {"hub/__init__.py": "", "hub/app.py": "def main():\n    pass\ndef create_app():\n    pass\n"}, "hub.app:ap")  # fmt: skip
    assert "main" not in report["hint"]
    assert "create_app" in report["hint"]


def test_a_long_value_costs_no_time(tmp_path: Path) -> None:
    begin = time.monotonic()
    assert at(
        tmp_path, {"web.py": "def app(e, s): return []"}, "web:app", env={"A": "long " * 20_000, "B": "a://:" * 20_000}
    )["ok"]
    assert time.monotonic() - begin < patience(20)


def test_a_value_that_is_no_secret_is_shown(tmp_path: Path) -> None:
    env = {
        "SLIPWAY_RELEASE": "v1.4.2-1a2b3c4d",
        "PLACE": "/data/in 1",
        "TOKEN_FILE_TEXT": "canary1",
        "SPECIAL": "canary2",
    }
    source = "raise RuntimeError('/srv/shop/releases/v1.4.2-1a2b3c4d /data/in 1 canary1 canary2')\n"
    message = at(tmp_path, {"web.py": source}, "web:app", "--secrets", "SPECIAL", env=env)["message"]
    assert "/srv/shop/releases/v1.4.2-1a2b3c4d /data/in 1" in message
    assert "canary" not in message
