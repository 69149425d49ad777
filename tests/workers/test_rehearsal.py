"""`--dry-run` looks at everything, spends no key, and says what is wrong."""

import re
from email.utils import formatdate
from typing import Any

import pytest

from tests.workers.coordinator import Coordinator
from workers.rehearsal import clock


@pytest.mark.parametrize(("off", "fine"), [(0, True), (59, True), (-59, True), (90, False), (-3600, False)])
def test_a_clock_that_is_off_is_named_with_what_to_do(off: int, fine: bool) -> None:
    found, sentence = clock(formatdate(1_700_000_000, usegmt=True), 1_700_000_000 + off)
    assert found is fine
    assert fine or ("NTP" in sentence and f"{abs(off)} s {'ahead of' if off > 0 else 'behind'}" in sentence)


@pytest.mark.processes
def test_a_dry_run_checks_and_measures_and_enrols_nothing(coordinator: Coordinator, start_worker: Any) -> None:
    worker = start_worker("--dry-run", COMPUTENET_CACHE_BYTES="1000000")
    assert worker.wait(60) == 0, worker.log()
    said = worker.log()
    assert re.search(r"at \d+\.\d{3} TFLOPS with numpy", said) and "the coordinator at" in said
    assert not coordinator.enrolments and not (worker.home / "credentials.json").exists()


@pytest.mark.processes
def test_a_dry_run_says_all_that_is_wrong(start_worker: Any) -> None:
    worker = start_worker(
        "--dry-run", COMPUTENET_URL="http://127.0.0.1:9", COMPUTENET_KEY="", COMPUTENET_CACHE_BYTES="1"
    )
    assert worker.wait(60) == 1
    said = worker.log()
    assert "NOT OK: http://127.0.0.1:9 does not answer" in said and "NOT OK: there is no enrolment key" in said
