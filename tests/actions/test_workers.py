"""Workers: registering, enrolling, suspending, and what their Redis users may do."""

import pytest
import redis

from marketplace import broker
from marketplace.actions import clients, workers
from marketplace.domain.errors import Conflict, Forbidden, Refused
from marketplace.models import Account, Client, Contributor, Worker
from tests import factories as make

pytestmark = pytest.mark.django_db


def register(**more):
    given = {"name": "w", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150, "user": None}
    return workers.register_worker(**(given | more))


def test_in_the_sandbox_a_newcomer_gets_its_stake_and_a_hundred_tokens():
    worker = register().worker
    assert worker.stake.balance == 150_000_000
    assert worker.contributor.wallet.balance == 100_000_000
    assert worker.contributor.reputation == 100


def test_the_largest_stake_is_taken():
    assert register(stake_amount=1e9).worker.stake.balance == 10**15


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"stake_amount": 99}, "at least 100 tokens"),
        ({"stake_amount": -150}, "at least 100 tokens"),
        ({"stake_amount": None}, "stake_amount must be a number"),
        ({"stake_amount": float("nan")}, "finite"),
        ({"compute_capacity": 0}, "compute_capacity"),
        ({"compute_capacity": -1}, "compute_capacity"),
        ({"compute_capacity": float("nan")}, "compute_capacity"),
        ({"compute_capacity": float("inf")}, "compute_capacity"),
        ({"name": ""}, "worker_id must be"),
        ({"name": "a b"}, "worker_id must be"),
        ({"name": "Treasury"}, "the network's own"),
        ({"name": "../../etc"}, "worker_id must be"),
        ({"name": "x" * 65}, "worker_id must be"),
        ({"gpu_type": ""}, "gpu_type"),
        ({"gpu_type": "a\nb"}, "gpu_type"),
    ],
)
def test_what_cannot_be_a_worker_is_refused_and_leaves_no_row(more, sentence):
    before = Account.objects.count()
    with pytest.raises(Refused, match=sentence):
        register(**more)
    assert (Account.objects.count(), Worker.objects.count(), Contributor.objects.count()) == (before, 0, 0)


def test_names_share_one_space():
    make.make_client("alice")
    with pytest.raises(Refused, match="The name alice is taken"):
        register(name="alice")
    register(name="w")
    with pytest.raises(Refused, match="The name w is taken"):
        register(name="w")
    with pytest.raises(Refused, match="The name w is taken"):
        make.make_client("w")


def test_outside_the_sandbox_nobody_sets_their_own_balance(settings, django_user_model):
    settings.SANDBOX = False
    user = django_user_model.objects.create_user("carol")
    with pytest.raises(Forbidden):
        clients.register_client(address="carol", initial_balance=5, user=user)
    client = clients.register_client(address="carol", initial_balance=None, user=user)
    assert client.wallet.balance == 0
    assert Client.objects.get().user == user


def test_outside_the_sandbox_the_stake_comes_out_of_the_contributors_wallet(settings, django_user_model):
    user = django_user_model.objects.create_user("dave")
    settings.SANDBOX = False
    with pytest.raises(Refused, match="dave has 0 tokens"):
        register(user=user)
    assert not Worker.objects.exists()


def test_a_key_enrols_one_machine_once():
    key = register().enrolment_key
    reply = make.enrol(key)
    assert reply["queue"] == f"gpu.rtx-4090.{Worker.objects.get().pk}"
    with pytest.raises(Forbidden):
        make.enrol(key)
    with pytest.raises(Forbidden):
        make.enrol("guess")


def test_a_machine_that_restarts_shows_no_key_and_learns_where_its_queue_is(redis_url):
    first = make.enrol(register().enrolment_key)
    worker = Worker.objects.get()
    again = make.enrol("", machine=worker, slots=3)
    worker.refresh_from_db()
    assert (again["secret"], again["queue"], worker.slots) == ("", first["queue"], 3)
    assert connect(again).ping()
    with pytest.raises(redis.exceptions.AuthenticationError):
        connect(first).ping()


def test_only_digests_of_secrets_are_kept():
    key = register().enrolment_key
    reply = make.enrol(key)
    kept = str(list(Worker.objects.values_list())) + str(list(Worker.objects.get().enrolment_keys.values_list()))
    assert key not in kept
    assert reply["secret"] not in kept


def test_a_machine_of_another_protocol_is_refused_with_what_to_do(monkeypatch):
    key = register().enrolment_key
    monkeypatch.setattr("tests.factories.PROTOCOL_VERSION", 99)
    with pytest.raises(Conflict, match="install the version.*git pull"):
        make.enrol(key)


def test_a_gpu_of_our_list_tags_the_queue_and_any_other_name_does_not():
    assert register(name="a", gpu_type="RTX 4090").worker.gpu_tag == "rtx-4090"
    assert register(name="b", gpu_type="*.evil ~ [name]").worker.gpu_tag == "other"
    assert register(name="c", gpu_type="cpu").worker.gpu_tag == "cpu"


def connect(reply: dict) -> redis.Redis:
    return redis.Redis.from_url(reply["broker_url"], socket_timeout=5)


def test_a_workers_redis_user_pops_its_own_list_and_nothing_else(redis_url):
    mine, others = make.enrol(register(name="a").enrolment_key), make.enrol(register(name="b").enrolment_key)
    coordinator = redis.Redis.from_url(redis_url)
    coordinator.lpush(mine["queue"], "word")
    user = connect(mine)
    assert user.brpop(mine["queue"], timeout=1)[1] == b"word"
    for command in (
        ("BRPOP", others["queue"], "1"), ("LLEN", others["queue"]), ("LPUSH", mine["queue"], "x"),
        ("GET", "x"), ("KEYS", "*"), ("SCAN", "0"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"),
        ("CLIENT", "LIST"), ("EVAL", "return 1", "0"), ("PUBLISH", "live", "x"), ("SUBSCRIBE", "live"),
        ("DEL", mine["queue"]), ("SHUTDOWN",), ("MONITOR",), ("SELECT", "1"),
    ):  # fmt: skip
        with pytest.raises(redis.exceptions.NoPermissionError):
            user.execute_command(*command)


def test_suspending_a_worker_cuts_its_way_into_redis_and_reinstating_mends_it():
    reply = make.enrol(register().enrolment_key)
    worker = Worker.objects.get()
    user = connect(reply)
    assert user.ping()
    workers.set_active(worker=worker, active=False, actor="olga", reason="test")
    with pytest.raises((redis.exceptions.AuthenticationError, redis.exceptions.ConnectionError)):
        user.ping()
    workers.set_active(worker=worker, active=True, actor="olga", reason="test")
    assert connect(reply).ping()


def test_users_are_made_again_after_redis_lost_its_memory(redis_url):
    reply = make.enrol(register().enrolment_key)
    coordinator = redis.Redis.from_url(redis_url)
    broker.restore_users()
    coordinator.execute_command("ACL", "DELUSER", broker.username(Worker.objects.get()), broker.MARKER)
    with pytest.raises(redis.exceptions.AuthenticationError):
        connect(reply).ping()
    assert broker.restore_users()
    assert connect(reply).ping()
    assert not broker.restore_users()
