"""What reaches an app, and what happens to its answers."""

from __future__ import annotations

import base64
import json
import re
from functools import partial
from pathlib import Path

from tests.judge.host import Instance, address, ask, until
from tests.patience import patience


def test_every_value_reaches_it_to_the_byte() -> None:
    seen = {name: base64.b64decode(value) for name, value in ask("probe", "/environ").json.items()}
    wanted = json.loads(Path(__file__).with_name("values.json").read_text())
    wanted["LONG"] = "long " * 20000
    wanted["GREETING"] = "first"
    for name, value in wanted.items():
        assert seen.get(name) == value.encode("utf-8", "surrogateescape")
    kit = {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "PYTHONUNBUFFERED",
        "VIRTUAL_ENV",
        "SLIPWAY_APP",
        "SLIPWAY_RELEASE",
        "SLIPWAY_SHARED",
    }
    assert set(seen) - set(wanted) == kit | {"SERVER_SOFTWARE"}  # gunicorn itself adds the last


def test_too_slow_is_504_at_that_second_and_the_next_is_served() -> None:
    allowed = Instance("probe").request_timeout
    answer = ask("probe", f"/sleep?s={2 * allowed}")
    assert answer.status == 504
    # Not before the timeout, and well before the app's own answer. A busy machine answers late.
    assert allowed - 0.1 < answer.seconds < 2 * allowed - 0.5, answer.seconds
    after = ask("probe", "/pid")
    assert after.status == 200
    assert after.seconds < patience(3)


def test_as_slow_as_allowed_is_200() -> None:
    seconds = Instance("probe").request_timeout - 0.5
    assert ask("probe", f"/sleep?s={seconds}").status == 200


def test_a_body_over_the_limit_is_413() -> None:
    limit = 1024 * 1024
    assert ask("probe", "/echo", "POST", body=b"x" * limit).json["length"] == limit
    assert ask("probe", "/echo", "POST", body=b"x" * (limit + 1)).status == 413


def test_a_chunked_body_over_the_limit_is_413_too() -> None:
    headers = {"Transfer-Encoding": "chunked"}
    small = ask("probe", "/echo", "POST", body=iter([b"x" * 1000] * 10), headers=headers)
    assert small.json["length"] == 10000
    answer = ask("probe", "/echo", "POST", body=iter([b"x" * 4096] * 260), headers=headers)
    assert answer.status == 413


def test_an_exception_is_500_and_reported_to_the_log_alone() -> None:
    answer = ask("probe", "/raise")
    assert answer.status == 500
    assert b"asked to fail" not in answer.body
    log = Instance("probe").current / "log"
    until(lambda: "RuntimeError: the probe was asked to fail" in log.read_text(), 5, "the traceback in the log")


def test_all_that_it_says_is_in_the_log() -> None:
    ask("probe", "/say?text=ahoy")
    log = Instance("probe").current / "log"
    for stream in ("stdout", "stderr", "logging"):
        line = re.compile(f"{stream} ahoy")
        until(partial(lambda line: line.search(log.read_text()), line), 5, f"{stream} in the log")


def test_headers_of_a_client_cannot_pose_as_environment() -> None:
    names = "Proxy X_Forwarded_For X-Forwarded-For X-Real-IP Forwarded X-Forwarded-Prefix X-Forwarded-Port"
    names += " X-Forwarded-Ssl X-Forwarded-Scheme X-Forwarded-Protocol X-Forwarded-Host"
    seen = ask("probe", "/echo", headers=dict.fromkeys(names.split(), "from.the.visitor")).json
    assert "from.the.visitor" not in seen.values()
    assert (seen["HTTP_X_FORWARDED_FOR"], seen["HTTP_X_REAL_IP"]) == (address(), address())
