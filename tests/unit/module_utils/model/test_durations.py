"""Every key that is a duration takes the same forms, and means the same in each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.slipway.kit.plugins.module_utils.model import (
    checks,
    patience,
    resolve,
    schema,
    settings,
    validation,
)
from ansible_collections.slipway.kit.plugins.module_utils.model.schema import Key
from ansible_collections.slipway.kit.plugins.module_utils.model.types import Host


def keys_below(keys: tuple[Key, ...]) -> Iterator[Key]:
    for key in keys:
        yield key
        yield from keys_below(key.keys)
        yield from keys_below(key.entry.keys if key.entry else ())


DURATIONS = [key for key in keys_below((*schema.APP, *schema.SETTINGS)) if schema.DURATION in key.type]
COMMAND = "python x.py"


def entry(request: Any, hook: Any, timer: Any, soak: Any, stream: Any) -> dict[str, Any]:
    return {
        "module": "shop:app",
        "source": {"path": "x"},
        "request_timeout": request,
        "timeouts": {"stream": stream, "boot": request},
        "locations": {"/report": {"request_timeout": hook}},
        "health": {"soak": soak, "interval": 0.5},
        "hooks": {"migrate": {"command": COMMAND, "timeout": hook}},
        "processes": {"worker": {"command": COMMAND, "stop_timeout": hook, "soak": soak}},
        "timers": {"clean": {"command": COMMAND, "schedule": "03:30", "timeout": timer}},
    }


IN_SECONDS, AS_TEXT = entry(90, 600, 7200, 60, 86400), entry("90s", "10m", "2h", "1m", "1d")


def test_every_time_in_seconds_is_a_duration() -> None:
    assert len(DURATIONS) > 15
    assert not [
        key.name
        for key in keys_below((*schema.APP, *schema.SETTINGS))
        if key.unit.startswith("seconds") and key not in DURATIONS
    ]


@pytest.mark.parametrize("key", DURATIONS, ids=lambda key: key.name)
def test_each_key_takes_each_form(key: Key) -> None:
    for value in (60, "60", "60s", "1m"):
        assert not list(validation._value((key.name,), key, value)), value
    for value in ("soon", "10x", "-1s", "1.5h", True, None, [60]):
        (fault,) = validation._value((key.name,), key, value)
        assert "duration such as 90s" in fault.message, fault
    (fault,) = validation._value((key.name,), key, -1)
    assert "must be from " in fault.message


def test_each_form_means_the_same() -> None:
    assert validation.validate({"apps": {"shop": IN_SECONDS}}) == validation.validate({"apps": {"shop": AS_TEXT}}) == []
    host = Host.assumed()
    first, second = (resolve.resolve_all({"apps": {"shop": one}}, host) for one in (IN_SECONDS, AS_TEXT))
    assert first == second
    assert first[0].hooks[0].timeout == 600 and first[0].timeouts.stream == 86400
    assert patience.seconds({"shop": IN_SECONDS}) == patience.seconds({"shop": AS_TEXT})
    assert patience.seconds({"shop": {**IN_SECONDS, "request_timeout": "{{ mine }}"}}) > patience.DAY
    assert settings.settings({"fail2ban_ban_time": "1h"}, host).fail2ban_ban_time == 3600


def test_contradictions_are_found_in_each_form() -> None:
    slow = {"module": "a:b", "source": {"path": "x"}, "request_timeout": "10m", "timeouts": {"gunicorn": "2m"}}
    (fault,) = validation.validate({"apps": {"shop": slow}})
    assert "timeouts.gunicorn is 120 s, less than 601 s" in str(fault)


@pytest.mark.parametrize("text", ["", "m", "1w", "10 m", "9" * 30])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        checks.parse_duration(text)
