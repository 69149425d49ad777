"""What is called for again and again is done together."""

from threading import Thread

import pytest

from marketplace.actions import turns


class Clock:
    """A clock that goes on where somebody sleeps or works."""

    def __init__(self) -> None:
        self.now, self.slept = 100.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    return clock


def test_all_calls_that_come_while_one_is_at_work_are_done_by_it_together() -> None:
    kept, looks = turns.Turns(), []

    def work() -> int:
        looks.append(None)
        if len(looks) == 1:
            for _ in range(5):
                other = Thread(target=kept.take, args=[work])
                other.start()
                other.join(timeout=10)
                assert not other.is_alive(), "it leaves the work to who is at it"
        return 1

    assert kept.take(work) == 2 and len(looks) == 2


def test_a_first_call_waits_for_nothing_and_the_next_for_as_long_as_three_looks_and_a_tenth_of_a_second_at_most(
    clock: Clock,
) -> None:
    kept = turns.Turns()

    def work(seconds: float) -> int:
        clock.now += seconds
        return 1

    for took, rested in ((0.01, 0.0), (1.0, 0.03), (0.0, 0.1)):
        clock.slept = 0.0
        kept.take(lambda took=took: work(took))
        assert clock.slept == pytest.approx(rested)
    clock.now += 1.0
    clock.slept = 0.0
    kept.take(lambda: work(0.0))
    assert clock.slept == 0.0


def test_work_that_fails_keeps_nobody_else_from_it() -> None:
    kept = turns.Turns()

    def fail() -> int:
        raise ValueError

    with pytest.raises(ValueError):
        kept.take(fail)
    assert kept.take(lambda: 3) == 3


def test_what_is_called_for_while_work_fails_is_done_nevertheless() -> None:
    kept, looks = turns.Turns(), []

    def work() -> int:
        looks.append(None)
        if len(looks) == 1:
            other = Thread(target=kept.take, args=[work])
            other.start()
            other.join(timeout=10)
            raise ValueError
        return 1

    with pytest.raises(ValueError):
        kept.take(work)
    assert len(looks) == 2
