"""The events on the hosts of the scenario `zero_loss` while clients send requests, which must not notice them.

`python -m tests.load.scenario [EVENT …]` runs every event, or those whose names contain one of the words, on the hosts
that `molecule converge -s zero_loss` has set up. This program loads both hosts, each by its own generator, and they
meet every event at the same time. Exit status 0 when no request was lost where no process was killed.

With SLIPWAY_WRITE_FIGURES=1 the figures are written into docs/operations.md.
"""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.hosts import containers, inside
from tests.hosts.machine import HostsError, environment, read, run
from tests.patience import patience, slowness

from . import figures
from .running import CONTROL_SITE, ROOT, Target, load

NOTES = ROOT / ".cache/zero_loss"
PAGE = ROOT / "docs/operations.md"
SCENARIO, DOMAIN, APP = "zero_loss", "loss.test", "loss"
HOSTS = ("systemd", "supervisor")
DEPLOYS, ASGI_DEPLOYS = 20, 6
SOAK = 0.5
"""Seconds, for the deploys of good releases; broken ones meet the default."""
REQUEST_TIMEOUT, WORKERS, THREADS = int(6 * slowness()), 3, 6
"""As in the scenario's inventory; the workers after the configuration change."""
OF_WORKER, OF_INSTANCE = dict.fromkeys(HOSTS, THREADS), dict.fromkeys(HOSTS, WORKERS * THREADS)
"""The most requests that a worker, or all of them, answer at any time."""
SETTLE = 2.5 * slowness()
"""Seconds until a slow request in flight has its answer. Each event waits for them first: the requests that it hits were
then sent during it."""
PLAYBOOK = 300.0
"""Seconds that a run of a playbook may take."""


@dataclass
class Host:
    """One host: its name in the inventory, its address, and the last release that was seen there."""

    name: str
    address: str

    @property
    def container(self) -> str:
        """Its container's name."""
        return containers.container(SCENARIO, self.name)

    def ask(self, timeout: float = 10.0) -> dict[str, Any]:
        """Ask the app for its release, as a client."""
        connection = http.client.HTTPConnection(self.address, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", "/release", headers={"Host": DOMAIN, "Connection": "close"})
            answer = connection.getresponse()
            text = answer.read()
        if answer.status != 200:
            raise ConnectionError(f"the answer was {answer.status}")
        report: dict[str, Any] = json.loads(text)
        return report

    def until(self, condition: Callable[[dict[str, Any]], bool], seconds: float, what: str) -> dict[str, Any]:
        """Ask until the answer meets the condition."""
        end = time.monotonic() + patience(seconds)
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if condition(answer := self.ask(timeout=1.0)):
                    return answer
            time.sleep(0.1)
        raise AssertionError(f"{self.name}: {what} did not happen within {seconds:g} s")


class Field:
    """The hosts, the actions on them, and the faults."""

    def __init__(self) -> None:
        self.env = environment(read(), ROOT / ".cache/hosts")
        self.hosts = [Host(name, self._address(name)) for name in HOSTS]
        self.faults: list[str] = []
        self.acted = 0.0
        self.round = int(time.time())

    def _address(self, name: str) -> str:
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return run(["podman", "inspect", containers.container(SCENARIO, name), "--format", form], self.env).strip()

    def each(self, action: Callable[[Host], Any]) -> list[Any]:
        """Run an action on all hosts at the same time."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            return list(pool.map(action, self.hosts))

    def on(self, host: Host, *command: str) -> str:
        """The output of a command on the host, which must succeed."""
        result = inside.attempt(host.container, command, self.env)
        if result.returncode:
            raise HostsError(f"{' '.join(command[:4])} on {host.name}: {result.stdout}{result.stderr}")
        return result.stdout

    def control(self) -> None:
        """Have each nginx serve a plain file, as the load's control."""
        self.each(lambda host: self.on(host, *CONTROL_SITE))

    def logged(self, host: str, numbers: Sequence[int]) -> str:
        """What nginx's logs on a host say about requests."""
        hosts = [one for one in self.hosts if one.name == host]
        words = [f"--regexp=token={number} " for number in numbers]
        return "".join(
            self.on(one, "sh", "-c", 'zgrep -h "$@" /var/log/nginx/* || true', "sh", *words) for one in hosts
        )

    def playbook(self, name: str, variables: dict[str, Any], fails: bool = False) -> None:
        """Run a playbook on both hosts, and note whether it succeeds as expected."""
        log = NOTES / f"{len(list(NOTES.glob('*.log'))):02}-{name}.log"
        command = [str(ROOT / ".venv/bin/ansible-playbook"), f"--inventory=molecule/{SCENARIO}/inventory/"]
        with log.open("w", encoding="utf-8") as out:
            result = subprocess.run(
                [*command, f"playbooks/{name}.yml", "--extra-vars", json.dumps(variables)],
                cwd=ROOT,
                env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=patience(PLAYBOOK),
                check=False,
            )
        if (result.returncode != 0) is not fails:
            ended = "succeeded" if fails else "failed"
            tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-40:])
            raise AssertionError(f"{name} with {variables} {ended}:\n{tail}")

    def deploy(self, **variables: Any) -> None:
        """Deploy a good release with a value that no release had before, and see it on every host."""
        self.round += 1
        self.playbook("deploy", {"round": self.round, "soak": SOAK, **variables})
        self.expect(self.round)

    def expect(self, number: int) -> None:
        """Every host shows the release of this round."""
        for host in self.hosts:
            if (answer := host.ask())["round"] != str(number):
                self.faults.append(f"{host.name} shows round {answer['round']}, not {number}")


def deploys(field: Field) -> None:
    """Real releases, one after the other: each has another value in its environment."""
    for _ in range(DEPLOYS):
        field.deploy()


def asgi_deploys(field: Field) -> None:
    """The same as an ASGI app, under uvicorn; the first deploy switches to it."""
    for _ in range(ASGI_DEPLOYS):
        field.deploy(callable="live:app")


def wsgi_again(field: Field) -> None:
    """Back from ASGI to WSGI."""
    field.deploy()


def rollback(field: Field) -> None:
    """Back to the previous release."""
    before = [host.ask()["round"] for host in field.hosts]
    field.playbook("rollback", {})
    field.expect(int(before[0]) - 1)


def broken(fault: str) -> Callable[[Field], None]:
    """A deploy of a release that must never get a request of a client."""

    def act(field: Field) -> None:
        before = [host.ask()["release"] for host in field.hosts]
        field.playbook("deploy", {"round": field.round, "fault": fault}, fails=True)
        if (after := [host.ask()["release"] for host in field.hosts]) != before:
            field.faults.append(f"{fault}: the hosts show {after} and not {before}")

    return act


def configuration(field: Field) -> None:
    """Another number of workers and another value: a new release like any other."""
    field.deploy(workers=WORKERS)
    for host in field.hosts:
        pids = field.on(host, "pgrep", "--parent", str(host.ask()["master"])).split()
        if len(pids) != WORKERS:
            field.faults.append(f"{host.name} has {len(pids)} workers, not {WORKERS}")


def stop_worker(field: Field) -> None:
    """A worker gets SIGTERM: it finishes its requests."""
    _signal_worker(field, "TERM")


def kill_worker(field: Field) -> None:
    """A worker dies at once."""
    _signal_worker(field, "KILL")


def _signal_worker(field: Field, signal: str) -> None:
    def act(host: Host) -> None:
        worker = host.ask()["pid"]
        field.on(host, "kill", f"-{signal}", str(worker))
        time.sleep(3)
        if field.on(host, "sh", "-c", f"! kill -0 {worker} 2>/dev/null || echo there"):
            time.sleep(REQUEST_TIMEOUT)

    field.each(act)


def kill_master(field: Field) -> None:
    """The instance's main process dies at once; the manager starts it again."""

    def act(host: Host) -> None:
        master = host.ask()["master"]
        field.on(host, "kill", "-KILL", str(master))
        host.until(lambda answer: answer["master"] not in (master, 1), 30, "a new master")

    field.each(act)


def restart(field: Field) -> None:
    """An operator restarts the instance by the process manager's command."""

    def act(host: Host) -> None:
        before = host.ask()
        unit = f"slipway-{APP}-{before['release']}"
        commands = {
            "systemd": f"systemctl restart {unit}.service",
            "supervisor": f"/opt/slipway/supervisor-*/bin/supervisorctl -c /etc/slipway/supervisord.conf restart {unit}",
        }
        field.on(host, "sh", "-ec", commands[host.name])
        host.until(lambda answer: answer["master"] != before["master"], 30, "a new master")

    field.each(act)


def reload_nginx(field: Field) -> None:
    """The steps of another app's first deploy."""
    for _ in range(3):
        field.each(lambda host: field.on(host, "systemctl", "reload", "nginx"))
        time.sleep(1)


def rotate_logs(field: Field) -> None:
    """Rotate every log of the host at once; they continue to be written."""

    def act(host: Host) -> None:
        field.on(host, "logrotate", "--force", "/etc/logrotate.conf")
        time.sleep(2)
        access = f"/var/log/nginx/slipway-{DOMAIN}.access.log"
        for path in (access, f"{access}.1", f"/var/log/slipway/{APP}/{host.ask()['release']}.log-*"):
            if field.on(host, "sh", "-c", f"test -s {path} || echo missing") != "":
                field.faults.append(f"{host.name}: {path} is empty after the rotation")

    field.each(act)


def stream(field: Field) -> None:
    """An answer that takes longer than any timeout, and is sent without a pause."""

    def act(host: Host) -> None:
        connection = http.client.HTTPConnection(host.address, timeout=REQUEST_TIMEOUT)
        with contextlib.closing(connection):
            connection.request("GET", f"/stream?seconds={2.5 * REQUEST_TIMEOUT}", headers={"Host": DOMAIN})
            if not connection.getresponse().read().endswith(b"end\n"):
                field.faults.append(f"{host.name}: an answer that was still being written was cut")

    field.each(act)


def hang(field: Field) -> None:
    """More endless requests than threads, spread over all workers."""

    def act(host: Host) -> None:
        with contextlib.ExitStack() as open_ones:
            for _ in range(4 * WORKERS * THREADS):
                connection = open_ones.enter_context(socket.create_connection((host.address, 80), patience(5)))
                connection.sendall(f"GET /hang HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode())
            time.sleep(1)
            with contextlib.suppress(OSError, http.client.HTTPException):
                host.ask(timeout=1)
                field.faults.append(f"{host.name}: not every thread hung")
            host.until(lambda _answer: True, 10 * REQUEST_TIMEOUT, "an answer after the threads hung")

    field.each(act)


@dataclass(frozen=True)
class Event:
    """One line of the table. `why`, `closes`, `most` and `waits`: see figures.Span."""

    name: str
    act: Callable[[Field], None]
    why: str = ""
    closes: bool = False
    most: Mapping[str, int] = field(default_factory=dict)
    waits: bool = False


EVENTS = (
    Event(f"{DEPLOYS} deploys in a row", deploys),
    Event("rollback", rollback),
    Event("a release that raises at import", broken("raises")),
    Event("… hangs at import", broken("hangs")),
    Event("… crashes 0.7 s after its first answer", broken("crashes")),
    Event("… answers 500", broken("answers_500")),
    Event("… takes longer than `request_timeout` to answer", broken("slow")),
    Event("… misses a dependency", broken("misses")),
    Event("… fails its migration", broken("migration")),
    Event("another number of workers, another value", configuration),
    Event("nginx reloaded 3 times", reload_nginx, closes=True),
    Event("logs rotated", rotate_logs),
    Event("an answer written for 2.5 times `request_timeout`", stream),
    Event("a worker asked to stop", stop_worker),
    Event(
        "a worker killed (-9)",
        kill_worker,
        why="what that worker was answering",
        most=OF_WORKER,
    ),
    Event("the master killed (-9)", kill_master, why="what it was answering", most=OF_INSTANCE, waits=True),
    Event("the instance restarted by hand", restart, waits=True),
    Event(f"{ASGI_DEPLOYS} deploys as an ASGI app under uvicorn", asgi_deploys),
    Event("… rollback", rollback),
    Event("… nginx reloaded 3 times", reload_nginx, closes=True),
    Event("… an answer written for 2.5 times `request_timeout`", stream),
    Event("… a worker asked to stop", stop_worker),
    Event("… a worker killed (-9)", kill_worker, why="what that worker was answering"),
    Event("… and a deploy as a WSGI app again", wsgi_again),
    Event("every thread of the pool hung", hang, why="no thread is free until the watchdog has new workers"),
)
HUNG = EVENTS[-1].name


def reboot(field: Field) -> str:
    """Restart both hosts; the current release must come back by itself."""
    before = {host.name: host.ask()["release"] for host in field.hosts}

    def act(host: Host) -> float:
        started = time.monotonic()
        containers.restart(host.container, field.env)
        host.address = field._address(host.name)
        release = host.until(lambda _answer: True, 60, "an answer after the reboot")["release"]
        if release != before[host.name]:
            field.faults.append(f"{host.name}: {release} is back after the reboot, not {before[host.name]}")
        return time.monotonic() - started

    took = field.each(act)
    return "Rebooted: " + ", ".join(
        f"{host.name} served the same release {seconds:.1f} s after the order"
        for host, seconds in zip(field.hosts, took, strict=True)
    )


def main(words: Sequence[str]) -> int:
    """Run the events, show the figures, and return the exit status."""
    NOTES.mkdir(parents=True, exist_ok=True)
    for path in NOTES.iterdir():
        path.unlink()
    field = Field()
    field.control()
    spans = []
    started = time.monotonic()
    chosen = [event for event in EVENTS if not words or any(word in event.name for word in words)]
    targets = [Target(host.address, DOMAIN, NOTES / f"{host.name}.jsonl") for host in field.hosts]
    with load(targets) as look:
        time.sleep(1)
        for event in chosen:
            begin = time.monotonic()
            time.sleep(SETTLE)
            acted = time.monotonic()
            try:
                look()
                event.act(field)
            except (
                AssertionError,
                OSError,
                subprocess.SubprocessError,
                http.client.HTTPException,
                HostsError,
            ) as error:
                field.faults.append(f"{event.name}: {error}")
            time.sleep(0.5)
            span = figures.Span(
                event.name, begin, acted, time.monotonic(), event.why, event.closes, event.most, event.waits
            )
            spans.append(span)
            print(f"{time.monotonic() - started:6.1f} s  {event.name}", flush=True)
        time.sleep(SETTLE)
    rebooted = reboot(field)

    notes = {host.name: figures.read(NOTES / f"{host.name}.jsonl") for host in field.hosts}
    rows = [(span, {name: figures.tally(noted, span) for name, noted in notes.items()}) for span in spans]
    for span, tallies in rows:
        field.faults += figures.faults(span, tallies)
        for name, counted in tallies.items():
            if span.event == HUNG and counted.served_again > 2 * REQUEST_TIMEOUT:
                field.faults.append(f"{span.event}: {name} served again after {counted.served_again:.1f} s only")
            if counted.lost:
                print(f"{span.event}, {name}: {dict(counted.lost)}")
                if not span.why:
                    print(field.logged(name, counted.lost_numbers[:20]))
    text = f"{figures.table(rows)}\n\n{rebooted}."
    print(text)
    late = max(one.late for _, tallies in rows for one in tallies.values())
    control = max(one.control for _, tallies in rows for one in tallies.values())
    print(f"the slowest plain file took {control:.2f} s; the machine is {slowness():g} times slower than the reference")
    print(f"the load was at most {late:.2f} s behind its schedule; all took {time.monotonic() - started:.0f} s")
    for fault in field.faults:
        print(f"FAULT  {fault}")
    if os.environ.get("SLIPWAY_WRITE_FIGURES") == "1" and not (field.faults or words) and slowness() == 1:
        when = datetime.datetime.now(datetime.UTC).date().isoformat()
        page = figures.insert(PAGE.read_text(encoding="utf-8"), f"Measured on {when}.\n\n{text}", SCENARIO)
        PAGE.write_text(page, encoding="utf-8")
    return 1 if field.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
