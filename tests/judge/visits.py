"""Clients that ask without a pause while an app is deployed, and what they got."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter

from tests.judge.host import APPS, VISITS, Instance, address, ask, until
from tests.patience import patience


def ask_until_stopped() -> None:
    """Send requests as different clients until SIGTERM; note what each of them got."""
    stop, counts, failures = threading.Event(), Counter[str](), list[str]()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())

    def come(kind: str, path: str, method: str, keep: bool, pause: float) -> None:
        connection = http.client.HTTPConnection(address(), 80, timeout=patience(20))
        while not stop.is_set():
            try:
                headers = {"Host": "probe.test", "Connection": "keep-alive" if keep else "close"}
                connection.request(method, path, body=b"x" * 2000 if method == "POST" else None, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    failures.append(f"{kind}: {answer.status}")
                elif method == "GET":
                    counts[json.loads(body)["greeting"]] += 1
                counts[kind] += 1
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{kind}: {type(error).__name__}: {error}")
                connection.close()
            stop.wait(pause)

    kinds = [
        ("kept", "/pid", "GET", True, 0.02),
        ("new", "/pid", "GET", False, 0.02),
        ("posts", "/echo", "POST", True, 0.03),
        ("slow", "/sleep?s=2", "GET", True, 0),
        ("also slow", "/sleep?s=1.3", "GET", False, 0),
    ]
    threads = [threading.Thread(target=come, args=kind) for kind in kinds]
    masters = {app: Instance(app).master() for app in APPS}
    for thread in threads:
        thread.start()
    VISITS.write_text(json.dumps({"pid": os.getpid()}))
    for thread in threads:
        thread.join()
    VISITS.write_text(json.dumps({"counts": counts, "failures": failures, "masters": masters}))


def start() -> int:
    """Start clients that outlive this process, and return after their first requests."""
    VISITS.unlink(missing_ok=True)
    subprocess.Popen(
        [sys.executable, "-m", "tests.judge", "visit", "on"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(VISITS.exists, 10, "the first visit")
    return 0


def end() -> int:
    """Stop the clients and judge what they got."""
    os.kill(json.loads(VISITS.read_text())["pid"], signal.SIGTERM)
    until(lambda: "counts" in json.loads(VISITS.read_text() or "{}"), 30, "the last visit")
    seen = json.loads(VISITS.read_text())
    print(seen["counts"])
    faults = list(seen["failures"])
    if not (seen["counts"].get("first") and seen["counts"].get("second")):
        faults.append("they did not see both releases")
    if ask("probe").json["greeting"] != "second":
        faults.append("the new release is not there")
    for app, master in seen["masters"].items():
        if (Instance(app).master() == master) == (app == "probe"):
            faults.append(f"{app} was {'not restarted' if app == 'probe' else 'restarted'}")
    print(f"{len(faults)} faults: {faults[:10]}")
    return 1 if faults else 0
