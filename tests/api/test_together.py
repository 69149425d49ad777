"""Several starts and several answers in one request: each gets what it would get alone."""

import hashlib
import json
from typing import Any

import pytest
from django.test import Client

from marketplace.actions import coordination
from marketplace.models import Assignment, Challenge, Worker
from tests import factories as make
from tests.api.calls import is_refused, post, register_client, register_worker, row_counts, submit_job
from tests.api.machine import Machine
from workers.protocol import MOST_TOGETHER, TOGETHER_ANSWER_BYTES, TOGETHER_BYTES, TOGETHER_LINE_BYTES

pytestmark = pytest.mark.django_db
STREAM = "application/octet-stream"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def machine(client: Client) -> Machine:
    return Machine(register_worker(client).json()["enrolment_key"])


@pytest.fixture
def three(client: Client, machine: Machine) -> list[Assignment]:
    """Assignments that the machine is to compute: one of its own, two of workers that it stands in for."""
    workers = Worker.objects.filter(pk=machine.reply["worker"])
    workers.update(slots=3)
    for name in ("rtx_02", "rtx_03"):
        Worker.objects.filter(pk=make.make_worker(name).pk).update(host=workers.get())
    Challenge.objects.all().delete()  # a measurement that waits keeps jobs from its machine
    machine.heartbeat()
    register_client(client)
    for _ in range(3):
        assert submit_job(client).status_code == 200
    coordination.assign_pending()
    found = list(Assignment.objects.order_by("created_at"))
    assert len(found) == 3
    return found


def start(machine: Machine, assignments: Any) -> Any:
    return post(machine.http, "/assignments/start", {"assignments": assignments}, headers=machine.headers)


def started(machine: Machine, three: list[Assignment]) -> list[bytes]:
    """The right answers, once all are started."""
    answer = start(machine, [str(each.pk) for each in three])
    assert answer.status_code == 200, answer.content
    return [machine.compute(each["specification"]) for each in answer.json()["assignments"]]


def note(assignment: Assignment, answer: bytes, **more: Any) -> dict[str, Any]:
    return {
        "assignment": str(assignment.pk),
        "fence": assignment.fence,
        "sha256": hashlib.sha256(answer).hexdigest(),
        "seconds": 0.25,
        "size_bytes": len(answer),
    } | more


def send(machine: Machine, body: bytes, content_type: str = STREAM) -> Any:
    return machine.http.post("/assignments/results", body, content_type=content_type, headers=machine.headers)


def framed(notes: Any, *answers: bytes) -> bytes:
    return json.dumps({"answers": notes}).encode() + b"\n" + b"".join(answers)


def states() -> list[str]:
    return list(Assignment.objects.order_by("created_at").values_list("state", flat=True))


def test_a_heartbeats_reply_offers_it(machine: Machine) -> None:
    assert machine.heartbeat().json()["together"] == MOST_TOGETHER


def test_several_starts_give_each_its_specification_or_its_refusal(
    machine: Machine, three: list[Assignment], client: Client
) -> None:
    first, second, third = three
    assert machine.start(second).status_code == 200
    named = [str(third.pk), NOBODY, str(second.pk), str(first.pk)]
    found = start(machine, named).json()["assignments"]
    assert [each["status"] for each in found] == [200, 404, 409, 200]
    assert [found[0]["specification"]["assignment"], found[3]["specification"]["assignment"]] == [named[0], named[3]]
    alone = machine.start(second)
    assert found[2] == {"status": 409, "error": is_refused(alone, 409)}
    assert set(states()) == {"started"}
    stranger = Machine(register_worker(client, worker_id="rtx_09").json()["enrolment_key"])
    found = start(stranger, named).json()["assignments"]
    assert {each["status"] for each in found} == {404} and not any("specification" in each for each in found)


@pytest.mark.parametrize(
    "assignments",
    [[], None, "x", ["x"], [NOBODY, NOBODY], [NOBODY.replace("0", "a", n) for n in range(MOST_TOGETHER + 1)]],
    ids=lambda value: str(value)[:30],
)
def test_a_senseless_list_of_starts_begins_none(machine: Machine, three: list[Assignment], assignments: Any) -> None:
    is_refused(start(machine, assignments))
    if isinstance(assignments, list):
        is_refused(start(machine, [str(three[0].pk), *assignments, str(three[0].pk)]))
    assert set(states()) == {"dispatched"}


def test_several_answers_are_taken_in_and_again_do_no_harm(machine: Machine, three: list[Assignment]) -> None:
    answers = started(machine, three)
    body = framed([note(*each) for each in zip(three, answers, strict=True)], *answers)
    for _ in range(2):
        assert send(machine, body).json() == {"answers": [{"status": 200}] * 3}
    assert [make.verify(each) for each in three] == ["accepted"] * 3


def test_one_bad_answer_among_several_gets_its_own_refusal(machine: Machine, three: list[Assignment]) -> None:
    answers = started(machine, three)
    assert machine.hand_in(three[0], answers[0]).status_code == 200
    other = answers[0] + b"x"
    notes = [note(three[0], other), note(three[1], answers[1], sha256="0" * 64), note(three[2], answers[2])]
    found = send(machine, framed(notes, other, answers[1], answers[2])).json()["answers"]
    assert [each["status"] for each in found] == [409, 400, 200]
    assert found[0]["error"] == is_refused(machine.hand_in(three[0], other), 409)
    assert states() == ["submitted", "started", "submitted"]
    late = note(three[1], answers[1], fence=three[1].fence + 1)
    elsewhere = note(three[1], answers[1]) | {"assignment": NOBODY}
    empty = note(three[0], b"")
    found = send(machine, framed([late, elsewhere, empty], answers[1], answers[1])).json()["answers"]
    assert [each["status"] for each in found] == [410, 404, 409]
    assert states() == ["submitted", "started", "submitted"]


def test_bad_framing_is_refused_in_one_sentence_and_takes_nothing_in(machine: Machine, three: list[Assignment]) -> None:
    answers = started(machine, three)
    good = [note(*each) for each in zip(three, answers, strict=True)]
    whole = framed(good, *answers)
    large = bytes(TOGETHER_ANSWER_BYTES + 1)
    before = row_counts()
    wrong: dict[str, bytes] = {
        "nothing": b"",
        "no line": b"".join(answers),
        "a line without end": b"x" * (TOGETHER_LINE_BYTES + 1) + b"\n",
        "no JSON": b"hello\n" + b"".join(answers),
        "NaN": whole.replace(b"0.25", b"NaN", 1),
        "a list": b"[]\n",
        "no answers": framed([]),
        "too few bytes": whole[:-1],
        "too many bytes": whole + b"x",
        "one twice": framed([good[0], good[0]], answers[0], answers[0]),
        "too many": framed([good[0]] * (MOST_TOGETHER + 1)),
        "one that is too large": framed([note(three[0], large)], large),
    }  # fmt: skip
    for field, value in [
        ("assignment", "x"), ("fence", "1"), ("fence", -1), ("fence", 10**6), ("sha256", "0" * 63), ("sha256", 5),
        ("sha256", "A" * 64), ("seconds", -1), ("seconds", "0.1"), ("seconds", 1e10), ("size_bytes", -1),
        ("size_bytes", 1.5), ("colour", "red"),
    ]:  # fmt: skip
        wrong[f"{field} {value}"] = framed([good[0] | {field: value}, *good[1:]], *answers)
    for name, body in wrong.items():
        sentence = is_refused(send(machine, body))
        assert len(sentence) < 200, (name, sentence)
    is_refused(send(machine, bytes(TOGETHER_BYTES + 1)), 413)
    is_refused(send(machine, whole, "application/json"), 415)
    assert row_counts() == before and set(states()) == {"started"}
    assert send(machine, whole).status_code == 200


def test_several_answers_cost_one_query_to_know_who_calls(
    machine: Machine, three: list[Assignment], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        is_refused(send(machine, b""))
