"""Puts load on a server and tells how it answered: wrk for the fast clients, `crowd` for the slow ones beside them."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds until a server must answer that was held up by slow clients before."""

# wrk's own report is for people; this one has every figure in full. Times are in microseconds.
REPORT = """
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        'FIGURES {"requests": %d, "duration": %d, "bytes": %d, "p50": %d, "p99": %d, "errors": %d}\\n',
        summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


POST = """
wrk.method = 'POST'
wrk.body = string.rep('x', %d)
"""


@dataclass(frozen=True)
class Target:
    """Where a server is to be asked."""

    address: str
    port: int
    host: str
    """The Host header."""


@dataclass(frozen=True)
class Answer:
    """What one run of wrk found: answers per second, milliseconds, bytes per answer, and failures of any kind."""

    rps: float
    p50: float
    p99: float
    size: float
    errors: int


def wrk(
    target: Target,
    path: str,
    connections: int,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    upload: int = 0,
) -> Answer:
    """Ask as fast as answers come, over so many connections at a time; each request sends `upload` bytes."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(REPORT + (POST % upload if upload else ""))
        script.flush()
        # One thread: the second core is the server's. wrk takes whole seconds only.
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", script.name]
        for name, value in {"Host": target.host, **(headers or {})}.items():
            command += ["-H", f"{name}: {value}"]
        command.append(f"http://{target.address}:{target.port}{path}")
        result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    lines = [line for line in result.stdout.splitlines() if line.startswith("FIGURES ")]
    if result.returncode or not lines:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    figures = json.loads(lines[0].removeprefix("FIGURES "))
    requests = figures["requests"]
    return Answer(
        rps=requests / (figures["duration"] / 1e6),
        p50=figures["p50"] / 1e3,
        p99=figures["p99"] / 1e3,
        size=figures["bytes"] / requests if requests else 0.0,
        errors=figures["errors"],
    )


@contextlib.contextmanager
def crowd(target: Target, kind: str, clients: int) -> Iterator[None]:
    """Run slow clients (see `crowd.py`); the block begins when each has sent its first bytes."""
    command = [sys.executable, "-m", "benchmarks.serving.crowd", kind, str(clients)]
    command += [target.address, str(target.port), target.host]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    try:
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the {kind} clients did not start")
        yield
    finally:
        process.stdin.close()
        process.wait(20)


def wait(target: Target, path: str = "/api") -> None:
    """Wait until the server answers ten times in a row quickly, so that no earlier load delays it."""
    end = time.monotonic() + PATIENCE
    good = 0
    problem = "no answer"
    while good < 10:
        connection = http.client.HTTPConnection(target.address, target.port, timeout=0.5)
        try:
            connection.request("GET", path, headers={"Host": target.host, "Connection": "close"})
            answer = connection.getresponse()
            answer.read()
            good, problem = (good + 1, "") if answer.status == 200 else (0, f"status {answer.status}")
        except (OSError, http.client.HTTPException) as error:
            good, problem = 0, str(error)
        finally:
            connection.close()
        if not good:
            if time.monotonic() > end:
                raise RuntimeError(f"{target} does not answer {path}: {problem}")
            time.sleep(0.05)
