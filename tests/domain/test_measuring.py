"""How large a measurement is, and what its rate says."""

import math

import pytest

from marketplace.domain import measuring
from workers.catalog.gpus import KNOWN_GPUS
from workers.catalog.matrix_rate import check_size


@pytest.mark.parametrize("claimed", [1e-6, 0.1, 0.49, 1, 5, *sorted(g.fp32_tflops for g in KNOWN_GPUS.values()), 1e6])
def test_every_claim_gets_a_size_that_exists(claimed: float) -> None:
    for on_gpu in (True, False):
        check_size(*measuring.size(claimed, on_gpu=on_gpu))


@pytest.mark.parametrize("name", sorted(KNOWN_GPUS))
def test_a_gpu_of_the_list_works_for_about_a_second_and_may_take_twenty_times_as_long(name: str) -> None:
    claimed = KNOWN_GPUS[name].fp32_tflops
    n, rounds = measuring.size(claimed, on_gpu=True)
    seconds = 2 * n**3 * rounds / (claimed * 1e12)
    assert 0.7 <= seconds <= 1.42 or rounds == 1024
    assert 20 * seconds < measuring.LIMIT_SECONDS


def test_the_rate_counts_two_operations_a_product() -> None:
    assert measuring.rate(1000, 16, 2.0) == pytest.approx(0.016)
    assert math.isfinite(measuring.rate(4096, 1024, 0.0))


def test_a_claim_is_in_doubt_below_its_share_alone() -> None:
    assert measuring.is_doubtful(4.12, 82.6, 0.05)
    assert not measuring.is_doubtful(4.14, 82.6, 0.05)


def test_draws_are_as_often_as_said_however_often_they_are_made() -> None:
    day = 86_400.0
    never_in_a_day = (1 - measuring.chance_of_a_draw(5.0, day)) ** (day / 5)
    assert never_in_a_day == pytest.approx(math.exp(-1))
    assert measuring.chance_of_a_draw(-1.0, day) == 0.0
