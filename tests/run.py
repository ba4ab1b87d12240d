"""Runs every test, in parallel where they do not disturb each other: `python -m tests.run [NAME …]`.

A name picks jobs by their beginning: `lint`, `unit`, `molecule`, `molecule/default`. Each job's output goes to
.cache/tests/; the last lines of a failed one are shown. Exit status 0 when all passed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests import patience

ROOT = Path(__file__).parents[1]
LOGS = ROOT / ".cache/tests"
BIN = ROOT / ".venv/bin"
TAIL = 60
"""Lines shown of a failed job."""
REASON = re.compile(r"[\s'\"-]*(E   +\S|FAILED (?!- )|fatal: |ERROR )|[\w.]+(Error|Exception): ")
"""A line in which pytest, Ansible or Python says why it failed; pytest's within an Ansible result is an item of a list."""
REASONS, WIDTH = 12, 300
"""The last such lines that are shown of a job, and the letters of each."""
PACKAGES = {
    "nginx": "nginx-light",
    "logrotate": "logrotate",
    "systemd-analyze": "systemd",
    "git": "git",
    "git-lfs": "git-lfs",
    "curl": "curl",
    "ssh": "openssh-client",
    "openssl": "openssl",
}
"""What the tests on this machine need besides podman (tests.hosts): program to Debian package."""
SCENARIOS, OTHERS = 2, 1
"""The numbers of parallel scenarios and of parallel other jobs. Two scenarios nearly fill two cores. The others wait for deadlines
and clients half of the time, and use what is left."""
LONGEST = ("sandbox", "reports", "zero_loss", "workers", "faults", "tls", "harden")
"""The scenarios that take seven minutes or more, the longest first: they begin first, so that both lanes end together."""
NAMED = ("internals/every", "molecule/judges", "molecule/strangers_large")
"""Jobs that run only when they are named, since they download a lot: every supported ansible-core, the judges' programs, gigabytes of
apps. `internals` and `molecule/strangers` name them together with the jobs of every run."""


@dataclass(frozen=True)
class Job:
    """One command that passes or fails."""

    name: str
    command: tuple[str, ...]
    folder: Path = ROOT
    limit: int = 2400
    """Its time limit in seconds, on the reference machine."""


def python(*arguments: str) -> tuple[str, ...]:
    """A command of the controller environment's Python."""
    return (str(BIN / "python"), *arguments)


def jobs() -> list[Job]:
    """Every job, the long ones first."""
    folders = (path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    scenarios = sorted(folders, key=lambda name: (*(name != long for long in LONGEST), name))
    return [
        *(Job(f"molecule/{name}", (str(BIN / "molecule"), "test", "-s", name)) for name in scenarios),
        Job("lint/ansible-lint", (str(BIN / "ansible-lint"),)),
        Job(
            "lint/mypy",
            (
                str(BIN / "mypy"),
                "collections/ansible_collections/slipway/kit/plugins",
                "benchmarks",
                "tests/run.py",
                "tests/acme.py",
                "tests/calls.py",
                "tests/patience.py",
                "tests/dead.py",
                "tests/hosts",
                "tests/internals/__main__.py",
                "tests/judge",
                "tests/judges",
                "tests/lint",
                "tests/load",
                "docs/generate.py",
                "docs/layers.py",
            ),
        ),
        Job("lint/bandit", (str(BIN / "bandit"), "-q", "-c", "pyproject.toml", "-r", "plugins", "docs", "tests/hosts")),
        Job("lint/ruff", (str(BIN / "ruff"), "check", ".")),
        Job("lint/format", (str(BIN / "ruff"), "format", "--check", ".")),
        Job("lint/yamllint", (str(BIN / "yamllint"), "--strict", ".")),
        Job("lint/dead", python(str(ROOT / "tests/dead.py"))),
        Job("lint/docs", python("docs/generate.py", "--check")),
        Job("lint/prose", python("-m", "tests.lint.prose")),
        Job("lint/names", python("-m", "tests.lint.names")),
        Job("lint/map", python("docs/layers.py", "--check")),
        Job("unit", python("-m", "pytest", "-q", "tests/unit")),
        Job("internals/this", python("-m", "pytest", "-q", "tests/internals")),
        Job("internals/every", python("-m", "tests.internals")),
        Job("render", python("-m", "pytest", "-q", "tests/render")),
        Job("e2e", python("-m", "pytest", "-q", "tests/e2e")),
        Job("real", python("-m", "pytest", "-q", "tests/real")),
        Job("example", python(str(ROOT / "tests/example.py"))),
    ]


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    job: Job
    passed: bool
    lines: Sequence[str]
    """Its output."""


def run(job: Job, slowness: float, say: threading.Lock) -> Result:
    """Run one job and report how it ended."""
    log = LOGS / f"{job.name.replace('/', '-')}.log"
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "collections"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        "PY_COLORS": "0",
        patience.VARIABLE: f"{slowness:g}",
    }
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        try:
            result = subprocess.run(
                job.command,
                cwd=job.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=job.limit * slowness,
                check=False,
            )
            passed = result.returncode == 0
        except subprocess.TimeoutExpired:
            out.write(f"\nended after {job.limit * slowness:.0f} s\n")
            passed = False
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    with say:
        print(
            f"{'passed' if passed else 'FAILED'}  {job.name:24} {time.monotonic() - started:6.1f} s  {summary(lines)}",
            flush=True,
        )
    return Result(job, passed, lines)


def summary(lines: Sequence[str]) -> str:
    """The line in which a job's own runner counts its tests, if it prints one."""
    counts = [line.strip("= ") for line in lines if " passed" in line and " in " in line]
    return "; ".join(counts[-3:])


def end(lines: Sequence[str]) -> Sequence[str]:
    """The last lines of a failed job that explain the failure, without retries and the removal of its hosts."""
    shown = [line for line in lines if "RETRYING" not in line]
    removals = [number for number, line in enumerate(shown) if "> destroy] Executing" in line]
    return shown[: removals[-1] if len(removals) > 1 else None][-TAIL:]


def reasons(lines: Sequence[str]) -> Sequence[str]:
    """What pytest and Ansible name as the reasons of a failure: repeated last, where a cut output still shows them."""
    return [line.strip()[:WIDTH] for line in lines if REASON.match(line)][-REASONS:]


def prepare(wanted: Sequence[Job]) -> None:
    """Install what the machine lacks, and build the host images once, before scenarios ask for them in parallel."""
    missing = [
        package
        for program, package in PACKAGES.items()
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    ]
    if missing:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise SystemExit(f"the tests need these packages: apt-get install {' '.join(missing)}")
        # Runlevel 1: what is installed for tests is not started as a service.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        # One unreachable third-party source must not matter, as long as the packages install.
        subprocess.run(["apt-get", "-qq", "update"], env=environment, check=False)
        subprocess.run(
            ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *missing], env=environment, check=True
        )
    if any(job.name.startswith(("molecule/", "e2e")) for job in wanted):
        subprocess.run(python("-m", "tests.hosts", "--install", "images"), cwd=ROOT, check=True)


def main(names: Sequence[str]) -> int:
    """Run the jobs whose names begin with one of `names`, or all; returns the exit status."""
    wanted = [
        job for job in jobs() if (any(job.name.startswith(name) for name in names) if names else job.name not in NAMED)
    ]
    if not wanted:
        print(f"no such job; there are: {', '.join(job.name for job in jobs())}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    prepare(wanted)
    started = time.monotonic()
    slowness = patience.measure()
    print(f"limits of tests: {slowness:g} times those of the reference machine", flush=True)
    say = threading.Lock()
    with ThreadPoolExecutor(SCENARIOS) as scenarios, ThreadPoolExecutor(OTHERS) as others:
        lanes = [scenarios if job.name.startswith("molecule/") else others for job in wanted]
        results = [
            future.result()
            for future in [lane.submit(run, job, slowness, say) for lane, job in zip(lanes, wanted, strict=True)]
        ]
    failed = [result for result in results if not result.passed]
    for result in failed:
        print(f"\nthe end of {result.job.name}:")
        print("\n".join(f"    {line}" for line in end(result.lines)))
    print(f"took {time.monotonic() - started:.0f} s; the logs are in {LOGS.relative_to(ROOT)}/")
    for result in failed:
        print("\n".join([f"{result.job.name}:", *(f"    {line}" for line in reasons(result.lines))]))
    listed = f": {', '.join(result.job.name for result in failed)}" if failed else ""
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed{listed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
