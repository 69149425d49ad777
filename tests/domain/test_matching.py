"""Which job goes to which worker."""

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.matching import (
    BUSY,
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


def plain_choice(job: Waiting, pool: list[Candidate], free: set[str], virtual_time: float) -> Candidate | None:
    """Whom `match` must choose, said as plainly as it can be."""
    could = [worker for worker in pool if obstacle(job, worker) in ("", BUSY)]
    least = min(((w.id in job.tried_by) + 2 * w.standby for w in could), default=0)
    first = [w for w in could if (w.id in job.tried_by) + 2 * w.standby == least]
    able = [w for w in first if w.id in free]
    turn = {w.id: virtual_start(virtual_time=virtual_time, virtual_finish=w.virtual_finish) for w in able}
    return min(able, key=lambda w: (turn[w.id], -w.rank, -(w.measured_rate or 0.0)), default=None)


@st.composite
def pools(draw) -> list[Candidate]:
    ranks = draw(st.lists(st.integers(0, 1000), min_size=1, max_size=8, unique=True))  # so that chance has no say
    return [
        Candidate(
            id=str(i),
            machine=str(draw(st.integers(0, i))),
            gpu_tag=draw(st.sampled_from(["a100", "cpu"])),
            memory_bytes=draw(st.integers(0, 3)),
            compute_capacity=draw(st.integers(0, 3)),
            rank=rank / 1000,
            exposure_left=draw(st.integers(-5, 30)),
            free_slots=2,
            busy=draw(st.booleans()),
            online=draw(st.sampled_from([True, True, False])),
            standby=draw(st.booleans()),
            virtual_finish=draw(st.integers(0, 3)),
            measured_rate=draw(st.sampled_from([None, 1.0, 2.0])),
            claim_doubted=draw(st.booleans()),
        )
        for i, rank in enumerate(ranks)
    ]


@st.composite
def queues(draw) -> list[Waiting]:
    some = st.frozensets(st.sampled_from("01234567x"), max_size=3)
    return [
        Waiting(
            id=str(i),
            demand=Demand(draw(st.sampled_from(["", "a100"])), draw(st.integers(0, 2)), draw(st.integers(0, 2))),
            reward=draw(st.integers(1, 20)),
            quoted_seconds=1.0,
            virtual_start=0.0,
            barred=draw(some),
            tried_by=draw(some),
        )
        for i in range(draw(st.integers(0, 8)))
    ]


@given(pools(), queues(), st.integers(0, 3))
def test_arrays_choose_whom_the_rules_choose(pool: list[Candidate], jobs: list[Waiting], virtual_time: int) -> None:
    picks, _ = run(jobs, pool, virtual_time=virtual_time)
    chosen, time = {pick.job: pick for pick in picks}, float(virtual_time)
    free = {worker.id for worker in pool if not worker.busy}
    slots = Counter({worker.machine: 2 for worker in pool})
    for job in jobs:
        wanted = plain_choice(job, pool, {w.id for w in pool if w.id in free and slots[w.machine] > 0}, time)
        assert (wanted and wanted.id) == (chosen[job.id].worker if job.id in chosen else None)
        if wanted:
            free.discard(wanted.id)
            slots[wanted.machine] -= 1
            time = virtual_start(virtual_time=time, virtual_finish=wanted.virtual_finish)
            assert chosen[job.id].why["turn"] == time
