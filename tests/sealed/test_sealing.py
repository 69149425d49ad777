"""The sealer: every row is sealed once, in an order that can be replayed, whatever commits when."""

import json
import threading

import pytest
from django.db import connection, connections, transaction

from marketplace.actions import checkpoints, sealing, tree
from marketplace.domain import merkle
from marketplace.models import Checkpoint, Event, Leaf, LeafSalt, Transfer, TreeNode, Unsealed, Verdict, guards
from tests import factories as make


def lived_through() -> None:
    """A job that was paid, and one that waits."""
    make.make_client()
    make.make_worker()
    make.run_to_end(make.make_job())
    make.make_job(reward=30)


def everything() -> int:
    return Transfer.objects.count() + Event.objects.count() + Verdict.objects.count()


def test_every_row_is_sealed_once_and_leaves_are_numbered_without_gaps(db):
    lived_through()
    assert Leaf.objects.count() == 0
    assert sealing.seal() == everything()
    assert sealing.seal() == 0
    assert list(Leaf.objects.order_by("number").values_list("number", flat=True)) == list(range(everything()))
    assert not Unsealed.objects.exists()
    for kind, rows in (("transfer", Transfer), ("event", Event), ("verdict", Verdict)):
        sealed = Leaf.objects.filter(kind=kind).values_list("row_id", flat=True)
        assert sorted(sealed) == sorted(rows.objects.values_list("pk", flat=True))


def test_what_is_new_costs_the_same_however_much_there_is(db, django_assert_max_num_queries):
    lived_through()
    sealing.seal()
    for _ in range(3):
        make.make_job(reward=20)
        with django_assert_max_num_queries(12):
            sealing.seal()


def test_nothing_personal_is_in_a_leaf(db):
    lived_through()
    sealing.seal()
    log = " ".join(Leaf.objects.values_list("content", flat=True))
    for word in ("alice", "rtx4090", "tokens", "linear_regression", *Event.objects.values_list("reason", flat=True)):
        assert not word or word not in log, word
    [leaf] = Leaf.objects.filter(kind="transfer", content__contains='"capture"')
    assert json.loads(leaf.content)["amount"] == 50_000_000


def test_a_forgotten_row_can_be_shown_no_more_and_the_log_still_proves(db):
    lived_through()
    checkpoints.seal_and_sign()
    events = Event.objects.filter(kind="job.submitted").values_list("pk", flat=True)
    salted = LeafSalt.objects.count()
    assert sealing.forget(kind="event", rows=list(events)) == 2
    assert LeafSalt.objects.count() == salted - 2
    last = Checkpoint.objects.get()
    assert tree.root(last.size).hex() == last.root


@pytest.mark.parametrize("batch", [1, 3, 7, 500])
def test_the_kept_nodes_make_the_roots_of_the_definition_in_batches_of(batch, db, monkeypatch):
    monkeypatch.setattr(sealing, "BATCH", batch)
    monkeypatch.setattr(sealing, "BATCHES", 1000)
    Event.objects.bulk_create(Event(kind="network.triggered", actor="olga") for _ in range(300))
    assert sealing.seal() == 300
    hashes = [bytes.fromhex(each) for each in Leaf.objects.order_by("number").values_list("hash", flat=True)]
    assert TreeNode.objects.count() == 300 // 16 + 300 // 256

    def hash_of(part: merkle.Part) -> bytes:
        level, place = part
        row = hashes[place << level : (place + 1) << level]
        while len(row) > 1:
            row = [merkle.node_hash(*row[i : i + 2]) for i in range(0, len(row), 2)]
        return row[0]

    for size in (1, 15, 16, 17, 255, 256, 257, 300):
        assert tree.root(size) == merkle.root(size, hash_of)
    ranges = [merkle.inclusion_ranges(number, 300) for number in range(300)]
    for number, path in enumerate(tree.proofs(ranges)):
        given = {"number": number, "size": 300, "path": path, "root": tree.root(300)}
        assert number % 40 or merkle.verify_inclusion(leaf=hashes[number], **given)


def test_proofs_cost_a_query_a_kept_level_however_many_they_are(db, django_assert_num_queries):
    Event.objects.bulk_create(Event(kind="network.triggered", actor="olga") for _ in range(300))
    sealing.seal()
    with django_assert_num_queries(3):
        tree.proofs([merkle.inclusion_ranges(number, 300) for number in range(0, 300, 7)])


def test_a_row_that_commits_late_is_sealed_late_and_never_passed_over(committed_db):
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: no row is numbered before another one and seen after it")
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            Event.objects.create(kind="network.triggered", actor="slow")
            begun.set()
            go_on.wait(10)
        connections.close_all()

    thread = threading.Thread(target=slow)
    thread.start()
    begun.wait(10)
    Event.objects.create(kind="network.triggered", actor="quick")
    assert sealing.seal() == 1
    go_on.set()
    thread.join(10)
    assert sealing.seal() == 1
    slow_one, quick = Event.objects.get(actor="slow"), Event.objects.get(actor="quick")
    assert slow_one.pk < quick.pk
    assert list(Leaf.objects.order_by("number").values_list("row_id", flat=True)) == [quick.pk, slow_one.pk]


def test_sealers_at_once_do_no_harm(committed_db, monkeypatch):
    monkeypatch.setattr(sealing, "BATCH", 20)
    Event.objects.bulk_create(Event(kind="network.triggered", actor="olga") for _ in range(400))
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(6):
                checkpoints.seal_and_sign()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sealing.seal()
    assert not failures
    assert Leaf.objects.count() == 400
    assert TreeNode.objects.count() == 400 // 16 + 400 // 256


def test_what_was_written_while_the_guards_were_away_is_noted_in_the_order_that_it_was_written(db):
    lived_through()
    with connection.cursor() as cursor:  # as if nothing had noted it
        on = " ON marketplace_unsealed" if connection.vendor == "postgresql" else ""
        cursor.execute(f"DROP TRIGGER cn_unsealed_delete{on}")
        cursor.execute("DELETE FROM marketplace_unsealed")
    assert sealing.seal() == 0
    assert sealing.note_missing() == everything()
    assert sealing.note_missing() == 0
    sealing.seal()
    sealed = Leaf.objects.filter(kind="transfer").order_by("number").values_list("row_id", flat=True)
    assert list(sealed) == list(Transfer.objects.order_by("pk").values_list("pk", flat=True))
    guards.drop()
    guards.create()


def test_a_checkpoint_is_signed_when_leaves_grew_and_one_is_due(db, settings):
    settings.CHECKPOINT_SECONDS = 0
    assert checkpoints.make() is None  # there is nothing
    lived_through()
    checkpoints.seal_and_sign()
    first = Checkpoint.objects.get()
    assert first.size == everything()
    assert checkpoints.is_signed(first)
    checkpoints.seal_and_sign()
    assert Checkpoint.objects.count() == 1  # nothing grew
    settings.CHECKPOINT_SECONDS = 60
    make.make_job(reward=20)
    checkpoints.seal_and_sign()
    assert Checkpoint.objects.count() == 1  # not due yet
    settings.CHECKPOINT_SECONDS = 0
    checkpoints.seal_and_sign()
    second = Checkpoint.objects.first()
    assert (second.size, second.public_key) == (everything(), first.public_key)
    [path] = tree.proofs([merkle.consistency_ranges(first.size, second.size)])
    old_root, root = bytes.fromhex(first.root), bytes.fromhex(second.root)
    assert merkle.verify_consistency(old=first.size, old_root=old_root, size=second.size, root=root, path=path)


def test_a_signature_covers_size_root_and_time(db):
    lived_through()
    checkpoints.seal_and_sign()
    for name, value in (("size", 1), ("root", "0" * 64), ("created_at", None), ("public_key", "0" * 64)):
        made = Checkpoint.objects.get()
        setattr(made, name, value or made.created_at.replace(year=2001))
        assert not checkpoints.is_signed(made), name


def test_the_logs_key_is_kept_for_its_owner_alone_and_made_once(db, settings, tmp_path):
    settings.COMPUTENET_HOME, settings.LOG_KEY = tmp_path / "home", ""
    made = checkpoints.signing_key().private_bytes_raw()
    file = tmp_path / "home" / "log_key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert checkpoints.signing_key().private_bytes_raw() == made
    assert [each.name for each in file.parent.iterdir()] == ["log_key"]
    settings.LOG_KEY = "11" * 32
    assert checkpoints.signing_key().private_bytes_raw() == b"\x11" * 32
