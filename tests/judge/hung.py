"""Requests that never end."""

from __future__ import annotations

import time

from tests.judge.host import Instance, ask, background, until
from tests.patience import patience


def test_hung_threads_end_with_their_worker() -> None:
    instance = Instance("hung")
    (worker,) = instance.workers()
    started = time.monotonic()
    hung = [background(lambda: ask("hung", "/hang")) for _ in range(instance.manifest["threads"])]
    time.sleep(0.5)
    # It waits for a new worker, or longer than nginx waits.
    assert ask("hung", "/pid").seconds > 1, "the app did not hang"
    until(instance.answers, 40, "an answer after every thread hung")
    took = time.monotonic() - started
    print(f"served again {took:.1f} s after every thread hung")
    # Twice the timeout, and on a busy machine a while until the new worker has loaded the app.
    assert took < 2 * instance.request_timeout + patience(5)
    assert {request().status for request in hung} == {504}
    assert worker not in instance.workers()
    assert "retires" in (instance.current / "log").read_text()
