"""Hosts of an earlier kit meet this one: a deploy takes them over, no request is lost, and the way back stays open."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.hosts import containers, machine
from tests.hosts.__main__ import CACHE

ROOT = Path(__file__).parents[2]
BEFORE = Path(__file__).parent / "before/kit.tar.xz"
INVENTORY = Path(__file__).parent / "inventory"
HOSTS = ("bookworm", "trixie")
ENVIRONMENT = machine.environment(machine.read(), CACHE)
CHANGED = re.compile(r"^(?P<host>bookworm|trixie) .*changed=(?P<changed>\d+)", re.MULTILINE)


def play(kit: Path, playbook: str, **variables: Any) -> str:
    """Run a playbook of the kit in the folder `kit` on both hosts; returns what it printed. Fails when it fails."""
    process = subprocess.run(
        [
            f"{Path(sys.executable).parent}/ansible-playbook",
            "-i",
            str(INVENTORY),
            playbook,
            "-e",
            json.dumps(variables),
        ],
        cwd=kit,
        env={
            **ENVIRONMENT,
            "ANSIBLE_CONFIG": str(kit / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_NOCOLOR": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    return process.stdout


def changes(output: str) -> dict[str, int]:
    """How many tasks changed each host, by the recap of a run."""
    return {match["host"]: int(match["changed"]) for match in CHANGED.finditer(output)}


def address(host: str) -> str:
    """The IP address of a host."""
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    argv = ["podman", "inspect", containers.container("upgrade", host), "--format", form]
    return subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout.strip()


ADDRESSES: dict[str, str] = {}


def ask(host: str, domain: str, path: str = "/") -> tuple[int, bytes]:
    """Status and body of one answer."""
    try:
        with urlopen(Request(f"http://{ADDRESSES[host]}{path}", headers={"Host": domain}), timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def seen(key: str) -> dict[str, str]:
    """What a client sees of the probe on each host: its `greeting` or its `release`."""
    return {host: json.loads(ask(host, "probe.test")[1])[key] for host in HOSTS}


def greeted(greeting: str) -> bool:
    """Whether both hosts greet so."""
    return set(seen("greeting").values()) == {greeting}


@contextmanager
def clients() -> Iterator[Counter[int]]:
    """Ask both apps on both hosts until the block ends; counts the statuses of the answers."""
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def client(host: str) -> None:
        while not over.wait(0.02):
            statuses[ask(host, "probe.test")[0]] += 1
            statuses[ask(host, "mall.test", "/shop/healthz")[0]] += 1

    with ThreadPoolExecutor(2 * len(HOSTS)) as pool:
        asked = [pool.submit(client, host) for host in HOSTS for _ in range(2)]
        try:
            yield statuses
        finally:
            over.set()
    for each in asked:
        each.result()


@pytest.fixture(scope="module", autouse=True)
def _set_up_by_the_earlier_kit(tmp_path_factory: pytest.TempPathFactory) -> None:
    earlier = tmp_path_factory.mktemp("earlier")
    with tarfile.open(BEFORE) as archive:
        archive.extractall(earlier, filter="tar")
    ADDRESSES.update({host: address(host) for host in HOSTS})
    play(earlier, "slipway.kit.site")
    play(earlier, "slipway.kit.deploy", greeting="second")


def test_a_deploy_takes_the_hosts_over_and_the_way_back_stays_open() -> None:
    assert greeted("second")
    earlier = seen("release")
    with clients() as statuses:
        play(ROOT, "playbooks/deploy.yml", greeting="third")
        assert greeted("third")
        assert not set(seen("release").values()) & set(earlier.values())
        assert set(changes(play(ROOT, "playbooks/deploy.yml", greeting="third")).values()) == {0}

        play(ROOT, "playbooks/rollback.yml", app="probe")
        assert seen("release") == earlier

        # The release that is left now is one of the earlier kit, and so are its unit and its socket.
        play(ROOT, "playbooks/site.yml", greeting="fourth")
        assert greeted("fourth")
        assert set(changes(play(ROOT, "playbooks/site.yml", greeting="fourth")).values()) == {0}
    assert set(statuses) == {200}, statuses
    assert statuses[200] > 200


def test_nothing_of_the_earlier_releases_runs_on() -> None:
    for host in HOSTS:
        argv = ["podman", "exec", containers.container("upgrade", host), "ps", "-eo", "args"]
        processes = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
        release = json.loads(ask(host, "probe.test")[1])["release"]
        running = {
            release_id
            for line in processes.splitlines()
            for release_id in re.findall(r"/probe/releases/([^/]+)/", line)
        }
        assert running <= {release}, processes


def test_an_app_of_the_earlier_kit_can_be_removed() -> None:
    play(ROOT, "playbooks/remove.yml", app="shop", purge=True)
    for host in HOSTS:
        argv = ["podman", "exec", containers.container("upgrade", host), "test", "-e", "/srv/shop"]
        assert subprocess.run(argv, env=ENVIRONMENT, check=False).returncode == 1
