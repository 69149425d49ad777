"""Which job goes to which worker."""

import random
from collections import Counter
from dataclasses import replace

from marketplace.domain.matching import (
    Candidate,
    Demand,
    Waiting,
    match,
    obstacle,
    service_order,
    virtual_start,
)
from marketplace.domain.reputation import lower_bound

WORKER = Candidate(
    id="a", machine="a", gpu_tag="rtx-4090", memory_bytes=24, compute_capacity=80, rank=0.5, exposure_left=1000,
    free_slots=1, busy=False, online=True,
)  # fmt: skip
JOB = Waiting(id="1", demand=Demand(), reward=10, quoted_seconds=1.0, virtual_start=0.0)


def workers(*names: str, **more) -> list[Candidate]:
    return [replace(WORKER, id=name, machine=name, **more) for name in names]


def run(jobs, pool, virtual_time=0.0, share=0.25, seed=0):
    return match(jobs, pool, random.Random(seed), virtual_time=virtual_time, newcomer_share=share)


def serve(count: int, pool: list[Candidate]) -> Counter:
    """`count` jobs one after another, each done before the next."""
    served: Counter = Counter()
    virtual_time = 0.0
    for i in range(count):
        picks, virtual_time = run([replace(JOB, id=str(i))], pool, virtual_time, seed=i)
        served[picks[0].worker] += 1
        pool = [replace(w, virtual_finish=picks[0].worker_virtual_finish) if w.id == picks[0].worker else w
                for w in pool]  # fmt: skip
    return served


def test_equal_workers_get_equal_work():
    assert set(serve(60, workers("a", "b", "c")).values()) == {20}


def test_a_proven_worker_gets_more_than_a_newcomer_who_still_gets_some():
    served = serve(100, workers("proven", rank=0.95) + workers("new", rank=0.0))
    assert served["proven"] > 3 * served["new"]
    assert served["new"] >= 10


def test_nobody_saves_up_turns_by_staying_away():
    pool = [replace(WORKER, virtual_finish=100.0), replace(WORKER, id="back", machine="back", virtual_finish=0.0)]
    picks, _ = run([JOB], pool, virtual_time=100.0)
    assert picks[0].worker_virtual_finish > 100


def test_a_newcomer_with_a_perfect_score_ranks_below_a_thousand_verified_jobs():
    assert lower_bound(verified=1, rejected=0, reputation=100) < lower_bound(verified=1000, rejected=1, reputation=90)
    assert lower_bound(verified=0, rejected=0, reputation=100) == 0


def test_each_obstacle_is_named():
    cases = {
        "has no a100": (replace(JOB, demand=Demand("a100")), WORKER),
        "has too little memory": (replace(JOB, demand=Demand(min_memory_bytes=25)), WORKER),
        "has too little compute capacity": (replace(JOB, demand=Demand(min_compute_capacity=81)), WORKER),
        "got this job wrong": (replace(JOB, barred=frozenset("a")), WORKER),
        "is silent": (JOB, replace(WORKER, online=False)),
        "has too little stake for this reward": (replace(JOB, reward=1001), WORKER),
        "is busy": (JOB, replace(WORKER, busy=True)),
        "": (JOB, WORKER),
    }
    assert {words: obstacle(*case) for words, case in cases.items()} == {words: words for words in cases}


def test_one_worker_takes_one_job_and_one_machine_as_many_as_it_has_slots():
    jobs = [replace(JOB, id=str(i)) for i in range(5)]
    assert len(run(jobs, workers("a", "b"))[0]) == 2
    shared = [replace(WORKER, id=name, machine="host", free_slots=2) for name in "abcd"]
    assert len(run(jobs, shared)[0]) == 2


def test_a_standby_worker_waits_while_another_could_take_the_job_when_free():
    standby = replace(WORKER, id="standby", machine="standby", standby=True)
    busy = replace(WORKER, busy=True)
    assert run([JOB], [standby, busy])[0] == []
    assert run([JOB], [standby])[0][0].worker == "standby"
    assert run([JOB], [standby, replace(WORKER, online=False)])[0][0].worker == "standby"


def test_a_worker_that_brought_nothing_gets_the_job_again_only_where_no_other_could():
    lost = replace(JOB, tried_by=frozenset("a"))
    assert run([lost], workers("a", "b"))[0][0].worker == "b"
    assert run([lost], workers("a"))[0][0].worker == "a"
    assert run([lost], [*workers("a"), *workers("b", busy=True)])[0] == [], "it waits for the other"
    assert run([lost], [*workers("a"), *workers("b", standby=True)])[0][0].worker == "a"


def test_a_job_that_nobody_can_take_does_not_keep_the_next_one_back():
    jobs = [replace(JOB, id="stuck", demand=Demand("h100")), replace(JOB, id="next")]
    assert [pick.job for pick in run(jobs, workers("a"))[0]] == ["next"]


def test_one_clients_thousand_jobs_do_not_starve_anothers_one():
    finish = 0.0
    jobs = []
    for i in range(1000):
        start = virtual_start(virtual_time=0.0, virtual_finish=finish)
        jobs.append(replace(JOB, id=f"many-{i}", virtual_start=start))
        finish = start + 1.0
    jobs.append(replace(JOB, id="one", virtual_start=virtual_start(virtual_time=0.0, virtual_finish=0.0)))
    assert "one" in [job.id for job in service_order(jobs)][:2]


def test_of_equal_turns_the_better_paid_second_comes_first():
    poor, rich = replace(JOB, id="poor", reward=5), replace(JOB, id="rich", reward=50)
    assert [job.id for job in service_order([poor, rich])] == ["rich", "poor"]
