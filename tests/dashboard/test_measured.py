"""What pages say of a claim and of what was shown of it."""

import pytest

from marketplace.filters import measured
from marketplace.models import Worker
from tests.dashboard import cast
from tests.dashboard.test_pages import body

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({}, "not measured yet"),
        ({"measured_rate": 61.04}, "measured 61 of 82.6 claimed TFLOPS"),
        ({"measured_rate": 0.2101, "claim_doubted": True}, "measured 0.21 of 82.6 claimed TFLOPS, doubted"),
        ({"claim_doubted": True}, "showed nothing of 82.6 claimed TFLOPS, doubted"),
        (
            {"measured_rate": 0.0312, "claim_doubted": True, "device": {"simulated": True}},
            "measured 0.031 of 82.6 claimed TFLOPS, simulated",
        ),
        ({"measured_rate": 1234.5}, "measured 1,200 of 82.6 claimed TFLOPS"),
    ],
)
def test_the_list_and_the_page_show_the_rate_beside_the_claim(client, columns, words):
    worker = cast.a_worker("w", **columns)
    assert measured(worker) == words
    assert words in body(client, "/dashboard/")
    assert words in body(client, "/dashboard/workers/w/")


def test_a_stand_in_has_no_rate_of_its_own(client):
    host = cast.a_worker("host")
    cast.a_worker("w")
    Worker.objects.filter(name="w").update(host=host)
    assert "another machine stands in for it" in body(client, "/dashboard/workers/w/")
