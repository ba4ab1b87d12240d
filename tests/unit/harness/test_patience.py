"""Limits of tests grow with the machine's slowness and load, and never without bounds."""

from __future__ import annotations

import os

import pytest

from tests import patience


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.delenv(patience.VARIABLE, raising=False)


@pytest.mark.usefixtures("idle")
def test_a_reference_machine_changes_nothing() -> None:
    assert patience.patience(10) == 10


@pytest.mark.usefixtures("idle")
def test_a_slow_machine_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(patience.VARIABLE, "2.5")
    assert patience.patience(10) == 25


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("load", "limit"), [(1.0, 10), (4.0, 20), (7.0, 35), (400.0, 50)])
def test_one_that_has_become_busy_too(monkeypatch: pytest.MonkeyPatch, load: float, limit: float) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert patience.patience(10) == limit


def test_this_machine_is_measured() -> None:
    assert 1 <= patience.measure() <= patience.MOST
