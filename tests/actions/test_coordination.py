"""Assigning: fair, counted, and safe to do twice at once."""

import threading
from collections import Counter

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from marketplace.actions import clients, coordination, jobs, quotes
from marketplace.actions.audit import audit
from marketplace.actions.picks import write_picks
from marketplace.actions.submissions import Submission
from marketplace.domain.matching import Pick
from marketplace.models import Assignment, BooksCheck, Client, Event, Job, Network, NoticeScan, Worker, database_now
from tests import factories as make


@pytest.mark.django_db
def test_three_equal_workers_share_sixty_jobs():
    make.make_client()
    pool = [make.make_worker(name) for name in "abc"]
    for _ in range(60):
        for worker in pool:
            make.beat(worker)  # or a slow run of this test makes them silent
        make.run_to_end(make.make_job(reward=1))
    shares = Counter(Job.objects.values_list("worker__name", flat=True))
    assert sorted(shares) == ["a", "b", "c"]
    assert min(shares.values()) >= 10


@pytest.mark.django_db
def test_the_first_cycle_asks_for_the_books_and_looks_for_what_people_are_told():
    coordination.run_cycle()
    assert BooksCheck.objects.get().asked_by == "coordinator" and NoticeScan.objects.get().at


@pytest.mark.django_db
def test_one_clients_backlog_does_not_starve_another():
    make.make_client("alice")
    make.make_client("bob")
    for _ in range(20):
        make.make_job("alice", reward=1)
    bobs = make.make_job("bob", reward=1)
    make.make_worker()
    served = []
    while bobs.state != "verified":
        assignment = Assignment.objects.get(pk=_assign_one().pk)
        served.append(assignment.job.client.address)
        make.start(assignment)
        make.submit_answer(assignment, make.right_answer(assignment.job))
        make.verify(assignment)
        bobs.refresh_from_db()
    assert len(served) <= 3


def _assign_one() -> Assignment:
    assert coordination.assign_pending() == 1
    return Assignment.objects.get(state="dispatched")


@pytest.mark.django_db
def test_a_requirement_is_met_or_waited_for():
    make.make_client()
    make.make_worker("small", "RTX 3060", 12.7)
    job = make.make_job(requirements={"gpu_type": "A100"})
    other = make.make_job(requirements={"min_compute_capacity": 50})
    assert coordination.assign_pending() == 0
    make.make_worker("large", "A100", 19.5)
    assert coordination.assign_pending() == 1
    job.refresh_from_db()
    other.refresh_from_db()
    assert (job.worker.name, other.state) == ("large", "pending")


@pytest.mark.django_db
def test_a_reward_above_what_the_stake_covers_waits():
    make.make_client(balance=10_000)
    make.make_worker(stake=100)
    make.make_job(reward=1001)
    assert coordination.assign_pending() == 0


@pytest.mark.django_db
def test_jobs_that_no_free_workers_stake_covers_do_not_keep_back_those_behind_them():
    make.make_client("alice", balance=1_000_000)
    make.make_client("bob")
    make.make_worker(stake=150)  # covers 1,500 tokens
    data = make.make_job("bob", reward=1).dataset_id
    many = Submission(client_address="alice", model_type="linear_regression", reward=1501, dataset=data)
    jobs.submit_many(submissions=[many] * (coordination.PAST + 10), user=None)
    make.run_to_end(Job.objects.get(client__address="bob"))
    Network.objects.update(virtual_time=1_000.0)  # of much that others were served meanwhile
    assert make.assign(make.make_job("bob", reward=1)).worker.name == "rtx4090"


@pytest.mark.django_db
def test_workers_are_chosen_among_in_one_order_whatever_order_they_came_in():
    for number in range(8):
        make.make_worker(f"w{number}")
    Worker.objects.update(standby=False)  # on PostgreSQL the rows lie in another order now
    found = [each.id for each in coordination.candidates(database_now())]
    assert len(found) == 8 and found == sorted(found)


@pytest.mark.django_db
def test_a_batch_with_a_job_that_waits_no_more_assigns_none_of_it():
    make.make_client()
    worker = make.make_worker()
    waiting, ended = make.make_job(), make.make_job()
    jobs.cancel(job_id=ended.pk, user=None, actor="alice")
    picks = [Pick(str(job.pk), str(worker.pk), 1.0) for job in (waiting, ended)]
    with pytest.raises(RuntimeError, match="assigned by somebody else"), transaction.atomic():
        write_picks(picks, {str(job.pk): job for job in (waiting, ended)}, database_now())
    assert not Assignment.objects.exists()
    assert Job.objects.get(pk=waiting.pk).state == "pending"


@pytest.mark.django_db
def test_a_worker_is_heard_by_the_machine_that_computes_for_it():
    host, worker = make.make_worker("host"), make.make_worker("worker")
    Worker.objects.filter(pk=worker.pk).update(host=host)
    Worker.objects.filter(pk=host.pk).update(last_heartbeat_at=None)
    assert {each.id: each.online for each in coordination.candidates(database_now())} == {
        str(host.pk): False,
        str(worker.pk): False,
    }


@pytest.mark.django_db
def test_an_answer_that_is_being_checked_still_counts_against_the_stake():
    make.make_client(balance=10_000)
    make.make_worker(stake=100)
    first = make.make_job(reward=600)
    assignment = make.assign(first)
    make.start(assignment)
    make.submit_answer(assignment, make.right_answer(first))
    make.make_job(reward=600)
    assert coordination.assign_pending() == 0
    make.verify(assignment)
    assert coordination.assign_pending() == 1


@pytest.mark.django_db
def test_a_silent_a_draining_and_a_suspended_worker_get_nothing():
    make.make_client()
    make.make_job()
    for name, change in {
        "silent": {"last_heartbeat_at": "2000-01-01T00:00:00Z"},
        "draining": {"draining": True},
        "suspended": {"is_active": False},
    }.items():
        Worker.objects.filter(pk=make.make_worker(name).pk).update(**change)
    assert coordination.assign_pending() == 0


@pytest.mark.django_db
def test_the_switch_governs_assigning_alone_and_trigger_assigns_once_in_either_state():
    make.make_client()
    make.make_worker()
    job = make.make_job()
    coordination.set_active(active=False, actor="olga")
    assert coordination.run_cycle().assigned == 0
    assert coordination.trigger(actor="olga") == 1
    assignment = job.assignments.get()
    make.start(assignment)
    Assignment.objects.update(lease_expires_at="2000-01-01T00:00:00Z")
    assert coordination.run_cycle().expired == 1
    assert Network.objects.get().switched_by == "olga"
    assert Event.objects.filter(kind="network.stopped").exists()


@pytest.mark.django_db
def test_word_that_was_lost_is_sent_again(monkeypatch):
    make.make_client()
    make.make_worker()
    assignment = make.assign(make.make_job())
    sent = []
    monkeypatch.setattr("marketplace.dispatch.send_assignments", sent.extend)
    coordination.run_cycle()
    assert sent == [], "it was sent just now"
    Assignment.objects.update(sent_at="2000-01-01T00:00:00Z", created_at="2000-01-01T00:00:00Z")
    assert coordination.run_cycle().sent_again == 1
    assert sent[0].assignment == str(assignment.pk)


@pytest.mark.django_db
def test_assigning_costs_the_same_statements_for_two_jobs_and_for_twenty():
    make.make_client()
    for i in range(22):
        make.make_worker(f"w{i}")
    costs = []
    for count in (2, 20):
        for _ in range(count):
            make.make_job(reward=1)
        Worker.objects.update(last_heartbeat_at=database_now())  # a slow run of this test makes them silent
        with CaptureQueriesContext(connection) as captured:
            assert coordination.assign_pending() == count
        costs.append(len(captured))
    assert costs[1] <= costs[0] <= 26


@pytest.mark.django_db
def test_a_quote_names_who_could_take_it_and_what_would_be_held():
    make.make_client()
    make.make_worker("big", "A100", 19.5)
    make.make_worker("small", "RTX 3060", 12.7)
    submission = jobs.Submission(
        client_address="alice", model_type="linear_regression", requirements={"gpu_type": "A100"}, reward=40
    )
    found = quotes.quote(submission=submission, user=None)
    assert (found["workers"], found["workers_excluded"], found["held"], found["balance_after"]) == (["big"], 1, 40, 960)
    assert found["suggested_reward"] > 0
    assert not Job.objects.exists()


def in_threads(count: int, work) -> list:
    """Run `work(i)` in as many threads at once; answer what each returned or raised."""
    results: list = [None] * count
    barrier = threading.Barrier(count)

    def run(i: int) -> None:
        barrier.wait()
        try:
            results[i] = work(i)
        except Exception as error:
            results[i] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_coordinators_at_once_assign_each_job_once(committed_db):
    make.make_client()
    for i in range(12):
        make.make_worker(f"w{i}")
    for _ in range(12):
        make.make_job(reward=1)
    in_threads(4, lambda i: [coordination.run_cycle() for _ in range(5)])
    assert Assignment.objects.count() == 12
    assert Job.objects.filter(attempt=1, state="assigned").count() == 12


def test_one_answer_checked_by_many_verifiers_at_once_is_paid_once(committed_db):
    make.make_client()
    make.make_worker()
    job = make.make_job()
    assignment = make.assign(job)
    make.start(assignment)
    make.submit_answer(assignment, make.right_answer(job))
    assert sorted(in_threads(4, lambda i: make.verify(assignment))) == ["", "", "", "accepted"]


def test_an_answer_and_a_cancellation_at_once_are_one_or_the_other(committed_db):
    make.make_client()
    make.make_worker()
    for _ in range(5):
        job = make.make_job(reward=10)
        assignment = make.assign(job)
        make.start(assignment)
        answer = make.right_answer(job)
        in_threads(
            2,
            lambda i, a=assignment, j=job, x=answer: (
                make.submit_answer(a, x) if i else jobs.cancel(job_id=j.pk, user=None, actor="alice")
            ),
        )
        make.verify(assignment)
        job.refresh_from_db()
        assert job.state in ("verified", "cancelled")
        assert audit().ok


def test_a_wallet_spent_from_many_sides_at_once_is_never_overdrawn(committed_db):
    make.make_client(balance=50)
    outcomes = in_threads(8, lambda i: make.make_job(reward=10).pk)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert len(refused) == 3
    assert all("alice has 0 tokens" in str(each) for each in refused)
    assert Client.objects.get().wallet.balance == 0


def test_one_name_registered_many_times_at_once_is_one_client(committed_db):
    outcomes = in_threads(4, lambda i: clients.register_client(address="alice", initial_balance=10, user=None).address)
    assert outcomes.count("alice") == 1
    assert Client.objects.count() == 1
