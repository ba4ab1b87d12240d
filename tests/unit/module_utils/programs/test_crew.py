"""What the workers of an instance know about each other."""

from __future__ import annotations

import multiprocessing
import os

from ansible_collections.slipway.kit.plugins.module_utils.programs.serving.crew import Crew

from tests.patience import patience

FORK = multiprocessing.get_context("fork")


class Slow(Crew):
    """Workers that take their time to count."""

    def __init__(self) -> None:
        super().__init__()
        self.counts, self.may_count = FORK.Event(), FORK.Event()

    def serving(self) -> int:
        """How many workers serve."""
        self.counts.set()
        assert self.may_count.wait(patience(10))
        return super().serving()

    def work(self) -> None:
        """Serve, and try to leave."""
        self.join()
        self.leave(3)


def test_a_worker_that_asks_whether_it_may_leave_serves() -> None:
    """Whichever place it has: the kernel joins the locks of adjacent bytes."""
    crew = Slow()
    first = FORK.Process(target=crew.work)
    first.start()
    assert crew.counts.wait(patience(10))
    assert Crew.serving(crew) == 1
    crew.join()
    assert Crew.serving(crew) == 2
    assert not crew._takes(0), "another one is about to leave"
    crew.may_count.set()
    first.join(patience(10))
    assert first.exitcode == 0
    assert Crew.serving(crew) == 1, "the kernel frees the places of a worker that has ended"


def test_a_worker_leaves_once() -> None:
    """Whatever asks for it, the number of its requests or its memory, it stays the one that leaves."""
    crew = Crew()
    assert not crew.leave(0), "it does not serve yet"
    crew.join()
    assert crew.leave(1)
    assert crew.leave(1)
    other = FORK.Process(target=lambda: os._exit(crew._takes(0)))
    other.start()
    other.join(patience(10))
    assert other.exitcode == 0, "another one could leave, too"


def test_a_worker_that_fails_is_not_counted() -> None:
    crew = Crew()
    crew.join()
    crew.fail()
    assert crew.serving() == 0
    assert not crew.leave(0)
