"""Word of checks that was lost goes out again; word that waits in its queue does not."""

import pytest

from marketplace import broker, dispatch
from marketplace.actions import expiry
from marketplace.models import Result
from tests import factories as make
from tests.actions.rejected import LONG_AGO, given

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch):
    """What is sent for checking, and a queue that is empty to begin with."""
    found: list[str] = []
    monkeypatch.setattr(dispatch, "verify_now", found.append)
    monkeypatch.setattr(dispatch, "verify_waiting_now", lambda: found.append("all small ones"))
    broker.connection().delete("verification")
    yield found
    broker.connection().delete("verification")


def answered(count: int) -> list[str]:
    """Assignments whose answers have waited for long, the oldest first."""
    make.make_client()
    made = []
    for number in range(count):
        make.make_worker(f"worker_{number}")
        job = make.make_job()
        assignment = given(job)
        make.submit_answer(assignment, make.right_answer(job))
        made.append(str(assignment.pk))
    return made


def let_them_wait() -> None:
    """SQLite and PostgreSQL alike refuse to change when an answer came, so the wait is a lease that ran out."""
    Result.objects.update(check_lease_expires_at=LONG_AGO, check_tries=1)


def test_word_that_was_lost_goes_out_again(sent):
    made = answered(2)
    let_them_wait()
    assert make.is_due("unsettled") and expiry.recheck_unsettled() == 2
    assert sorted(sent) == sorted(made)


def test_one_call_goes_out_again_for_all_small_answers_that_nobody_tried(sent):
    answered(2)
    let_them_wait()
    Result.objects.update(check_tries=0)
    expiry.recheck_unsettled()
    assert sent == ["all small ones"]


def test_word_that_waits_in_the_queue_is_not_sent_again(sent):
    answered(2)
    let_them_wait()
    broker.connection().rpush("verification", "one", "two")
    assert expiry.recheck_unsettled() == 0
    assert sent == []


def test_only_as_many_go_out_again_as_are_missing_and_the_oldest_first(sent):
    made = answered(3)
    let_them_wait()
    broker.connection().rpush("verification", "one", "two")
    assert expiry.recheck_unsettled() == 1
    assert sent == made[:1]


def test_a_result_past_its_tries_is_given_up_however_long_the_queue_is(sent):
    answered(1)
    let_them_wait()
    Result.objects.update(check_tries=3)
    broker.connection().rpush("verification", "one")
    expiry.recheck_unsettled()
    assert Result.objects.get().checked
