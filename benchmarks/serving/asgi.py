"""What kept connections, uvloop and httptools save an ASGI app: `python -m benchmarks.serving.asgi`, from the project's folder.

Needs wrk and nginx, no host: gunicorn runs on this machine with the kit's own files. It prints a table for docs/performance.md with
the processor time of an answer, app and nginx together. All contenders are behind an nginx that does the same for each of them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import conftest  # finds the kit's filters
from tests.real.test_workers import write_configuration

from .host import ROOT
from .load import Target, wait, wrk

APPS = Path(__file__).with_name("apps")
PORT = 18460
CALLABLE = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
"""
LOADS = {"a callable": ("coroutine:app", "/"), "FastAPI, JSON": ("fastapi_web:app", "/api")}
NGINX = """
daemon off; pid {top}/nginx.pid; worker_processes 1; user root;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f;
    uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
    {servers}
}}
"""
BARE = "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{place}; }} }}"
FULL = (
    "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{place}; proxy_http_version 1.1;"
    ' proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;'
    " proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-ID $request_id; }} }}"
)
KEPT = "upstream kept_{port} {{ server {place}; keepalive 64; {limits} }}\n"
LIMITS = "keepalive_timeout 500ms; keepalive_time 500ms;"
CHOICE = "set $to_{port} plain_{port}; if (-x {top}/app.sock) {{ set $to_{port} kept_{port}; }} proxy_pass http://$to_{port};"


@dataclass(frozen=True)
class Way:
    """How an app is served."""

    name: str
    worker_class: str = ""
    """Without one, the kit serves it."""
    workers: int = 2
    kept: bool = True
    tcp: bool = False
    without: tuple[str, ...] = ()
    """Packages that its Python does not have."""


BEST = Way("gunicorn with uvicorn's worker, connections kept", "uvicorn_worker.UvicornWorker")
WAYS = (
    BEST,
    Way("Slipway"),
    Way("Slipway, without uvloop", without=("uvloop",)),
    Way("Slipway, without httptools", without=("httptools",)),
    Way("Slipway, without both", without=("uvloop", "httptools")),
    Way("Slipway, a connection for each request", kept=False),
    Way("Slipway, a connection for each request, without both", kept=False, without=("uvloop", "httptools")),
    Way("tutorials, `-w 4` on TCP", "uvicorn_worker.UvicornWorker", workers=4, kept=False, tcp=True),
)


@dataclass
class Contender:
    """One gunicorn behind its own nginx."""

    name: str
    masters: list[int]
    target: Target
    samples: list[float] = field(default_factory=list)
    """Microseconds for each answer."""
    rates: list[float] = field(default_factory=list)

    def seconds(self) -> float:
        """The processor time that its workers have used."""
        total = 0
        for master in self.masters:
            workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
            for task in (task for worker in workers for task in Path(f"/proc/{worker}/task").iterdir()):
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def measure(self, path: str, seconds: float) -> None:
        """Load it for so long."""
        before = self.seconds()
        answer = wrk(self.target, path, 16, seconds)
        if answer.errors:
            raise RuntimeError(f"{self.name} failed {answer.errors} requests")
        self.samples.append((self.seconds() - before) / (answer.rps * round(seconds)) * 1e6)
        self.rates.append(answer.rps)


@contextlib.contextmanager
def running(python: Path, module: str, path: str, number: int, way: Way) -> Iterator[Contender]:
    """Start a contender, and stop it at the end."""
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b", dir="/tmp")))
        shutil.copytree(APPS, top, dirs_exist_ok=True)
        (top / "coroutine.py").write_text(CALLABLE)
        (top / "hidden").mkdir()
        for package in way.without:
            (top / f"hidden/{package}.py").write_text("raise ImportError\n")
        port = PORT + 2 * number
        place = f"127.0.0.1:{port + 1}" if way.tcp else f"unix:{top}/app.sock"
        if way.worker_class:
            text = f"wsgi_app, chdir = {module!r}, {str(top)!r}\nbind = {place!r}\ncontrol_socket_disable = True\n"
            text += f"worker_class, workers = {way.worker_class!r}, {way.workers}\n"
            (top / "gunicorn.conf.py").write_text(text)
        else:
            write_configuration(
                top, module=module, interface="asgi", workers=way.workers, threads=1, request_timeout=30, timeouts={}
            )
        (top / "nginx.conf").write_text(NGINX.format(top=top, servers=_servers(top, port, place, way)))
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
        log = stack.enter_context((top / "log").open("w"))
        environment = {**os.environ, "PYTHONPATH": str(top / "hidden")}
        masters = []
        commands: list[list[str | Path]] = [
            [python, "-m", "gunicorn", "-c", top / "gunicorn.conf.py"],
            [nginx, "-c", top / "nginx.conf", "-e", top / "nginx.log", "-p", top],
        ]
        for command in commands:
            process = subprocess.Popen(command, cwd=top, stdout=log, stderr=log, env=environment)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            masters.append(process.pid)
        target = Target("127.0.0.1", port, "shop.example")
        wait(target, path)
        if not (way.kept or way.tcp):
            (top / "app.sock").chmod(0o666)
        time.sleep(1)  # the other workers load the app, too
        yield Contender(way.name, masters, target)


def _servers(top: Path, port: int, place: str, way: Way) -> str:
    """What nginx has for a contender: the kit's own choice between two upstreams, or the usual one."""
    if way.tcp:
        return BARE.format(port=port, place=place)
    kept = KEPT.format(port=port, place=place, limits="" if way.worker_class else LIMITS)
    if way.worker_class:
        return kept + FULL.format(port=port, place=f"kept_{port}")
    plain = f"upstream plain_{port} {{ server {place}; }}\n"
    server = FULL.format(port=port, place="@").replace("proxy_pass http://@;", CHOICE.format(port=port, top=top))
    return kept + plain + server


def main() -> None:
    """Measure all contenders in turn, and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    print(
        "| load | contender | processor time of an answer, µs | ÷ best | requests/s ÷ best |\n|---|---|---:|---:|---:|"
    )
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as folder:
        uv, python = ROOT / ".venv/bin/uv", Path(folder, "venv/bin/python")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", APPS / "fastapi.txt"], check=True)
        for load, (module, path) in LOADS.items():
            with contextlib.ExitStack() as stack:
                contenders = [
                    stack.enter_context(running(python, module, path, number, way)) for number, way in enumerate(WAYS)
                ]
                for _ in range(options.rounds):
                    for contender in contenders:
                        contender.measure(path, options.seconds)
                for contender in contenders:
                    print(row(load, contender, contenders[0]), flush=True)


def row(load: str, contender: Contender, best: Contender) -> str:
    """The line of the table for a contender."""
    times = [mine / theirs for mine, theirs in zip(contender.samples, best.samples, strict=True)]
    rates = [mine / theirs for mine, theirs in zip(contender.rates, best.rates, strict=True)]
    return f"| {load} | {contender.name} | {statistics.median(contender.samples):.0f} | {spread(times)} | {spread(rates)} |"


def spread(figures: list[float]) -> str:
    """The median, with the smallest and the largest."""
    return f"**{statistics.median(figures):.2f}** ({min(figures):.2f} to {max(figures):.2f})"


if __name__ == "__main__":
    assert conftest
    main()
