"""Two coordinators and two beats: cycles back to back, from threads of their own, while jobs flow. No double effect.

`COMPUTENET_CYCLES=1000` for as many cycles in all.
"""

import os
import threading
from collections import Counter

from django.db import connections

from marketplace.actions import coordination
from marketplace.domain.errors import Conflict, Gone
from marketplace.models import Assignment, Event, Job, Transfer, Verdict, Worker, database_now
from tests import factories as make

CYCLES = int(os.environ.get("COMPUTENET_CYCLES", "100"))
THREADS = 4  # two coordinators, and a beat for each that runs the same cycle
WORKERS = 4
JOBS = 12


def compute_everything(cycling: threading.Event, right: dict, wrong: dict) -> None:
    """All machines in one thread: start, answer (the first one wrongly), and have each answer checked twice."""
    while cycling.is_set() or Job.objects.filter(ended_at=None).exists():
        Worker.objects.update(last_heartbeat_at=database_now())
        open_ = Assignment.objects.select_related("worker__host", "job__dataset").filter(state="dispatched")
        if not cycling.is_set():
            coordination.run_cycle()
        for assignment in open_:
            try:
                make.start(assignment)
                make.submit_answer(assignment, wrong if assignment.worker.name == "w0" else right)
            except (Conflict, Gone):
                continue
            make.verify(assignment)
            assert make.verify(assignment) == "", "it was settled"


def cycles_back_to_back(cycling: threading.Event) -> list[BaseException]:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(CYCLES // THREADS):
                coordination.run_cycle()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cycling.clear()
    return errors


def test_cycles_of_two_coordinators_and_two_beats_have_no_double_effect(committed_db, monkeypatch):
    monkeypatch.setattr("marketplace.dispatch._send", lambda *args, **options: True)
    make.make_client(balance=100_000)
    for i in range(WORKERS):
        make.make_worker(f"w{i}", stake=1000)
    first = make.make_job(data=make.rows(), reward=5)
    right, wrong = make.right_answer(first), make.wrong_answer(first)
    for _ in range(JOBS - 1):
        make.make_job(dataset=first.dataset_id, reward=5)
    cycling = threading.Event()
    cycling.set()
    errors: list[BaseException] = []

    def compute() -> None:
        try:
            compute_everything(cycling, right, wrong)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    machines = threading.Thread(target=compute)
    machines.start()
    errors += cycles_back_to_back(cycling)
    machines.join()
    assert errors == []
    assert not Job.objects.filter(ended_at=None).exists()
    assert Job.objects.filter(state="verified").count() == JOBS
    said = Counter(Event.objects.exclude(assignment=None).values_list("kind", "assignment"))
    assert set(said.values()) == {1}, "every step of every attempt is told once"
    assert Transfer.objects.filter(code="capture").count() == JOBS
    assert Verdict.objects.count() == Assignment.objects.exclude(result=None).count()
