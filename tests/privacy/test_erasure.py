"""Erasing a user: nothing of theirs is found anywhere, and the books, the log and an old export stand as before."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from marketplace.actions import checkpoints, datasets, erasure, jobs, keys, sealing, stakes, workers
from marketplace.actions.audit import audit
from marketplace.actions.exports import export_state
from marketplace.actions.submissions import Submission
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.models import Account, Client, Event, Job, LeafSalt, Worker
from tests import factories
from tests.dashboard import cast
from tests.privacy.machines import enrolled
from tests.sealed.export import alone
from workers.datasets import Cache

pytestmark = pytest.mark.django_db
TABLE = "secret_age,zip_town,secret_rent\n" + "\n".join(
    f"{i},{('Ahlen', 'Bonn')[i % 2]},{2 * i + 0.125 * (i % 7)}" for i in range(1, 60)
)
HERS = ("carol", "carols_lab", "Carolina", "confidential", "secret_age", "zip_town", "Ahlen", "carol@example.org")


@pytest.fixture
def carol(db: None) -> User:
    user = cast.a_user("carol", first_name="Carolina", email="carol@example.org")
    cast.a_client("carols_lab", user)
    return user


def lived_through(carol: User) -> Job:
    """A job of hers on her data that was paid, one that was called off, a key, and something said of her."""
    stream = io.BytesIO(TABLE.encode())
    dataset = datasets.store_upload(stream=stream, filename="confidential.csv", user=carol)
    asked = Submission(
        client_address="carols_lab", model_type="linear_regression", reward=20, dataset=dataset.pk,
        target="secret_rent", recipe={"standardise": True},
    )  # fmt: skip
    machine = enrolled("gpu")
    job = jobs.submit(submission=asked, user=carol)
    machine.do(str(job.pk))
    called_off = jobs.submit(submission=asked, user=carol)
    jobs.cancel(job_id=called_off.pk, user=carol, actor="carols_lab")
    keys.make_key(user=carol, name="hers", scopes=["read"])
    Event.objects.create(kind="network.triggered", actor="olga", reason="carols_lab asked for it")
    job.refresh_from_db()
    return job


def rows() -> str:
    """Every value of every table."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
            found += [f"{model._meta.label}: {row}" for row in cursor.fetchall()]
    return "\n".join(found)


def stored() -> str:
    """Every file of the network's home, its name and what is in it."""
    files = [path for path in (settings.COMPUTENET_HOME / "files").rglob("*") if path.is_file()]
    return "\n".join(f"{path.name} {path.read_bytes()!r}" for path in files)


def said_in(text: str) -> list[str]:
    return [f"{name}: {text[max(0, at.start() - 80) : at.end() + 20]}" for name in HERS for at in _found(name, text)]


def _found(name: str, text: str) -> list[re.Match[str]]:
    return list(re.finditer(re.escape(name), text))[:3]


def test_after_erasing_a_user_nothing_of_theirs_is_found_and_the_books_still_stand(
    carol: User, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    before = stored()
    job = lived_through(carol)
    checkpoints.seal_and_sign()
    export_state(tmp_path / "export")
    numbers = [str(value) for value in job.scalars.values() if isinstance(value, float) and value % 1]
    assert said_in(rows()) and numbers and all(number in rows() for number in numbers)
    assert stored() != before and "confidential" not in stored() and "Ahlen" in stored()
    cache = Cache(tmp_path / "cache", 10**6)
    cache.folder.mkdir()
    machine_id = job.worker.pk
    matrix = job.data.matrix_sha256
    (cache.folder / f"{matrix}.npy").write_bytes(b"her numbers")
    total = sum(Account.objects.values_list("balance", flat=True))

    assert erasure.erase_user(username="carol") == f"erased-{carol.pk}"

    assert said_in(rows()) == []
    assert not [number for number in numbers if number in rows()]
    assert stored() == before
    assert said_in(caplog.text) == []
    from marketplace.actions import copies  # noqa: PLC0415

    for sha256 in copies.to_drop(Worker.objects.get(pk=machine_id), []):
        cache.drop(sha256)
    assert not list(cache.folder.iterdir())
    # What stands
    report = audit()
    assert report.ok, report.problems
    assert sum(Account.objects.values_list("balance", flat=True)) == total == 0
    client = Client.objects.get(pk=job.client_id)
    assert client.address == f"erased-{client.wallet_id}" and client.wallet.balance == 0
    assert alone(tmp_path / "export")[0] == 0
    export_state(tmp_path / "after")
    assert alone(tmp_path / "after")[0] == 0
    assert said_in("".join(path.read_text() for path in (tmp_path / "after").iterdir())) == []
    assert audit().ok


def test_what_is_not_settled_keeps_a_user(carol: User) -> None:
    for username, refusal in (("nobody", NotFound), (cast.olga().username, Refused)):
        with pytest.raises(refusal):
            erasure.erase_user(username=username)
    job = lived_through(carol)
    open_job = factories.make_job(client="carols_lab")
    with pytest.raises(Conflict, match="An open job is theirs"):
        erasure.erase_user(username="carol")
    jobs.cancel(job_id=open_job.pk, user=carol, actor="client")
    worker = workers.register_worker(
        name="carols_gpu", gpu_type="CPU", compute_capacity=1, stake_amount=100, user=carol
    ).worker
    with pytest.raises(Conflict, match="carols_gpu has a stake"):
        erasure.erase_user(username="carol")
    assert User.objects.filter(username="carol").exists() and Job.objects.get(pk=job.pk).scalars
    assert Worker.objects.get(pk=worker.pk).is_active


def test_a_contributor_is_erased_with_their_workers_names_and_its_standing_stays(carol: User, settings: Any) -> None:
    factories.make_client("dora")
    worker = factories.make_worker("carols_gpu", user=carol)
    job = factories.run_to_end(factories.make_job(client="dora"))
    settings.POLICY = settings.POLICY.__class__(unbonding_seconds=0)
    stakes.unstake(name="carols_gpu", amount=150, user=carol)
    stakes.release_due()
    worker.refresh_from_db()
    if worker.stake.balance or (worker.unbonding and worker.unbonding.balance):
        pytest.fail("The stake is not out.")
    sealing.seal()
    erasure.erase_user(username="carol")
    assert said_in(rows()) == []
    worker.refresh_from_db()
    assert (worker.is_active, worker.name, worker.contributor.verified) == (False, f"erased-{worker.stake_id}", 1)
    assert Job.objects.get(pk=job.pk).state == "verified"
    assert audit().ok


def test_the_command_erases_and_says_what_became_of_the_name(carol: User, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="--yes"):
        call_command("erase_user", "carol")
    call_command("erase_user", "carol", "--yes")
    assert f"erased-{carol.pk}" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no user carol"):
        call_command("erase_user", "carol", "--yes")


def test_the_page_erases_who_types_their_name_and_logs_them_out(client: Any, carol: User) -> None:
    client.force_login(carol)
    assert "Erase this account" in client.get("/account/").content.decode()
    refused = client.post("/account/erase/", {"erase-username": "someone"})
    assert refused.status_code == 400 and User.objects.filter(username="carol").exists()
    assert client.post("/account/erase/", {"erase-username": "carol"}).status_code == 302
    assert not User.objects.filter(username="carol").exists()
    assert client.get("/account/").status_code == 302


HOSTILE = {
    "rename a wallet to another number": "UPDATE marketplace_account SET name = 'erased-0' WHERE name = 'carols_lab'",
    "rename a wallet and fill it": "UPDATE marketplace_account SET name = 'erased-' || id, balance = balance + 1 "
    "WHERE name = 'carols_lab'",
    "rename an escrow": "UPDATE marketplace_account SET name = 'erased-' || id WHERE kind = 'escrow'",
    "blank a sealed event's words": "UPDATE marketplace_event SET actor = 'erased', reason = ''",
    "put words into an event": "UPDATE marketplace_event SET reason = 'mallory did it' WHERE kind = 'job.submitted'",
    "give an ended job another result": "UPDATE marketplace_job SET scalars = '{\"a\": 1}' WHERE state = 'verified'",
    "unverify a job while blanking it": "UPDATE marketplace_job SET scalars = '{}', state = 'failed' "
    "WHERE state = 'verified'",
    "call a client somebody else": "UPDATE marketplace_client SET address = 'erased-0'",
}


def test_erasing_opens_no_way_to_change_what_happened(carol: User) -> None:
    lived_through(carol)
    sealing.seal()
    for what, statement in HOSTILE.items():
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
            pytest.fail(f"The database lets a hand {what}.")
    assert LeafSalt.objects.exists()
