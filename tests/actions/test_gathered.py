"""Submissions that come at the same moment go in one transaction, and each gets what it would get by itself."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from structlog.contextvars import bound_contextvars

from marketplace.actions import datasets, gathered, jobs
from marketplace.actions.submissions import Submission
from marketplace.domain.errors import InsufficientFunds, NotFound
from marketplace.models import Job
from tests import factories as make

TABLE = b"a,b\n" + b"1,2\n3,5\n5,9\n" * 8
PATIENCE_SECONDS = 20


class Crowd:
    """The first submission is held up until so many others wait behind it; what went together is noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.together: list[int] = []
        self.alone = 0
        self._others, self._first = 0, threading.Lock()
        one, many = jobs.submit, jobs.submit_many

        def submit(**given: Any) -> Job:
            if self._first.acquire(blocking=False):
                until(lambda: sum(map(len, gathered._queues.values())) >= self._others)
            self.alone += 1
            return one(**given)

        def submit_many(**given: Any) -> list[Job]:
            self.together.append(len(given["submissions"]))
            return many(**given)

        monkeypatch.setattr(jobs, "submit", submit)
        monkeypatch.setattr(jobs, "submit_many", submit_many)

    def come(self, *acts: Callable[[], Any], waiting: int | None = None) -> list[Any]:
        """What each of `acts` answers or raises, the first of which goes on once so many are `waiting`, or all."""
        self._others = len(acts) - 1 if waiting is None else waiting

        def run(act: Callable[[], Any]) -> Any:
            try:
                return act()
            finally:
                connections.close_all()

        with ThreadPoolExecutor(len(acts)) as threads:
            found: list[Future[Any]] = [threads.submit(run, acts[0])]
            until(lambda: bool(gathered._under_way))
            found += [threads.submit(run, act) for act in acts[1:]]
            return [each.exception(PATIENCE_SECONDS) or each.result() for each in found]


def until(reached: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < ends_at
        time.sleep(0.005)


@pytest.fixture
def crowd(committed_db: str, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    make.make_client("alice", balance=100)
    make.make_client("bob", balance=100)
    return Crowd(monkeypatch)


@pytest.fixture
def dataset(crowd: Crowd) -> str:
    return datasets.store_upload(stream=io.BytesIO(TABLE), filename="t.csv", user=None).pk


def submission(dataset: str | None, client: str = "alice", **more: Any) -> Callable[[], Job]:
    user, request_id = more.pop("user", None), more.pop("request_id", "")
    asked = {"client_address": client, "model_type": "linear_regression", "dataset": dataset, "reward": 1} | more

    def act() -> Job:
        with bound_contextvars(request_id=request_id):
            return gathered.submit(submission=Submission(**asked), user=user)

    return act


def test_what_comes_meanwhile_goes_together_and_each_gets_its_own_job(crowd: Crowd, dataset: str) -> None:
    rewards = [3, 5, 7, 9, 11]
    asked = [("bob" if n % 2 else "alice", reward) for n, reward in enumerate(rewards)]
    found = crowd.come(
        *(submission(dataset, who, reward=reward, request_id=f"request {reward}") for who, reward in asked)
    )
    assert (crowd.alone, crowd.together) == (1, [4])
    kept = [Job.objects.select_related("client", "escrow").get(pk=each.pk) for each in found]
    assert [(each.client.address, each.reward // 1_000_000, each.request_id) for each in kept] == [
        (who, reward, f"request {reward}") for who, reward in asked
    ]
    assert all(each.escrow.balance == each.reward for each in kept) and Job.objects.count() == 5
    assert not gathered._queues and not gathered._under_way


def test_one_that_is_refused_keeps_none_of_the_others_back(crowd: Crowd, dataset: str) -> None:
    found = crowd.come(
        submission(dataset),
        submission(dataset),
        submission("0" * 64),
        submission(dataset, "bob", reward=1000),
        submission(dataset, "bob"),
    )
    assert [type(each) for each in found] == [Job, Job, NotFound, InsufficientFunds, Job]
    assert not any("jobs[" in str(each) for each in found), "nobody sent several"
    assert (crowd.together, Job.objects.count()) == ([4], 3)


def test_different_users_never_share_a_transaction(crowd: Crowd, dataset: str, settings: Any) -> None:
    settings.SANDBOX = True
    other = SimpleNamespace(pk=77, is_staff=True)
    found = crowd.come(submission(dataset), submission(dataset), submission(dataset, user=other), waiting=1)
    assert [type(each) for each in found] == [Job, Job, Job] and crowd.together == []


def test_an_error_at_the_commit_is_everybodys_and_nothing_is_submitted_twice(
    crowd: Crowd, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = jobs.submit_many

    def lost(**given: Any) -> list[Job]:
        many(**given)
        raise OperationalError("the connection was lost")

    monkeypatch.setattr(jobs, "submit_many", lost)
    found = crowd.come(*[submission(dataset)] * 4)
    assert [type(each) for each in found] == [Job] + [OperationalError] * 3
    assert Job.objects.count() == 4


def test_what_brings_data_or_has_a_transaction_of_its_own_goes_alone(crowd: Crowd, dataset: str) -> None:
    rows = [[float(i), float(i * i % 7)] for i in range(12)]

    def inside() -> Job:
        with transaction.atomic():
            return submission(dataset)()

    for act in (submission(None, data=rows), submission(dataset, recipe={"missing": "mean"}), inside):
        assert isinstance(act(), Job) and not gathered._queues and not gathered._under_way
    assert (crowd.alone, crowd.together) == (3, [])


def test_more_than_one_transaction_takes_wait_for_the_next(
    crowd: Crowd, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "MOST", 3)
    found = crowd.come(*[submission(dataset)] * 9)
    assert all(isinstance(each, Job) for each in found) and crowd.together == [3, 3, 2]
