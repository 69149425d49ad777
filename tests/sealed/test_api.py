"""Whose rows they are gets them with proofs, which anybody can check; everybody gets the newest checkpoint."""

import json

import pytest
from django.contrib.auth.models import User

from computenet_client.verifier import proofs as verifier
from computenet_client.verifier.checkpoints import Checkpoint as TheirCheckpoint
from computenet_client.verifier.command import check
from marketplace.actions import checkpoints, sealing
from marketplace.models import Checkpoint, Client, Event, Leaf
from tests import factories as make
from tests.sealed import export as made


@pytest.fixture
def lived(db):
    found = made.live()
    checkpoints.seal_and_sign()
    return found


def answer(client, url: str) -> dict:
    response = client.get(url)
    assert response.status_code == 200, response.content
    return response.json()


def test_everybody_gets_the_newest_checkpoint_and_its_key(lived, client, settings):
    settings.SANDBOX = False
    settings.SECURE_SSL_REDIRECT = False
    found = answer(client, "/log")
    assert found["checkpoint"]["size"] == Leaf.objects.count()
    assert found["checkpoint"]["public_key"] == checkpoints.signing_key().public_key().public_bytes_raw().hex()
    assert verifier.verify(found, None).ok
    assert "consistency" not in found


def test_a_log_without_checkpoints_says_so(db, client):
    assert answer(client, "/log") == {"checkpoint": None}
    make.make_client("bob")
    assert answer(client, "/client/bob/proofs") == {"checkpoint": None, "rows": [], "count": 0}


def test_a_later_answer_shows_that_it_extends_a_kept_checkpoint(lived, client, settings, tmp_path):
    kept = answer(client, "/log")["checkpoint"]
    older = TheirCheckpoint.of(kept)
    make.make_job(reward=20)
    settings.CHECKPOINT_SECONDS = 0
    checkpoints.seal_and_sign()
    later = answer(client, f"/log?extends={kept['size']}")
    assert later["checkpoint"]["size"] > kept["size"]
    assert verifier.verify(later, older).extends is True
    assert verifier.verify(answer(client, "/log"), older).problems[0]["what"].startswith("There is no proof")
    other = TheirCheckpoint.of(kept | {"root": "0" * 64})
    assert "history was changed" in verifier.verify(later, other).problems[0]["what"]
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    (tmp_path / "later.json").write_text(json.dumps(later))
    assert check(tmp_path / "later.json", against=tmp_path / "kept.json")["extends"] is True


@pytest.mark.parametrize("extends", ["0", "-1", "x", "1.5", "9" * 30, "100000", ""])
def test_a_size_that_cannot_be_extended_is_refused(extends, lived, client):
    response = client.get("/log", {"extends": extends})
    assert response.status_code == 400, response.content
    assert response.json()["success"] is False


def test_a_client_gets_its_rows_a_page_at_a_time_and_every_proof_holds(lived, client):
    make.make_client("bob")
    sealing.seal()
    rows, offset = [], 0
    while True:
        page = answer(client, f"/client/alice/proofs?limit=10&offset={offset}")
        assert verifier.verify(page, None).ok
        assert len(page["rows"]) <= 10
        if not page["rows"]:
            break
        rows += page["rows"]
        offset += 10
    assert len(rows) == page["count"]
    numbers = [row["number"] for row in rows]
    assert numbers == sorted(set(numbers))
    wallet = Client.objects.get(address="alice").wallet
    moved = 0
    for leaf in (row["leaf"] for row in rows if row["leaf"]["kind"] == "transfer"):
        moved += leaf["amount"] * ((leaf["to"]["account"] == wallet.pk) - (leaf["from"]["account"] == wallet.pk))
    assert moved == wallet.balance
    submitted = next(row for row in rows if row["leaf"].get("event") == "job.submitted")
    assert submitted["private"]["actor"] == "alice"
    assert submitted["private"]["asked"]["model_type"] == "linear_regression"
    assert answer(client, "/client/bob/proofs")["count"] == 0  # newer than the checkpoint
    assert client.get("/client/alice/proofs?limit=101").status_code == 400


def test_proofs_of_a_page_cost_a_fixed_number_of_queries(lived, client, django_assert_max_num_queries):
    with django_assert_max_num_queries(12):
        answer(client, "/client/alice/proofs")


def test_a_changed_row_or_word_does_not_hold(lived, client):
    whole = answer(client, f"/job/{lived['retried'].pk}/proof")
    assert verifier.verify(whole, None).ok
    kinds = [row["leaf"]["kind"] for row in whole["rows"]]
    assert kinds.count("verdict") == 2
    assert {"hold", "slash", "capture"} <= {row["leaf"].get("code") for row in whole["rows"]}
    for number, row in enumerate(whole["rows"]):
        for change in (
            {"leaf": row["leaf"] | {"at": "2001"}},
            {"number": row["number"] + 1},
            {"proof": row["proof"][1:]},
            {"proof": [*row["proof"][:-1], "00" * 32]},
            {"proof": [*row["proof"], "x"]},
            {"private": {"reason": "another"}, "salt": "00" * 16},
        ):
            changed = whole | {"rows": [*whole["rows"][:number], row | change]}
            report = verifier.verify(changed, None)
            assert not report.ok, change
    for change in ({"root": "0" * 64}, {"size": 1}, {"signature": "0" * 128}, {"created_at": "2001"}):
        assert not verifier.verify(whole | {"checkpoint": whole["checkpoint"] | change}, None).ok, change
    for rows in ([None], [{}], [{"number": 1, "leaf": 3, "proof": []}], [{"number": "1", "leaf": {}, "proof": []}]):
        assert not verifier.verify(whole | {"rows": rows}, None).ok


def test_who_was_forgotten_is_proved_without_words(lived, client):
    events = Event.objects.filter(job=lived["paid"])
    sealing.forget(kind="event", rows=[each.pk for each in events])
    found = answer(client, f"/job/{lived['paid'].pk}/proof")
    assert verifier.verify(found, None).ok
    shown = [row for row in found["rows"] if row["leaf"]["kind"] == "event"]
    assert shown and all(row["private"] is row["salt"] is None for row in shown)


def test_a_contributor_gets_what_is_about_its_own_attempts_and_strangers_get_nothing(db, client, settings):
    alice, bob, carol = (User.objects.create_user(name) for name in ("alice", "bob", "carol"))
    make.make_client()
    Client.objects.update(user=alice)
    make.make_worker("bobs", user=bob)
    make.make_worker("carols", user=carol)
    job = make.make_job()
    first = make.assign(job)
    make.start(first)
    make.submit_answer(first, make.wrong_answer(job))
    make.verify(first)
    job = make.run_to_end(job)
    checkpoints.seal_and_sign()
    loser = bob if first.worker.name == "bobs" else carol
    settings.SANDBOX, settings.SECURE_SSL_REDIRECT = False, False
    assert client.get(f"/job/{job.pk}/proof").status_code == 401
    client.force_login(loser, backend="django.contrib.auth.backends.ModelBackend")
    rows = answer(client, f"/job/{job.pk}/proof")["rows"]
    assert rows and {row["leaf"]["assignment"] for row in rows if "assignment" in row["leaf"]} == {str(first.pk)}
    assert {row["leaf"]["code"] for row in rows if row["leaf"]["kind"] == "transfer"} == {"slash"}
    assert client.get("/client/alice/proofs").status_code == 404
    client.force_login(User.objects.create_user("dan"), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"/job/{job.pk}/proof").status_code == 404
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    whole = answer(client, f"/job/{job.pk}/proof")
    assert len(whole["rows"]) > len(rows)
    assert Checkpoint.objects.get().size == whole["checkpoint"]["size"]
