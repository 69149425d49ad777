"""A client and a worker in league do not take the treasury's loan by way of slashes."""

import pytest

from marketplace.models import Account, Worker
from tests import factories as make

pytestmark = pytest.mark.django_db
TOKEN = 1_000_000


@pytest.mark.parametrize(("lent", "to_client"), [(0, 7.5), (150, 0), (140, 5)])
def test_client_gets_its_share_of_the_workers_own_stake_alone(lent, to_client):
    make.make_client("alice", 1000)
    worker = make.make_worker(stake=150)
    make.lend(worker, lent)
    job = make.make_job(reward=50)
    assignment = make.assign(job)
    make.start(assignment)
    make.submit_answer(assignment, make.wrong_answer(job))
    assert make.verify(assignment) == "rejected"
    assert Account.objects.get(kind="stake", name="rtx4090").balance == 135 * TOKEN
    assert Account.objects.get(kind="wallet", name="alice").balance == int((950 + to_client) * TOKEN)
    assert Worker.objects.get(pk=worker.pk).lent == lent * TOKEN, "the loan is owed all the same"
