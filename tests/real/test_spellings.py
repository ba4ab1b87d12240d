"""However a path is spelt: an app below a mount gets a path within it, or nginx refuses; gunicorn never answers 500."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.render.conftest import nginx_below

from .conftest import _free_port, until

pytestmark = pytest.mark.real

MOUNTS = {"shop": "/shop", "deep": "/shop/deep.er", "blog": "/"}
WEB = """
import json

def app(environ, start_response):
    start_response("200 OK", [("X-App", "app")])
    return [json.dumps([environ["SCRIPT_NAME"], environ["PATH_INFO"]]).encode()]

async def live(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("not asked for")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"app")]})
    told = json.dumps([scope["root_path"], scope["path"]]).encode()
    await send({"type": "http.response.body", "body": told})
"""


def _gunicorn(folder: Path, mount: str, interface: str) -> subprocess.Popen[bytes]:
    """An app as an instance serves it: WSGI ones learn their mount from the environment, ASGI ones from gunicorn."""
    root = "" if mount == "/" else mount
    words = ["-b", f"unix:{folder}/run/app.sock", "--umask", "0", "-w", "1", "--no-control-socket"]
    if interface == "wsgi":
        words += ["-k", "gthread", "--threads", "2", "web:app"]
    else:
        words += ["-k", "asgi", "--asgi-lifespan", "off", *(["--root-path", root] if root else []), "web:live"]
    environment = {**os.environ, **({"SCRIPT_NAME": root} if interface == "wsgi" else {})}
    (folder / "run").mkdir(parents=True)
    (folder / "web.py").write_text(WEB)
    command = [sys.executable, "-m", "gunicorn", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=(folder / "log").open("w"))


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """nginx with the kit's files before three apps of one site, two of them below a path."""
    top, port = Path(tempfile.mkdtemp(prefix="q", dir="/tmp")), _free_port()
    top.chmod(0o755)
    apps = {
        name: {"module": "web:app", "source": {"path": "."}, "domains": ["shop.test"], "mount": mount}
        for name, mount in MOUNTS.items()
    }
    command = nginx_below(top, {"apps": apps, "nginx_http_port": port})
    running = []
    for name, mount in MOUNTS.items():
        release = top / f"srv/{name}/releases/a"
        running.append(_gunicorn(release, mount, request.param))
        (release.parent.parent / "current").symlink_to("releases/a")
    running.append(subprocess.Popen([*command, "-g", "daemon off;"]))
    try:
        until(lambda: all(_ask(port, f"{mount.rstrip('/')}/")[0] == 200 for mount in MOUNTS.values()), 20)
        yield port
    finally:
        for process in running:
            process.terminate()
            process.wait(timeout=30)
        shutil.rmtree(top)


def _ask(port: int, target: str) -> tuple[int, Any]:
    """The status of the answer to these very bytes, and the app's view of the request: None where it did not arrive."""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
            head = f"GET {target} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode("latin-1"))
            data = b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionRefusedError:
        return 0, None
    head, _, body = data.decode("latin-1").partition("\r\n\r\n")
    request = json.loads(body[body.index("[") : body.rindex("]") + 1]) if "x-app: app" in head.lower() else None
    return int(head.split()[1]), request


SPELLINGS = [
    "/shop/x", "//shop/x", "///shop/x", "/%73hop/x", "/sho%70/x", "/shop%2fx", "/shop%2Fx", "/shop%2f", "/shop%2f..", "/shop%2f%2e%2e/x",
    "/SHOP/", "/SHOP/x", "/shop/../x", "/shop/..", "/shop/.", "/shop/./x", "/./shop/x", "/x/../shop/x", "/x/%2e%2e/shop/x", "/x/..%2fshop/x",
    "/shop//x", "/shop//", "//shop", "//shop/", "/%73hop", "/shop/../shop/x", "/shop/../blog", "/shop/x/../../x", "/shop/%2e%2e/x",
    "/shop/deep.er/x", "//shop/deep.er/x", "/shop//deep.er/x", "/shop/./deep.er/x", "/shop/deep%2eer/x", "/shop/deepXer/x", "/shop%2fdeep.er/x",
    "/shop/x/../deep.er/x", "/shop/deep.er/../x", "/shop/deep.er/..%2fx", "/shop/deep.er", "/shop/deep.er%2f", "/shop/deep.er/../../x",
    "/shop;a=b/x", "/shop/;a=b", "/shop%00/x", "/shop/%00", "/shop%20/x", "/shop/a%20b", "/shop/%25", "/shop/%", "/shop/%zz", "/shop\\x", "/shop/\\..\\x",
    "/shop/x?a=/../", "/shop?x", "//shop?x", "/shop/?//shop", "/shop/#x", "/%73hop/#x", "/shop/\xe9", "/sh\xf6p/x", "/shop/%c3%a9", "/shop/%ff",
    "http://shop.test/shop/x", "http://shop.test//shop/x", "http://shop.test/%73hop/x", "http://shop.test", "http://shop.test?x", "http://shop.test/",
    "//", "///", "/.", "/..", "/%2e%2e/", "//x", "//x.test/y", "///x", "/%2f", "/%2fx", "//../x", "/x//y", "*", "x", "?x", "/?x", "/x/../y", "/;", "/:", "//:", "//[", "//@x", "//x:y/",
    "/\xe9", '/"', "/<x>", "/{x}", "/|", "/^", "/`", "/x\\", "/x;y", "/%0a", "/%0d%0aX:y", "/%", "/%2", "/x#y", "/#", "/?#", "/?\xe9", "/?a=%zz",
]  # fmt: skip


@pytest.mark.parametrize("target", SPELLINGS)
def test_a_spelling_reaches_an_app_below_its_mount_or_nothing(port: int, target: str) -> None:
    status, request = _ask(port, target)
    if status == 200:
        root, path = request
        assert root in ("", "/shop", "/shop/deep.er")
        assert path.startswith("/")
        if root:
            asked = target.removeprefix("http://shop.test")
            assert asked.startswith(f"{root}/")
    else:
        assert status in (308, 400, 404, 405)


def test_what_is_refused_is_not_what_people_write(port: int) -> None:
    """An app sees its path as it was written, encoded slashes and doubled ones included."""
    assert _ask(port, "/shop/a%20b//c")[1][1].endswith("/a b//c")
    assert _ask(port, "/shop/http://x.test/y")[1][1].endswith("/http://x.test/y")
    assert _ask(port, "/a//b")[1] == ["", "/a//b"]
    assert _ask(port, "//shop/x")[0] == _ask(port, "/%73hop/x")[0] == 404
