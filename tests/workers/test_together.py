"""Starts and answers of several slots in one request: what goes together, and what never waits for others."""

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workers.coordinator import Coordinator, Given
from tests.workers.processes import wait_until
from tests.workers.test_delivery import X, client_of, plain
from workers.client import Refused
from workers.outbox import Outbox
from workers.protocol import MOST_TOGETHER, TOGETHER_ANSWER_BYTES
from workers.spool import Spool
from workers.together import LONGEST_REST_SECONDS, Offer, Rest, Starts

__all__ = ["plain"]


@pytest.fixture
def taking(plain: Coordinator) -> Iterator[Coordinator]:
    """A coordinator that takes several in one call."""
    plain.together = MOST_TOGETHER
    yield plain
    plain.trouble = lambda method, path: None


def starts_of(coordinator: Coordinator) -> Starts:
    return Starts(client_of(coordinator), Offer(MOST_TOGETHER))


def outbox_of(coordinator: Coordinator, spool: Spool) -> Outbox:
    return Outbox(spool, client_of(coordinator), Offer(MOST_TOGETHER))


def held_until_waiting(starts: Starts, count: int, then: int | None = None) -> Any:
    """Holds the first request until `count` slots wait for its end."""
    first = threading.Event()

    def trouble(method: str, path: str) -> int | None:
        if not first.is_set():
            first.set()
            wait_until(lambda: len(starts._queue) == count)
            return None
        return then if path == "/assignments/start" else None

    return trouble


def begin_all(starts: Starts, given: list[Given], persist_seconds: float = 8.0) -> list[Any]:
    """What each of so many slots gets; the first one's request is under way when the others come."""

    def begin(one: Given) -> Any:
        try:
            return starts.begin(one.spec["assignment"], persist_seconds)
        except Refused as refusal:
            return refusal

    with ThreadPoolExecutor(len(given)) as slots:
        first = slots.submit(begin, given[0])
        wait_until(lambda: first.done() or (starts._led and not starts._queue))
        others = list(slots.map(begin, given[1:]))
        return [first.result(), *others]


def paths(coordinator: Coordinator) -> list[str]:
    return [path for _, path, _ in coordinator.calls]


def spooled(coordinator: Coordinator, spool: Spool, count: int, **answer: Any) -> list[Given]:
    """Computed assignments whose answers are in the spool."""
    computed = [coordinator.give("toy", X) for _ in range(count)]
    for given in computed:
        given.state = "computing"
        spool.put_result(given.spec["assignment"], 7, answer or {"sums": X[0]}, 0.25)
    return computed


# Starts


def test_starts_that_come_while_one_is_under_way_go_together_in_the_next(taking: Coordinator) -> None:
    starts, given = starts_of(taking), [taking.give("toy", X) for _ in range(8)]
    taking.trouble = held_until_waiting(starts, 7)

    assert begin_all(starts, given) == [each.spec for each in given]

    assert len(taking.calls) == 2 and paths(taking)[1] == "/assignments/start"


def test_a_start_that_finds_no_other_goes_at_once_and_by_itself(taking: Coordinator) -> None:
    given = taking.give("toy", X)

    assert starts_of(taking).begin(given.spec["assignment"], 8.0) == given.spec

    assert paths(taking) == [f"/assignment/{given.spec['assignment']}/start"]


def test_a_start_that_is_refused_keeps_none_of_the_others(taking: Coordinator) -> None:
    starts, given = starts_of(taking), [taking.give("toy", X) for _ in range(6)]
    given[2].state = given[4].state = "dead"
    taking.trouble = held_until_waiting(starts, 5)

    found = begin_all(starts, given)

    assert [getattr(each, "status", 200) for each in found] == [200, 200, 409, 200, 409, 200]
    assert [each.state for each in given] == ["computing", "computing", "dead", "computing", "dead", "computing"]


@pytest.mark.parametrize("status", [404, 405, 400, 503])
def test_what_is_not_taken_together_goes_one_by_one(taking: Coordinator, status: int) -> None:
    starts, given = starts_of(taking), [taking.give("toy", X) for _ in range(5)]
    taking.trouble = held_until_waiting(starts, 4, then=status)

    assert begin_all(starts, given) == [each.spec for each in given]

    assert paths(taking).count("/assignments/start") == 1 and len(taking.calls) == 6
    assert starts.offer.most == (0 if status in (404, 405) else MOST_TOGETHER)


def test_a_coordinator_that_offers_nothing_gets_a_call_for_each(plain: Coordinator) -> None:
    starts, given = Starts(client_of(plain), Offer()), [plain.give("toy", X) for _ in range(4)]
    starts.offer.hear(None)

    assert begin_all(starts, given) == [each.spec for each in given]

    assert sorted(paths(plain)) == sorted(f"/assignment/{each.spec['assignment']}/start" for each in given)


def test_a_start_waits_a_while_for_anothers_request_and_no_longer(
    taking: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.together.PATIENCE_SECONDS", 0.05)
    starts, given = starts_of(taking), [taking.give("toy", X) for _ in range(2)]
    stuck, other_began = threading.Event(), threading.Event()

    def trouble(method: str, path: str) -> None:
        if not stuck.is_set():
            stuck.set()
            wait_until(lambda: "computing" in [each.state for each in given], 5.0)
            other_began.set()

    taking.trouble = trouble

    assert begin_all(starts, given) == [each.spec for each in given]
    assert other_began.is_set()


def test_after_a_request_with_others_starts_gather_and_after_one_alone_they_do_not(taking: Coordinator) -> None:
    starts, given = starts_of(taking), [taking.give("toy", X) for _ in range(8)]
    starts.rest.slots = 32
    starts.begin(given[0].spec["assignment"], 8.0)
    assert starts.rest.seconds_left == 0.0
    slow = threading.Event()  # never set
    taking.trouble = lambda method, path: slow.wait(0.05) or None
    begin_all(starts, given[1:4])
    assert LONGEST_REST_SECONDS / 2 < starts.rest.seconds_left <= LONGEST_REST_SECONDS
    before = len(taking.calls)

    with ThreadPoolExecutor(4) as slots:
        for one in given[4:]:  # the first would go alone, and the second with nobody
            slots.submit(starts.begin, one.spec["assignment"], 8.0)
            time.sleep(0.005)

    assert paths(taking)[before:] == ["/assignments/start"]
    assert [each.state for each in given] == ["computing"] * 8


@pytest.mark.parametrize(("slots", "seconds"), [(1, 0.001), (32, 0.032), (10_000, LONGEST_REST_SECONDS)])
def test_a_rest_is_the_shorter_the_fewer_slots_could_stand_still(
    monkeypatch: pytest.MonkeyPatch, slots: int, seconds: float
) -> None:
    now = 1000.0
    monkeypatch.setattr("workers.together.time.monotonic", lambda: now)
    rest = Rest()
    rest.slots = slots
    with rest.after():
        now += 0.01
    assert rest.seconds_left == pytest.approx(seconds)


@pytest.mark.parametrize(
    "nonsense", [{}, {"assignments": []}, {"assignments": [1, None]}, {"assignments": [{"status": 200}, {}]}], ids=str
)
def test_a_nonsensical_answer_leaves_no_slot_waiting(
    taking: Coordinator, monkeypatch: pytest.MonkeyPatch, nonsense: dict[str, Any]
) -> None:
    starts, given = starts_of(taking), [taking.give("toy", X) for _ in range(3)]
    taking.trouble = held_until_waiting(starts, 2)
    monkeypatch.setattr(taking, "starts", lambda body: (200, nonsense))

    assert begin_all(starts, given) == [each.spec for each in given]


@pytest.mark.parametrize(("said", "most"), [(8, 8), (10**9, MOST_TOGETHER), (1, 0), (-3, 0), ("8", 0), (True, 0)])
def test_only_a_sensible_offer_is_heeded(said: object, most: int) -> None:
    offer = Offer()
    offer.hear(said)
    assert offer.most == most


# Answers


def test_small_answers_that_wait_go_together(taking: Coordinator, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    computed = spooled(taking, spool, 8)

    outbox_of(taking, spool).deliver()

    assert paths(taking) == ["/assignments/results"]
    assert spool.waiting() == [] and not list(tmp_path.glob("*.npz"))
    for given in computed:
        np.testing.assert_array_equal(given.answer["sums"], X[0])
        assert given.seconds == 0.25


def test_after_several_answers_went_together_more_of_them_gather(taking: Coordinator, tmp_path: Path) -> None:
    spool, slow = Spool(tmp_path), threading.Event()
    spooled(taking, spool, 2)
    taking.trouble = lambda method, path: slow.wait(0.05) or None
    outbox = outbox_of(taking, spool)
    outbox.rest.slots = 32
    outbox.start()
    wait_until(lambda: outbox.rest.seconds_left > 0)

    for _ in range(4):
        spooled(taking, spool, 1)
        time.sleep(0.005)

    outbox.close(5.0)
    outbox.join(5.0)
    assert spool.waiting() == [] and paths(taking) == ["/assignments/results"] * 2


def test_answers_that_an_earlier_process_left_go_together_too(taking: Coordinator, tmp_path: Path) -> None:
    computed = spooled(taking, Spool(tmp_path), 3)

    outbox_of(taking, Spool(tmp_path)).deliver()

    assert [given.state for given in computed] == ["answered"] * 3 and len(taking.calls) == 1


DAMAGE = {
    "zeros": lambda kept: b"\0\0\0",
    "no object": lambda kept: b"7\n",
    "a name that is another": lambda kept: kept.replace(b"digest", b"digesu"),
    "a fence that is text": lambda kept: kept.replace(b'"fence": 7', b'"fence": "7"'),
    "cut after its line": lambda kept: kept.partition(b"\n")[0] + b"\n",
    "cut in its answer": lambda kept: kept[:-1],
    "longer than it was": lambda kept: kept + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_note_that_the_disk_damaged_holds_up_no_other_answer(
    taking: Coordinator, tmp_path: Path, damage: str
) -> None:
    spool = Spool(tmp_path)
    damaged, *others = spooled(taking, spool, 3)
    note = tmp_path / f"{damaged.spec['assignment']}.json"
    kept = note.read_bytes()
    note.write_bytes(DAMAGE[damage](kept))
    assert note.read_bytes() != kept

    assert len(spool.beats()) == 2
    outbox_of(taking, spool).deliver()

    assert [given.state for given in others] == ["answered"] * 2 and spool.waiting() == []
    assert (tmp_path / "refused" / note.name).exists(), "for people to look at"


def test_a_backlog_goes_in_as_many_requests_as_it_fills(taking: Coordinator, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    computed = spooled(taking, spool, 2 * MOST_TOGETHER + 3)

    outbox_of(taking, spool).deliver()

    assert paths(taking) == ["/assignments/results"] * 3
    assert {given.state for given in computed} == {"answered"} and spool.waiting() == []


def test_a_large_answer_and_a_failure_go_by_themselves(taking: Coordinator, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    small = spooled(taking, spool, 2)
    [large] = spooled(taking, spool, 1, sums=np.zeros(TOGETHER_ANSWER_BYTES // 8))
    failed = taking.give("toy", X)
    failed.state = "computing"
    spool.put_failure(failed.spec["assignment"], 7, "job", "It cannot be fitted.")

    outbox_of(taking, spool).deliver()

    assert [each.state for each in (*small, large, failed)] == ["answered"] * 3 + ["failed"]
    assert len(taking.calls) == 3 and spool.waiting() == []


def test_one_bad_answer_holds_none_of_the_others_up(taking: Coordinator, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    computed = spooled(taking, spool, 5)
    dead, torn = computed[1], computed[3]
    dead.state = "dead"
    note = tmp_path / f"{torn.spec['assignment']}.json"
    note.write_bytes(note.read_bytes()[:-9])

    outbox_of(taking, spool).deliver()

    assert spool.waiting() == [] and len(taking.calls) == 1
    assert [each.state for each in computed] == ["answered", "dead", "answered", "computing", "answered"]
    assert {file.stem for file in (tmp_path / "refused").iterdir()} == {torn.spec["assignment"]}


@pytest.mark.parametrize("status", [400, 404, 413])
def test_answers_that_are_refused_together_go_one_by_one_at_once(
    taking: Coordinator, tmp_path: Path, status: int
) -> None:
    spool = Spool(tmp_path)
    computed = spooled(taking, spool, 3)
    taking.trouble = lambda method, path: status if path == "/assignments/results" else None

    outbox_of(taking, spool).deliver()

    assert [each.state for each in computed] == ["answered"] * 3 and len(taking.calls) == 4


def test_an_answer_over_which_the_coordinator_stumbles_holds_the_others_up_once(
    taking: Coordinator, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    bad, *good = spooled(taking, spool, 4)
    taking.trouble = lambda m, path: 500 if path == "/assignments/results" or bad.spec["assignment"] in path else None
    outbox = outbox_of(taking, spool)

    assert 0.1 < outbox.deliver() < 0.4
    assert len(spool.waiting()) == 4
    outbox._due = dict.fromkeys(outbox._due, (0.0, 1.0))  # it is time to try all of them again
    outbox.deliver()

    assert spool.waiting() == [bad.spec["assignment"]]
    assert [each.state for each in good] == ["answered"] * 3


def test_an_answer_with_anothers_fence_is_dropped_alone(taking: Coordinator, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    late, good = spooled(taking, spool, 2)
    spool.put_result(late.spec["assignment"], 6, {"sums": X[0]}, 0.1)

    outbox_of(taking, spool).deliver()

    assert (late.state, good.state) == ("computing", "answered") and spool.waiting() == []


def test_what_is_sent_together_has_the_digest_of_its_bytes(taking: Coordinator, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    [given] = spooled(taking, spool, 1)
    found = spool.small_answer(given.spec["assignment"])
    assert found is not None
    note, content = found
    assert note["sha256"] == hashlib.sha256(content).hexdigest() and note["size_bytes"] == len(content)
