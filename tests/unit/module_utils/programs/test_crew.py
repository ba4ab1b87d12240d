"""What the workers of an instance know about each other."""

from __future__ import annotations

import multiprocessing

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
