"""Tasks while everything happens to the app: none is lost, none runs twice and none is cut; and no request is lost.

A program on each host sends a task a second to celery and to rq. Each task writes its number when it begins and when it ends.
The tests run in their order, on the same hosts.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hosts.machine import run
from tests.hosts.scenario import Scenario
from tests.patience import patience

SCENARIO = Scenario("workers")
HOSTS = ("bookworm", "supervised")
SEEN, NOTES = "/root/seen.json", "/srv/work/shared/notes"
BEAT = "celery -A tasks beat"
MISSED = """
stamp=/var/lib/systemd/timers/stamp-slipway-work.timer.missed.timer
checked=/var/lib/slipway/timers/work/checked
[ ! -e $stamp ] || touch -d '2 days ago' $stamp
[ ! -e $checked ] || echo "{\\"clock\\": $(($(date +%s) / 60 * 60 - 172800))}" > $checked
"""
"""Has the host believe that it last looked two days ago."""
STUCK = """
import redis, rq
queue = rq.Queue(connection=redis.Redis(port=6379, db=1))
failed = queue.failed_job_registry
for place, names in [("waits", queue.intermediate_queue.get_job_ids()), ("failed", failed.get_job_ids())]:
    for name in names:
        job = queue.fetch_job(name)
        if job and (place == "waits" or "intermediate queue" in (job.exc_info or "")):
            print(job.args[0])
"""
"""Prints the jobs that a worker of rq took and did not begin. rq's signal handler ends a worker at once while it takes a job. rq
reports such a job as failed a minute later: "Job was stuck in intermediate queue"."""
within = SCENARIO.within


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.3)


def lines(host: str, pattern: str) -> list[str]:
    """The processes of the app's user whose command matches."""
    result = SCENARIO.attempt(host, "pgrep", "-u", "work", "-f", pattern)
    return result.stdout.split()


def producer(host: str) -> list[str]:
    return SCENARIO.attempt(host, "pgrep", "-f", "produce.py").stdout.split()


class Load:
    """What sends tasks and requests on a host."""

    def __init__(self) -> None:
        self.next = dict.fromkeys(HOSTS, 1)
        self.requests: Counter[str] = Counter()

    def begin(self) -> None:
        """Begin to send."""
        for host in HOSTS:
            venv = within(host, "readlink", "-f", "/srv/work/current/venv").strip()
            code = within(host, "readlink", "-f", "/srv/work/current/code").strip()
            # A copy: the release may go meanwhile.
            within(host, "sh", "-c", f"rm -rf /root/sender {SEEN}; cp -r {code} /root/sender")
            command = f"cd /root/sender && exec setsid {venv}/bin/python produce.py {SEEN} {self.next[host]} >/root/sender.log 2>&1 &"
            within(host, "sh", "-c", command)
            until(lambda host=host: bool(producer(host)), 10, "nothing is sent")  # type: ignore[misc]

    def end(self) -> None:
        """Stop sending, and judge the requests."""
        for host in HOSTS:
            within(host, "pkill", "-TERM", "-f", "produce.py")
            until(lambda host=host: not producer(host), 30, "the sender does not end")  # type: ignore[misc]
            seen = json.loads(within(host, "cat", SEEN))
            assert seen["lost"] == [], host
            assert seen["good"] > 0, host
            self.requests[host] += seen["good"]
            self.next[host] = seen["next"]

    def judge(self) -> None:
        """Every task that was sent has begun once and ended once."""
        for host in HOSTS:
            sent = range(1, self.next[host])
            steps = ("begins", "ends")
            wanted = Counter(
                f"{kind} {number} {step}" for kind in ("celery", "rq") for number in sent for step in steps
            )
            with contextlib.suppress(AssertionError):
                until(lambda host=host, wanted=wanted: not wanted - noted(host), 60, "")  # type: ignore[misc]
            for number in stuck(host) if wanted - noted(host) else ():
                print(f"{host}: rq itself reports that its worker has left job {number}")
                wanted -= Counter(f"rq {number} {step}" for step in steps)
            for number in redelivered(host):
                print(f"{host}: celery itself ran task {number} a second time")
                wanted += Counter(f"celery {number} {step}" for step in steps)
            assert noted(host) == wanted, (host, wanted - noted(host), noted(host) - wanted)


def stuck(host: str) -> list[str]:
    """The numbers of the jobs that a stopping worker of rq has left, as rq itself reports them."""
    venv = within(host, "readlink", "-f", "/srv/work/current/venv").strip()
    return within(host, f"{venv}/bin/python", "-c", STUCK).split()


def redelivered(host: str) -> list[str]:
    """The numbers of the tasks that had run and that celery delivered again, as the tasks themselves noted.

    That happens to a task that begins within a millisecond of its worker's SIGTERM. It ends, but the worker has no time to confirm it.
    Measured with celery alone: 3 of 1,218 workers that ended. The issue celery#3796 describes it.
    """
    ran = noted(host)
    numbers = re.findall(r"^celery (\d+) redelivered$", within(host, "cat", NOTES), re.MULTILINE)
    return [number for number in numbers if ran[f"celery {number} ends"] > 1]


def noted(host: str) -> Counter[str]:
    """What the tasks wrote when they began and ended."""
    return Counter(line for line in within(host, "cat", NOTES).splitlines() if line.endswith((" begins", " ends")))


class Beats(threading.Thread):
    """Counts celery's beats on the hosts, of which there may be only one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = dict.fromkeys(HOSTS, 0)
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.wait(0.1):
            for host in HOSTS:
                self.most[host] = max(self.most[host], len(lines(host, BEAT)))


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    """The load of all tests."""
    made = Load()
    for host in HOSTS:
        within(host, "redis-cli", "flushall")
        within(host, "rm", "-f", NOTES)
    made.begin()
    yield made
    for host in HOSTS:
        SCENARIO.attempt(host, "pkill", "-KILL", "-f", "produce.py")


@pytest.fixture(autouse=True)
def one_beat(load: Load) -> Iterator[None]:
    """Whatever happens, no second beat runs, and one runs in the end."""
    beats = Beats()
    beats.start()
    yield
    beats.ending.set()
    beats.join()
    assert set(beats.most.values()) <= {0, 1}, beats.most
    for host in HOSTS:
        until(lambda host=host: len(lines(host, BEAT)) == 1, 20, f"{host}: no beat runs")  # type: ignore[misc]


def play(playbook: str, fails: bool = False, **variables: Any) -> str:
    """Run a playbook for the app; returns its output."""
    result: subprocess.CompletedProcess[str] = SCENARIO.play(playbook, app="work", **variables)
    assert bool(result.returncode) == fails, result.stdout
    return result.stdout


def current(host: str) -> str:
    return within(host, "readlink", "/srv/work/current").strip()


def workers(host: str) -> set[str]:
    """The releases of the workers that run and were not asked to end."""
    return {line.rpartition("-n celery1-")[2].split("@")[0] for line in commands(host) if "-n celery1-" in line}


def commands(host: str) -> list[str]:
    return SCENARIO.attempt(host, "ps", "-u", "work", "-o", "args=").stdout.splitlines()


def test_deploys() -> None:
    """With the first one, the two of other tests and the rollback, more than ten."""
    for edition in (*(f"edition {number}" for number in range(2, 8)), "second", "third"):
        play("deploy", edition=edition)
    for host in HOSTS:
        release = current(host).rpartition("/")[2]
        until(lambda host=host, release=release: workers(host) == {release}, 70, f"{host}: old workers run")  # type: ignore[misc]


def test_a_worker_that_does_not_stay_up_changes_nothing() -> None:
    before = {host: current(host) for host in HOSTS}
    output = play("deploy", fails=True, edition="broken", rq=["sh", "-c", "echo no queue; exit 4"])
    assert output.count("the process rq.1 did not stay up for 5 s") == len(HOSTS)
    assert output.count("no queue") >= len(HOSTS)
    assert {host: current(host) for host in HOSTS} == before


def test_a_beat_that_does_not_stay_up_takes_the_switch_back() -> None:
    before = {host: current(host) for host in HOSTS}
    output = play("deploy", fails=True, edition="off beat", beat=["sh", "-c", "echo no clock; exit 4"])
    assert output.count("the process beat.1 did not stay up for 5 s") == len(HOSTS)
    assert output.count("beat.1 started again") == len(HOSTS)
    assert {host: current(host) for host in HOSTS} == before


def test_a_rollback_brings_the_old_workers_back() -> None:
    play("rollback")
    for host in HOSTS:
        release = current(host).rpartition("/")[2]
        until(lambda host=host, release=release: workers(host) == {release}, 70, f"{host}: other workers run")  # type: ignore[misc]
        assert within(host, "curl", "-s", "-H", "Host: work.test", "http://127.0.0.1/") == "second"


def test_a_worker_that_ends_starts_again() -> None:
    for host in HOSTS:
        mains = lines(host, "celery -A tasks worker")
        within(host, "kill", "-TERM", min(mains, key=int))
        until(
            lambda host=host, mains=mains: bool(set(lines(host, "celery -A tasks worker")) - set(mains)),
            30,
            f"{host}: no worker",
        )  # type: ignore[misc]


def new_bot(host: str, killed: set[str]) -> set[str]:
    """Wait for the bot's process. A killed one may still be listed for a moment."""
    bot: set[str] = set()

    def look() -> bool:
        bot.update(SCENARIO.attempt(host, "pgrep", "-u", "bot", "-f", "bot.py").stdout.split())
        bot.difference_update(killed)
        return bool(bot)

    until(look, 40, f"{host}: no bot")
    return bot


def test_a_bot_is_killed_and_starts_again_after_longer_and_longer_pauses() -> None:
    # The shortest third pause by the rule of each manager, without what polling may cut off. A busy machine only adds to it.
    for host, shortest in {"bookworm": 3.5, "supervised": 1.5}.items():
        killed: set[str] = set()
        pauses = []
        for _ in range(3):
            bot = new_bot(host, killed)
            within(host, "kill", "-KILL", *bot)
            begin = time.monotonic()
            killed |= bot
            new_bot(host, killed)
            pauses.append(time.monotonic() - begin)
        assert pauses[2] > shortest, (host, pauses)


def test_a_reboot(load: Load) -> None:
    load.end()
    for host in HOSTS:
        # A backlog, so that the workers have tasks when the host goes down.
        venv, first = within(host, "readlink", "-f", "/srv/work/current/venv").strip(), load.next[host]
        code = "import sys, rq, redis, tasks\nq = rq.Queue(connection=redis.Redis(port=6379, db=1))\n"
        code += f"for n in range({first}, {first + 15}):\n tasks.celery_task.delay(n); q.enqueue('tasks.rq_task', n, result_ttl=0)\n"
        within(host, "sh", "-c", f"cd /root/sender && {venv}/bin/python -", stdin=code)
        load.next[host] = first + 15
        within(host, "sh", "-c", MISSED)
        # podman kills all of a container after ten seconds, which would be a power cut: redis forgets what it has not saved.
        run(["podman", "stop", "--time", "90", SCENARIO.container(host)], SCENARIO.environment)
        run(["python3", "-m", "tests.hosts", "restart", SCENARIO.container(host)], SCENARIO.environment)
        until(lambda host=host: bool(lines(host, "celery -A tasks worker")), 60, f"{host}: no worker after the reboot")  # type: ignore[misc]
    load.judge()


def timer(host: str, name: str) -> dict[str, Any]:
    """What the host knows about the last run of a timer."""
    text = SCENARIO.attempt(host, "cat", f"/var/lib/slipway/timers/work/{name}.json").stdout
    known: dict[str, Any] = json.loads(text or "{}").get("last", {})
    return known


def test_timers_run_the_current_release_and_are_killed_in_time() -> None:
    """The reboot caught up what two days without the host had missed. The others run each minute."""
    for host in HOSTS:
        release = current(host).rpartition("/")[2]
        until(lambda host=host: timer(host, "missed").get("result") == "success", 70, f"{host}: nothing was caught up")  # type: ignore[misc]
        assert within(host, "grep", "-c", "^timer missed$", NOTES).strip() == "1"
        until(lambda host=host, release=release: timer(host, "often").get("release") == release, 90, f"{host}: often")  # type: ignore[misc]
        assert timer(host, "often")["result"] == "success"
        until(lambda host=host: timer(host, "slow").get("result") == "timeout", 90, f"{host}: slow")  # type: ignore[misc]
        assert "timeout of 5 s" in within(host, "cat", "/var/log/slipway/work/timer.slow.log")
        # It runs each minute, for 5 s at most. What a killed run had left would stay for longer.
        until(
            lambda host=host: not SCENARIO.attempt(host, "pgrep", "-f", "sleep 55").stdout, 20, f"{host}: slow goes on"
        )  # type: ignore[misc]
        assert within(host, "stat", "-c", "%U %a", "/var/lib/slipway/timers/work/often.json").split() == ["root", "600"]


def minute_ago(host: str) -> str:
    """The last whole minute but one, as the host's clock has it."""
    return within(host, "date", "-u", "-d", "1 minute ago", "+%Y-%m-%dT%H:%M").strip()


def test_nothing_is_left_of_old_releases() -> None:
    # A new time that has just passed is no run that was missed.
    for host in HOSTS:
        until(lambda host=host: minute_ago(host) > timer(host, "missed")["began"][:16], 150, f"{host}: it ran just now")  # type: ignore[misc]
    passed = minute_ago(HOSTS[0])[-5:]
    play("deploy", edition="last", missed=passed)
    until(lambda: all(len(workers(host)) == 1 for host in HOSTS), 70, "old workers run")
    play("deploy", edition="last", missed=passed)
    for host in HOSTS:
        assert within(host, "grep", "-c", "^timer missed$", NOTES).strip() == "1"
        release = current(host).rpartition("/")[2]
        units = within(
            host,
            "sh",
            "-c",
            "ls /etc/systemd/system /etc/slipway/supervisor.d 2>/dev/null | grep slipway-work- || true",
        ).split()
        assert units, host
        assert all(release in unit for unit in units), (host, units)
