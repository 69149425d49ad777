"""The simulated network keeps its promises whatever a seed draws.

`COMPUTENET_SIMULATED_EVENTS=1000000` for more events, `COMPUTENET_SEED` for other ones.
"""

import os

import pytest
from django.db import connection

from marketplace.models import Job, Verdict
from tests.faults.simulator import Simulator

EVENTS = int(os.environ.get("COMPUTENET_SIMULATED_EVENTS", "10000"))
SEED = int(os.environ.get("COMPUTENET_SEED", "1"))
LEG = 10_000  # between two replays of everything
FAULTS = ("lost message", "process killed", "frozen machine", "dead machine", "refused answer", "refused start")


def report(sim: Simulator) -> str:
    counts = ", ".join(f"{n:,} {what}" for what, n in sorted(sim.counts.items()))
    ended = ", ".join(f"{n:,} {state}" for state, n in sorted(sim.watch.ended.items()))
    return f"Seed {sim.seed}: {sim.events:,} events ({counts}); jobs: {ended}."


def test_nothing_is_lost_or_doubled_under_drawn_faults(quick_db):
    events = EVENTS if connection.vendor == "sqlite" else EVENTS // 3
    with Simulator(SEED) as sim:
        for done in range(0, events, LEG):
            sim.run(min(LEG, events - done))
            sim.check_everything()
        sim.come_to_rest()
    print(report(sim))
    assert sim.watch.ended["verified"] > events / 500
    assert Verdict.objects.filter(outcome="rejected").exists()
    for fault in FAULTS:
        assert sim.counts[fault], fault


@pytest.mark.parametrize("time", ["first", "again"])
def test_the_same_seed_repeats_everything(time, quick_db, request):
    with Simulator(7) as sim:
        sim.run(600)
        found = sim.digest()
    digests = request.config.stash.setdefault(DIGESTS, set())
    digests.add(found)
    assert len(digests) == 1


DIGESTS = pytest.StashKey[set[str]]()


def test_a_broken_invariant_names_its_seed_and_event(quick_db):
    """The simulation can fail: a job that goes where it may not is noticed at the event that says so."""
    with Simulator(3) as sim:
        sim.run(50)
        while not Job.objects.filter(state="computing").exists():
            sim.step()
        job = Job.objects.filter(state="computing").first()
        sim.watch.states[job.pk.hex if connection.vendor == "sqlite" else job.pk] = "pending"
        with pytest.raises(AssertionError) as caught:
            sim.run(500)
    assert f"Seed 3, event {sim.events} " in caught.value.__notes__[0]
