"""nginx's access log: what a line says, and the figures of the last minutes."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.host.run import access

NOW = 1_800_000_000.0


def line(seconds_ago: float, path: str = "/", status: int = 200, seconds: float = 0.1, agent: str = "-") -> str:
    when = datetime.fromtimestamp(NOW - seconds_ago, timezone.utc).isoformat()
    return (
        f'203.0.113.7 - - [{when}] "GET {path} HTTP/1.1" {status} 5 "-" "{agent}" shop.test {seconds:.3f} '
        f"{seconds:.3f} {status} 0123456789abcdef"
    )


def as_json(seconds_ago: float, path: str = "/", status: int = 200, seconds: float = 0.1) -> str:
    when = datetime.fromtimestamp(NOW - seconds_ago, timezone.utc).isoformat()
    return json.dumps({"time": when, "request": f"GET {path} HTTP/1.1", "status": status, "request_time": seconds})


@pytest.mark.parametrize("form", [line, as_json])
def test_a_line_of_either_format(form: object) -> None:
    request = access.parse(form(60, "/cart?x=1", 502, 1.25))  # type: ignore[operator]
    assert request == access.Request(NOW - 60, "/cart", 502, 1.25)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"time": "soon", "request": "GET / HTTP/1.1", "status": 1, "request_time": 1}',
        "[" * 100_000,
        '{"a":' * 100_000,
        line(0).replace("200", "two"),
        "x" * 1_000_000,
    ],
)
def test_any_other_line_is_none(text: str) -> None:
    assert access.parse(text) is None


def test_what_a_client_writes_is_not_mistaken_for_a_figure() -> None:
    request = access.parse(line(0, agent="\\x22 evil 9.999 9.999 200 1"))
    assert request and request.seconds == 0.1


def test_figures_by_mount() -> None:
    lines = [line(1, f"/shop/{number}", seconds=number / 1000) for number in range(1, 101)]
    lines += [line(2, "/blog", 500), line(3, "/shopping"), line(400, "/shop/old")]
    result = access.figures(lines, ["/", "/shop"], NOW)
    assert result["/shop"]["requests"] == 100 and result["/shop"]["p95"] == 95 and result["/shop"]["errors"] == 0
    assert result["/"]["requests"] == 2 and result["/"]["errors"] == 1
    assert sum(result["/"]["failed"]) == 1 and result["/shop"]["counts"][-1] == 100


def test_a_site_without_requests() -> None:
    assert access.figures([], ["/"], NOW)["/"]["p95"] is None


def test_backwards_over_a_rotation(tmp_path: Path) -> None:
    lines = [f"{number} {'é' * 700}" for number in range(1000)]
    (tmp_path / "log.1").write_text("\n".join(lines[:600]) + "\n", encoding="utf-8")
    (tmp_path / "log").write_text("\n".join(lines[600:]) + "\n", encoding="utf-8")
    descriptors = [os.open(tmp_path / name, os.O_RDONLY) for name in ("log", "log.1")]
    assert list(access.backwards(descriptors)) == lines[::-1]
    limited = list(access.backwards(descriptors[:1], 300_000))
    assert limited == lines[::-1][: len(limited)] and 100 < len(limited) < 400
    for descriptor in descriptors:
        os.close(descriptor)
