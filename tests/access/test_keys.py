"""API keys: what they open, how far they spend, how they end."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from marketplace.actions import keys, stakes, workers
from marketplace.actions.digests import digest
from marketplace.domain.errors import Forbidden, Refused
from marketplace.models import ApiKey, Job, Transfer, database_now
from tests.api.calls import ROWS, is_refused, post
from tests.dashboard import cast

pytestmark = pytest.mark.django_db


def a_key(user: Any, *scopes: str, **more: Any) -> keys.MadeKey:
    return keys.make_key(user=user, name="k", scopes=scopes or ("read", "submit", "contribute"), **more)


def with_key(made: keys.MadeKey, scheme: str = "Bearer") -> Client:
    return Client(headers={"Authorization": f"{scheme} {made.secret}"})


@pytest.fixture
def alice(settings: Any) -> Any:
    """Alice with 1,000 tokens, and the door shut behind her."""
    user = cast.alice()
    cast.a_client("alices_lab", user)
    cast.a_client("bobs_lab", cast.bob())
    settings.SANDBOX = False
    return user


def test_a_key_is_kept_as_a_digest_alone_and_shown_once(alice: Any) -> None:
    http = Client()
    http.force_login(alice)
    answer = post(http, "/keys", {"name": "laptop", "scopes": ["read"]}).json()
    assert answer["key"].startswith("cnk_") and len(answer["key"]) > 40
    assert answer["key"] not in str(ApiKey.objects.values().get())
    listed = http.get("/keys").json()
    assert listed["count"] == 1 and "key" not in listed["keys"][0] and "sha256" not in listed["keys"][0]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
def test_a_key_opens_the_api_for_its_user(alice: Any, scheme: str) -> None:
    http = with_key(a_key(alice, "read"), scheme)
    assert http.get("/clients").json()["clients"] == [{"client_address": "alices_lab", "balance": 1000}]


@pytest.mark.parametrize("rank", ["nobody's", "is_staff", "is_superuser"])
def test_a_keys_user_is_the_one_who_is_on_record(rank: str) -> None:
    user = User.objects.create_user("rita", "rita@example.org", **({} if rank == "nobody's" else {rank: True}))
    soon = database_now() + timedelta(hours=1)
    made = ApiKey.objects.create(user=user, name="k", scopes=["read"], sha256=digest("s"), expires_at=soon)
    opened = keys.open_with("s")
    assert opened == made
    assert {name: getattr(opened.user, name) for name in keys.USER} == {
        name: getattr(User.objects.get(), name) for name in keys.USER
    }


def test_an_expired_a_revoked_and_an_unknown_key_open_nothing(alice: Any) -> None:
    expired, revoked, unknown = a_key(alice), a_key(alice), a_key(alice)
    ApiKey.objects.filter(pk=unknown.key.pk).delete()
    keys.revoke(key_id=revoked.key.pk, user=alice)
    old = ApiKey.objects.get(pk=expired.key.pk)
    ApiKey.objects.filter(pk=old.pk).delete()
    old.expires_at = database_now() - timedelta(seconds=1)
    old.save(force_insert=True)
    for made in (expired, revoked, unknown):
        is_refused(with_key(made).get("/jobs"), 401)


def test_a_key_of_a_user_who_is_shut_out_opens_nothing(alice: Any) -> None:
    made = a_key(alice)
    alice.is_active = False
    alice.save()
    is_refused(with_key(made).get("/jobs"), 401)


def test_a_key_loses_a_scope_with_its_users_role(alice: Any) -> None:
    http = with_key(a_key(alice))
    assert post(http, "/client/register", {"client_address": "second"}).status_code == 200
    alice.groups.clear()
    is_refused(post(http, "/client/register", {"client_address": "third"}), 403)
    assert http.get("/jobs").status_code == 200


def test_nobody_makes_a_key_with_a_scope_that_they_have_not(alice: Any) -> None:
    with pytest.raises(Refused, match="scope operate"):
        a_key(alice, "operate")
    with pytest.raises(Refused, match="must be some of"):
        a_key(alice, "everything")
    visitor = cast.a_user("visitor", roles=())
    with pytest.raises(Refused, match="scope submit"):
        a_key(visitor, "submit")
    assert a_key(visitor, "read").secret


def test_a_key_makes_no_key_that_is_stronger_than_itself(alice: Any) -> None:
    short = with_key(a_key(alice, "read", "submit", days=2))
    is_refused(post(short, "/keys", {"name": "x", "scopes": ["contribute"]}), 403)
    made = post(short, "/keys", {"name": "x", "scopes": ["read"], "days": 300}).json()
    assert made["expires_at"] <= (database_now() + timedelta(days=2)).timestamp()
    limited = with_key(a_key(alice, "read", "submit", spending_limit=10))
    is_refused(post(limited, "/keys", {"name": "x", "scopes": ["read"]}), 403)


def test_an_operators_key_without_operate_sees_and_does_what_anybodys_would(alice: Any) -> None:
    olga = cast.olga()
    weak, strong = with_key(a_key(olga, "read", "submit")), with_key(a_key(olga, "read", "operate"))
    assert weak.get("/clients").json()["count"] == 0
    assert strong.get("/clients").json()["count"] == 2
    is_refused(weak.get("/client/alices_lab/balance"), 404)
    is_refused(
        post(weak, "/job/submit", {"client_address": "alices_lab", "model_type": "pca_analysis", "reward": 5}), 404
    )
    is_refused(post(weak, "/client/register", {"client_address": "rich", "initial_balance": 10**6}), 403)
    is_refused(post(weak, "/network/coordination/stop"), 403)
    olga.refresh_from_db()
    assert olga.is_staff and olga.is_superuser


def test_another_users_key_cannot_be_revoked_and_an_operator_may(alice: Any) -> None:
    made = a_key(alice)
    bob, olga = Client(), Client()
    bob.force_login(User.objects.get(username="bob"))
    olga.force_login(cast.olga())
    is_refused(post(bob, f"/keys/{made.key.pk}/revoke"), 404)
    assert with_key(made).get("/jobs").status_code == 200
    assert post(olga, f"/keys/{made.key.pk}/revoke").json()["revoked_at"] is not None
    is_refused(with_key(made).get("/jobs"), 401)


def test_a_limited_key_spends_up_to_its_limit_and_no_further(alice: Any) -> None:
    made = a_key(alice, spending_limit=30)
    http = with_key(made)
    body = {"client_address": "alices_lab", "model_type": "linear_regression", "reward": 20, "data": ROWS}
    assert post(http, "/job/submit", body).status_code == 200
    before = Transfer.objects.count()
    assert "10 tokens more" in is_refused(post(http, "/job/submit", body), 403)
    is_refused(post(http, "/token/transfer", {"to": "bobs_lab", "amount": 11}), 403)
    is_refused(post(http, "/token/transfer", {"to": "nobodys_lab", "amount": 11}), 404)
    is_refused(post(http, "/token/approve", {"spender": "bobs_lab", "amount": 1}), 403)
    assert Transfer.objects.count() == before
    assert post(http, "/token/transfer", {"to": "bobs_lab", "amount": 10}).status_code == 200
    is_refused(post(http, "/token/transfer", {"to": "bobs_lab", "amount": 0.000001}), 403)
    made.key.refresh_from_db()
    assert made.key.spent == made.key.spending_limit == 30_000_000


def test_many_jobs_at_once_are_within_a_keys_limit_together_and_on_what_is_its_users_own(alice: Any) -> None:
    made = a_key(alice, spending_limit=30)
    http, bob = with_key(made), with_key(a_key(User.objects.get(username="bob")))
    body = {"client_address": "alices_lab", "model_type": "linear_regression", "reward": 10, "data": ROWS}
    assert post(http, "/job/submit", body).status_code == 200
    job = {**body, "dataset": Job.objects.get().dataset_id}
    del job["data"]
    before = Transfer.objects.count()
    assert "20 tokens more, and this takes 30" in is_refused(post(http, "/jobs", {"jobs": [job] * 3}), 403)
    assert "jobs[1]: There is no client bobs_lab" in is_refused(
        post(http, "/jobs", {"jobs": [job, job | {"client_address": "bobs_lab"}]}), 404
    )
    bobs = {"jobs": [job | {"client_address": "bobs_lab"}]}
    assert "There is no dataset" in is_refused(post(bob, "/jobs", bobs), 404)
    made.key.refresh_from_db()
    assert (made.key.spent, Transfer.objects.count()) == (10_000_000, before)
    assert post(http, "/jobs", {"jobs": [job] * 2}).status_code == 200
    made.key.refresh_from_db()
    assert made.key.spent == made.key.spending_limit


def test_what_is_refused_for_another_reason_is_not_counted(alice: Any) -> None:
    made = a_key(alice, spending_limit=5000)
    is_refused(
        post(with_key(made), "/token/transfer", {"to": "bobs_lab", "amount": 2000})
    )  # more than the wallet holds
    made.key.refresh_from_db()
    assert made.key.spent == 0


def test_a_repeated_submission_is_counted_once(alice: Any) -> None:
    made = a_key(alice, spending_limit=30)
    body = {"client_address": "alices_lab", "model_type": "linear_regression", "reward": 20, "data": ROWS}
    first, again = (post(with_key(made), "/job/submit", body, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert first.json()["job_id"] == again.json()["job_id"]
    made.key.refresh_from_db()
    assert made.key.spent == 20_000_000


def test_stakes_count_as_spent(settings: Any) -> None:
    user = cast.alice()
    cast.a_worker("first", user)
    settings.SANDBOX = False
    made = a_key(user, "contribute", spending_limit=10)
    with pytest.raises(Forbidden, match="may spend 10 tokens more"):
        workers.register_worker(
            name="w", gpu_type="A100", compute_capacity=1, stake_amount=100, user=user, api_key=made.key
        )
    stakes.top_up(name="first", amount=10, user=user, api_key=made.key)
    with pytest.raises(Forbidden):
        stakes.top_up(name="first", amount=1, user=user, api_key=made.key)


def test_a_user_has_a_bounded_number_of_keys(alice: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(keys, "MAX_KEYS", 2)
    first = a_key(alice)
    a_key(alice)
    with pytest.raises(Refused, match="revoke one first"):
        a_key(alice)
    keys.revoke(key_id=first.key.pk, user=alice)
    assert a_key(alice)


def test_the_page_makes_shows_once_and_revokes(alice: Any) -> None:
    http = Client()
    http.force_login(alice)
    form = {"key-name": "laptop", "key-scopes": ["read", "submit"], "key-days": "30", "key-spending_limit": "12.5"}
    html = http.post("/account/", form).content.decode()
    key = ApiKey.objects.get()
    assert "cnk_" in html and key.spending_limit == 12_500_000
    html = http.get("/account/").content.decode()
    assert "laptop" in html and "cnk_" not in html and "operate" not in html
    assert http.post(f"/account/keys/{key.pk}/revoke/").status_code == 302
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_a_keys_answer_is_not_given_again_to_another_credential_of_the_same_user(alice: Any) -> None:
    strong = {"name": "laptop", "scopes": ["read", "submit", "contribute"]}
    session = Client()
    session.force_login(alice)
    sent = {"content_type": "application/json", "headers": {"Idempotency-Key": "1"}}
    assert session.post("/keys", strong, **sent).status_code == 200
    weak = with_key(a_key(alice, "submit", spending_limit=1))
    assert weak.post("/keys", strong, **sent).status_code == 422
    assert session.post("/keys", strong, **sent).status_code == 200
