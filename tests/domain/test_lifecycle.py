"""The state tables: in Python, and in the database's own triggers."""

import re
from pathlib import Path

import pytest

from marketplace.domain.errors import Conflict
from marketplace.domain.ledger import ALLOWED
from marketplace.domain.lifecycle import (
    ASSIGNMENT_TRANSITIONS,
    ENDED,
    JOB_TRANSITIONS,
    LIVE,
    Fault,
    JobState,
    after_lost_attempt,
    require_transition,
)

SQL = Path(__file__).resolve().parents[2] / "marketplace" / "sql"
STATES = re.compile(
    r"(?:OLD\.state, NEW\.state\)|OLD\.state \|\| ' ' \|\| NEW\.state) NOT IN \((?:VALUES)?(.*?)\)\s*(?:THEN|;)",
    re.DOTALL,
)
PAIR = re.compile(r"'(\w+)(?:', '| )(\w+)'")  # two literals, or one of two words
TRIPLE = re.compile(r"'(\w+)(?:', '| )(\w+)(?:', '| )(\w+)'")  # three literals, or one of three words


def tables(engine: str) -> tuple[set, set, set]:
    """The pairs of job states, of assignment states and the triples of (code, from, to) in an engine's file."""
    text = (SQL / f"{engine}.sql").read_text()
    jobs, assignments = STATES.findall(text)
    codes = re.search(r"(?:d\.kind\)|kinds) IN \((?:VALUES)?(\s.*?'\)?)\)\)", text, re.DOTALL)[1]
    return set(PAIR.findall(jobs)), set(PAIR.findall(assignments)), set(TRIPLE.findall(codes))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_database_holds_the_same_tables(engine):
    jobs, assignments, codes = tables(engine)
    assert jobs == {(a.value, b.value) for a, after in JOB_TRANSITIONS.items() for b in after}
    assert assignments == {(a.value, b.value) for a, after in ASSIGNMENT_TRANSITIONS.items() for b in after}
    assert codes == {(c.value, a.value, b.value) for c, pairs in ALLOWED.items() for a, b in pairs}


def test_every_state_leads_to_an_end():
    for table, ends in ((JOB_TRANSITIONS, ENDED), (ASSIGNMENT_TRANSITIONS, None)):
        ends = ends or {state for state, after in table.items() if not after}
        for state in table:
            reached, frontier = {state}, {state}
            while frontier:
                frontier = {after for each in frontier for after in table[each]} - reached
                reached |= frontier
            assert reached & ends


def test_an_ended_job_goes_nowhere():
    for state in ENDED:
        for after in JobState:
            with pytest.raises(Conflict):
                require_transition(state.value, after)


def test_live_assignments_are_those_that_can_still_change():
    assert {state.value for state in LIVE} == {"dispatched", "started", "submitted"}


@pytest.mark.parametrize(
    ("attempt", "past_deadline", "fault", "state"),
    [
        (1, False, Fault.WORKER, JobState.PENDING),
        (5, False, Fault.WORKER, JobState.FAILED),
        (1, True, Fault.SYSTEM, JobState.FAILED),
        (1, False, Fault.JOB, JobState.FAILED),
    ],
)
def test_where_a_job_goes_after_a_lost_attempt(attempt, past_deadline, fault, state):
    assert after_lost_attempt(attempt=attempt, max_attempts=5, past_deadline=past_deadline, fault=fault) is state
