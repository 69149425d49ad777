"""What the database says keeps workers from a job is what the choice itself would say of each."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from marketplace.actions import audiences, coordination
from marketplace.actions.obstacles import Asked, obstacles, owners_that_meet, with_obstacle
from marketplace.domain.matching import Demand, Waiting, obstacle, shortfall
from marketplace.models import Challenge, Worker, database_now
from tests import factories as make

pytestmark = pytest.mark.django_db
DEMANDS = (
    Demand(),
    Demand("a100"),
    Demand("rtx-4090", min_memory_bytes=16 * 2**30),
    Demand(min_compute_capacity=20.0),
    Demand("a100", 8 * 2**30, 19.5),
)
# With nothing, 30, 60, 900 or 1,200 tokens in hand, a stake of 150 covers 1,500 less that: both sides of each line.
REWARDS = (1, 300_000_000, 300_000_001, 600_000_001, 1_470_000_001, 1_500_000_000, 1_500_000_001)


def a_crowd(rng: random.Random) -> list[Worker]:
    """Workers of every kind, some of them on others' machines, some with jobs in hand."""
    made = [make.make_worker(f"w{i}", rng.choice(["RTX 4090", "A100"]), slots=rng.choice([1, 2])) for i in range(24)]
    make.make_client(balance=10_000)
    for reward in (30, 60, 900, 1200):  # with the stake of 150, the last two leave little room
        make.assign(make.make_job(reward=reward))
    now = database_now()
    not_now = f"{now + timedelta(days=3):%a} 00:00-24:00".lower()
    for each in made:
        each.refresh_from_db()
        each.is_active = rng.random() < 0.95
        each.draining = rng.random() < 0.05
        each.aside = "its owner plays" if rng.random() < 0.05 else ""
        each.schedule = rng.choice(["", "", "", "", "mon-sun 00:00-24:00", not_now])
        each.protocol = 0 if rng.random() < 0.05 else each.protocol
        each.memory_bytes = rng.choice([4, 12, 24]) * 2**30
        each.compute_capacity = rng.choice([10.0, 19.5, 82.6])
        each.measured_rate = rng.choice([None, 5.0, 30.0])
        each.claim_doubted = rng.random() < 0.3
        each.last_heartbeat_at = rng.choice([None, now, now, now, now - timedelta(hours=1)])
        each.enrolled_at = None if rng.random() < 0.05 else now
        each.host = rng.choice([None, None, None, *made[:2]]) if each not in made[:2] else None
        each.save()
    Worker.objects.filter(pk=rng.choice(made[:2]).pk).update(
        last_heartbeat_at=None
    )  # nor is who it stands in for heard
    return made


@pytest.mark.parametrize("seed", range(3))
def test_the_database_says_of_each_worker_what_the_choice_says(seed):
    rng = random.Random(seed)
    crowd = a_crowd(rng)
    now = database_now()
    Challenge.objects.filter(worker__in=rng.sample(crowd, 4)).update(state="started")
    Challenge.objects.filter(worker__in=rng.sample(crowd, 4)).update(created_at=now - timedelta(days=1))
    wrong = {each.pk for each in rng.sample(crowd, 2)}
    pool = audiences.change_pool(name="lab", add=[each.name for each in crowd[::2]], actor="olga")
    lab = audiences.stored(audiences.Receivers(pools=(pool.name,), contributors=(crowd[1].contributor.name,)))
    demands = [*DEMANDS, Demand(audience=lab.pk), Demand("a100", audience=lab.pk)]
    chosen_from = coordination.candidates(now, {lab.pk})
    assert 5 < len(chosen_from) < 24
    seen = set()
    for demand in demands:
        for reward in REWARDS:
            job = Waiting("", demand, reward, 1.0, 0.0, barred=frozenset(map(str, wrong)))
            expected = {each.id: obstacle(job, each) for each in chosen_from}
            among = audiences.members_of(demand.audience) if demand.audience else None
            asked = Asked(demand, reward, now, among, wrong)
            said = {str(pk): why for pk, why in with_obstacle(asked).values_list("pk", "obstacle")}
            assert said == expected, (demand, reward)
            found = obstacles(asked, named=2)
            assert {why: each.count for why, each in found.items()} == Counter(expected.values())
            for why, each in found.items():
                names = sorted(w.name for w in crowd if expected.get(str(w.pk)) == why)
                assert list(each.named) == names[:2]
            seen |= set(expected.values())
        owners = sorted(
            {w.contributor.name for w in crowd for c in chosen_from if c.id == str(w.pk) and not shortfall(demand, c)}
        )
        assert list(owners_that_meet(asked)) == owners
    assert len(seen) > 5, "a crowd without variety shows nothing"


def test_what_keeps_workers_away_is_one_statement_however_many_there_are():
    counts = []
    for upto in (2, 12):
        for i in range(Worker.objects.count(), upto):
            make.make_worker(f"w{i}")
        with CaptureQueriesContext(connection) as captured:
            found = obstacles(Asked(Demand(), 1, database_now()), named=5)
        assert found[""].count == upto and len(found[""].named) == min(upto, 5)
        counts.append(len([each for each in captured if each["sql"][-17:] != "clock_timestamp()"]))
    assert counts == [2, 2]  # the second asks for the hours that workers keep
