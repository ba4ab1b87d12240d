"""The figures of the load: counts per event, their judgement, and the page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.load import figures
from tests.load.figures import Span, Tally
from tests.load.generator import Note

QUIET = Span("rollback", 10, 12, 20)
KILL = Span("the master killed", 20, 22, 30, why="nobody listens")
RELOAD = Span("nginx reloaded", 10, 12, 20, closes=True)


def note(sent: float, outcome: str = "ok", stream: str = "kept", seconds: float = 0.1) -> Note:
    return Note(stream, sent, seconds, outcome, release="r1" if outcome == "ok" else "")


def test_a_request_counts_for_the_event_during_which_it_was_sent() -> None:
    counted = figures.tally([note(9.9), note(10.0), note(19.9, "502"), note(20.0)], QUIET)
    assert (counted.requests, dict(counted.lost)) == (2, {"502": 1})
    assert counted.served_again == pytest.approx(7.9)


def test_slow_requests_are_slow_on_a_good_day_too() -> None:
    counted = figures.tally([note(11), note(12, stream="kept slow", seconds=2.1)], QUIET)
    assert counted.slowest == 0.1
    assert counted.releases == {"r1"}


def test_closed_connections_are_a_loss_unless_nginx_was_reloaded() -> None:
    notes = [note(11, "closed")]
    assert figures.tally(notes, QUIET).lost.total() == 1
    assert (figures.tally(notes, RELOAD).lost.total(), figures.tally(notes, RELOAD).closed) == (0, 1)


def test_a_loss_is_a_fault_where_nothing_was_killed() -> None:
    lost = {"systemd": figures.tally([note(11, "502"), note(12)], QUIET)}
    assert figures.faults(QUIET, lost) == ["rollback: systemd lost 1 of 2 requests: 1 x 502"]
    assert figures.faults(KILL, {"systemd": figures.tally([note(23, "502")], KILL)}) == []
    assert figures.faults(KILL, {"systemd": Tally()}) == ["the master killed: nothing was asked of systemd"]


def test_a_killed_process_may_cost_what_it_was_answering_and_no_more() -> None:
    lost = {"systemd": figures.tally([note(11, "502"), note(12, "502")], QUIET)}
    for most, messages in ((2, []), (1, ["killed: systemd lost 2 requests, and at most 1 were being answered"])):
        assert figures.faults(Span("killed", 10, 10, 20, why="killed", most={"systemd": most}), lost) == messages


def test_requests_may_wait_too_long_for_a_restart_and_nothing_else_may_happen_to_them() -> None:
    restart = Span("restarted", 10, 10, 20, waits=True)
    lost = {"systemd": figures.tally([note(11, "504", seconds=6), note(12, "502")], restart)}
    assert figures.faults(restart, lost) == ["restarted: systemd lost 1 of 2 requests: 1 x 502"]
    assert "504: the start took longer than `request_timeout`" in figures.table([(restart, lost)])


def test_a_release_answers_no_later_than_a_second_after_the_next_one() -> None:
    def answer(sent: float, release: str, seconds: float = 0.1) -> Note:
        return replace(note(sent, seconds=seconds), release=release)

    good = [answer(11, "a"), answer(12, "b"), answer(12.9, "a"), answer(11.5, "a", 6), answer(14, "b"), answer(15, "c")]
    assert figures.outdated(good) == 0
    assert figures.faults(QUIET, {"systemd": figures.tally(good, QUIET)}) == []
    bad = [*good, answer(13.2, "a"), answer(16.2, "b"), answer(18, "a")]
    assert figures.outdated(bad) == 3
    assert "answered 3 requests by a release" in figures.faults(QUIET, {"systemd": figures.tally(bad, QUIET)})[0]


def test_a_request_that_was_late_with_the_control_is_the_machines() -> None:
    late = note(11, "504", seconds=6)
    stalled = [late, *[note(12)] * 200, note(13, stream="control", seconds=1.5)]
    counted = figures.tally(stalled, QUIET)
    assert (dict(counted.stalled), counted.lost.total(), counted.requests) == ({"504": 1}, 0, 201)
    assert figures.faults(QUIET, {"systemd": counted}) == []
    assert "1 more while the machine stood still: a plain file took 1.5 s" in figures.table(
        [(QUIET, {"systemd": counted})]
    )


@pytest.mark.parametrize(
    "control",
    [
        note(13, stream="control", seconds=0.5),  # a little late, as on any busy machine
        note(17.1, stream="control", seconds=3),  # late, but after the request was lost
        note(9, stream="control", seconds=1.9),  # or before it was sent
    ],
)
def test_a_request_that_was_late_alone_is_ours(control: Note) -> None:
    counted = figures.tally([note(11, "504", seconds=6), *[note(12)] * 200, control], QUIET)
    assert (counted.stalled.total(), dict(counted.lost)) == (0, {"504": 1})


@pytest.mark.parametrize("outcome", ["502", "closed", "connection refused", "another body"])
def test_no_machine_is_slow_enough_for_a_wrong_answer(outcome: str) -> None:
    counted = figures.tally([note(11, outcome), note(11, stream="control", seconds=9)], QUIET)
    assert dict(counted.lost) == {outcome: 1}


def test_a_machine_that_stands_still_for_long_proves_nothing() -> None:
    notes = [note(11, "504", seconds=6), *[note(12)] * 50, note(13, stream="control", seconds=4)]
    (fault,) = figures.faults(QUIET, {"systemd": figures.tally(notes, QUIET)})
    assert fault == "rollback: systemd lost 1 of 51 requests while the machine stood still, which proves nothing"


def test_the_table_tells_what_was_lost_and_why() -> None:
    rows = [
        (QUIET, {"systemd": figures.tally([note(11)], QUIET), "supervisor": figures.tally([note(12)], QUIET)}),
        (KILL, {"systemd": figures.tally([note(23, "502")], KILL), "supervisor": figures.tally([note(23)], KILL)}),
    ]
    assert figures.table(rows).splitlines()[2:] == [
        "| rollback | 1 | 0 | 1 | 0 | 0.1 s |  |",
        "| the master killed | 1 | 1 | 1 | 0 | 0.1 s | nobody listens; systemd: the last one 1.0 s later |",
        "| **all** | 2 | 1 | 2 | 0 | | |",
    ]


def test_the_table_tells_what_was_sent_again_and_led_to_https() -> None:
    sent = [Note("h2", 11, 0.1, "ok", again=1), Note("kept", 12, 0.1, "ok", moved=True), note(13)]
    (line,) = figures.table([(RELOAD, {"systemd": figures.tally(sent, RELOAD)})]).splitlines()[2:-1]
    assert line == "| nginx reloaded | 3 | 0 | 0.1 s | 1 sent again after a GOAWAY; 1 led from http to https |"


def test_figures_replace_those_between_the_marks_and_nothing_else() -> None:
    page = "before\n<!-- it -->\nold\n<!-- /it -->\nafter\n"
    new = figures.insert(page, "new", "it")
    assert new == "before\n<!-- it -->\nnew\n<!-- /it -->\nafter\n"
    assert figures.insert(new, "new", "it") == new
    with pytest.raises(ValueError, match="lacks"):
        figures.insert("no marks", "new", "it")
