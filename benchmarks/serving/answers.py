"""A quick look at a worker class: `python -m benchmarks.serving.answers`, from the project's folder.

Needs wrk and nginx, no host: gunicorn runs on this machine with the kit's own files. It prints the processor time of an answer, app
and nginx together, and writes nothing. The figures of docs/performance.md are from `python -m benchmarks.serving`.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from tests import conftest  # finds the kit's filters
from tests.real.test_workers import write_configuration

from .host import ROOT
from .load import Target, wait, wrk

APPS = Path(__file__).with_name("apps")
CALLABLE = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
LOADS = {"a callable": ("callable:app", "/"), "Flask, JSON": ("flask_web:app", "/api")}
"""What is asked for: the app's module and the path."""
KIT, RIVALS = "Slipway", {"tutorials, `sync -w 4` on TCP": ("sync", 4), "`sync -w 4` on a unix socket": ("sync", 4)}
KINDS = ("threads", "gthread")
PORT = 18300
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
def running(python: Path, module: str, path: str, number: int, name: str) -> Iterator[Contender]:
    """Start a contender, and stop it at the end."""
    with contextlib.ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b", dir="/tmp")))
        shutil.copytree(APPS, top, dirs_exist_ok=True)
        (top / "callable.py").write_text(CALLABLE)
        port, place = PORT + 2 * number, f"unix:{top}/app.sock"
        kind = name.removeprefix(f"{KIT}, ").strip("`")
        if kind in KINDS:
            write_configuration(
                top, module=module, workers=2, threads=8, worker_class=kind, request_timeout=30, timeouts={}
            )
        else:
            worker_class, workers = RIVALS[name]
            place = f"127.0.0.1:{port + 1}" if "TCP" in name else place
            text = f"wsgi_app, chdir = {module!r}, {str(top)!r}\nbind = {place!r}\ncontrol_socket_disable = True\n"
            (top / "gunicorn.conf.py").write_text(text + f"worker_class, workers = {worker_class!r}, {workers}\n")
        server = (BARE if "TCP" in name else FULL).format(port=port, place=place)
        (top / "nginx.conf").write_text(NGINX.format(top=top, servers=server))
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx"
        masters = []
        log = stack.enter_context((top / "log").open("w"))
        commands: list[list[str | Path]] = [
            [python, "-m", "gunicorn", "-c", top / "gunicorn.conf.py"],
            [nginx, "-c", top / "nginx.conf", "-e", top / "nginx.log", "-p", top],
        ]
        for command in commands:
            process = subprocess.Popen(command, cwd=top, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            masters.append(process.pid)
        target = Target("127.0.0.1", port, "shop.example")
        wait(target, path)
        time.sleep(1)  # the other workers load the app, too
        yield Contender(name, masters, target)


def main() -> None:
    """Measure all contenders in turn, and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    names = [*(f"{KIT}, `{kind}`" for kind in KINDS), *RIVALS]
    print(
        "| load | contender | processor time of an answer, µs | ÷ tutorials | requests/s ÷ tutorials |\n|---|---|---:|---:|---:|"
    )
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp") as folder:
        uv, python = ROOT / ".venv/bin/uv", Path(folder, "venv/bin/python")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True)
        for wanted in (("-r", APPS / "flask.txt"), (f"gunicorn=={version('gunicorn')}",)):
            subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *wanted], check=True)
        for load, (module, path) in LOADS.items():
            with contextlib.ExitStack() as stack:
                contenders = [
                    stack.enter_context(running(python, module, path, number, name))
                    for number, name in enumerate(names)
                ]
                for _ in range(options.rounds):
                    for contender in contenders:
                        contender.measure(path, options.seconds)
                for line in rows(load, contenders):
                    print(line, flush=True)


def rows(load: str, contenders: list[Contender]) -> Iterator[str]:
    """The lines of the table for one load."""
    tutorials = next(contender for contender in contenders if re.match("tutorials", contender.name))
    for contender in contenders:
        ratios = [mine / theirs for mine, theirs in zip(contender.samples, tutorials.samples, strict=True)]
        rates = [mine / theirs for mine, theirs in zip(contender.rates, tutorials.rates, strict=True)]
        median = statistics.median(contender.samples)
        yield f"| {load} | {contender.name} | {median:.0f} | {spread(ratios)} | {spread(rates)} |"


def spread(figures: list[float]) -> str:
    """The median, with the smallest and the largest."""
    return f"**{statistics.median(figures):.2f}** ({min(figures):.2f} to {max(figures):.2f})"


if __name__ == "__main__":
    assert conftest
    main()
