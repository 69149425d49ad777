"""Stakes, reputation, verdicts, contests and receipts over HTTP, as contributors, clients and operators meet them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from marketplace import storage
from marketplace.actions.minting import mint
from marketplace.models import Assignment, Job, Verdict, Worker
from tests import factories as make
from tests.actions.rejected import answer_wrongly
from tests.api.calls import is_refused, post, register_client, register_worker, row_counts

pytestmark = pytest.mark.django_db
NOBODY = "00000000-0000-4000-8000-000000000000"
ROOT = Path(__file__).resolve().parents[2]


def a_rejected_answer() -> Assignment:
    make.make_client()
    make.make_worker()
    return answer_wrongly(make.make_job(model_type="pca_analysis", data=make.rows()))


def the_receipt(client: Client, job: Job) -> dict[str, Any]:
    answer = client.get(f"/job/{job.pk}/receipt")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_stake_is_topped_up_and_taken_out(client: Client) -> None:
    register_worker(client)
    answer = post(client, "/worker/rtx_01/stake", {"amount": 50})
    assert answer.json() == {"success": True, "worker_id": "rtx_01", "stake": 200, "balance": 50}
    answer = post(client, "/worker/rtx_01/unstake", {"amount": 99.5})
    said = answer.json()
    assert (answer.status_code, said["success"], said["amount"]) == (200, True, 99.5)
    assert said["release_at"] - Worker.objects.get().registered_at.timestamp() > 6 * 24 * 3600
    assert client.get("/worker/rtx_01/status").json()["stake"] == 100.5


@pytest.mark.parametrize("call", ["stake", "unstake"])
@pytest.mark.parametrize("amount", [None, "5", True, 0, -1, 1e-9, 1e300, [], 10**6])
def test_an_amount_that_cannot_be_is_refused_in_a_sentence(client: Client, call: str, amount: object) -> None:
    register_worker(client)
    before = row_counts()
    is_refused(post(client, f"/worker/rtx_01/{call}", {"amount": amount}))
    is_refused(post(client, f"/worker/rtx_01/{call}", {}))
    is_refused(post(client, f"/worker/rtx_01/{call}", {"amount": 5, "more": 1}))
    assert row_counts() == before


def test_what_is_not_there_is_404(client: Client) -> None:
    register_worker(client)
    for path, body in [
        ("stake", {"amount": 1}),
        ("unstake", {"amount": 1}),
        ("contest", {"assignment": NOBODY, "note": "x"}),
    ]:
        is_refused(post(client, f"/worker/nobody/{path}", body), 404)
    is_refused(post(client, "/worker/rtx_01/contest", {"assignment": NOBODY, "note": "x"}), 404)
    for path in ["/worker/nobody/reputation", "/worker/nobody/verdicts", f"/job/{NOBODY}/receipt"]:
        is_refused(client.get(path), 404)
    is_refused(client.get(f"/assignment/{NOBODY}/answer"), 404)


def test_reputation_is_told_change_by_change_with_reasons_a_page_at_a_time(client: Client) -> None:
    wrong = a_rejected_answer()
    make.run_to_end(make.make_job())
    answer = client.get("/worker/rtx4090/reputation").json()
    assert answer["count"] == 2
    newest, oldest = answer["changes"]
    assert (oldest["before"], oldest["after"], oldest["assignment"]) == (100, 90, str(wrong.pk))
    assert (newest["before"], newest["after"]) == (90, 90.5)
    assert "verified" in newest["reason"] and oldest["reason"].endswith("tokens of stake.")
    page = client.get("/worker/rtx4090/reputation?limit=1&offset=1").json()
    assert (page["count"], page["changes"]) == (2, [oldest])


def test_verdicts_come_with_their_evidence_and_what_may_be_contested(client: Client) -> None:
    wrong = a_rejected_answer()
    make.run_to_end(make.make_job())
    right, rejected = client.get("/worker/rtx4090/verdicts").json()["verdicts"]
    assert (right["outcome"], right["contestable_until"], right["contest"]) == ("accepted", None, None)
    assert rejected["assignment"] == str(wrong.pk) and rejected["job_id"] == str(wrong.job_id)
    assert rejected["measured"] > rejected["tolerance"] > 0
    assert rejected["contestable_until"] > rejected["created_at"]
    assert rejected["seed"] == wrong.verdict.seed


def test_a_rejection_is_contested_once_over_http(client: Client) -> None:
    wrong = a_rejected_answer()
    body = {"assignment": str(wrong.pk), "note": "I ran the check again and it passes."}
    answer = post(client, "/worker/rtx4090/contest", body)
    assert (answer.status_code, answer.json()["outcome"]) == (200, "open")
    is_refused(post(client, "/worker/rtx4090/contest", body), 409)
    [told] = client.get("/worker/rtx4090/verdicts").json()["verdicts"]
    assert (told["contest"]["note"], told["contestable_until"]) == (body["note"], None)
    assert the_receipt(client, wrong.job)["attempts"][0]["contest"]["outcome"] == "open"


@pytest.mark.parametrize("note", ["", " ", "x" * 2001, 5, None])
def test_a_contest_without_a_note_is_refused(client: Client, note: object) -> None:
    wrong = a_rejected_answer()
    is_refused(post(client, "/worker/rtx4090/contest", {"assignment": str(wrong.pk), "note": note}))


def test_a_receipt_says_of_each_attempt_what_was_checked_paid_and_slashed(client: Client) -> None:
    wrong = a_rejected_answer()
    make.make_worker("second")
    job = make.run_to_end(wrong.job)
    found = the_receipt(client, job)
    assert (found["status"], found["model"], found["reward"]) == ("verified", "pca_analysis", 50)
    assert found["matrix"]["sha256"] == job.dataset.matrix_sha256
    first, second = found["attempts"]
    assert (first["worker"], first["state"], first["attempt"]) == ("rtx4090", "rejected", 1)
    slashes = [(each["amount"], each["source"], each["destination"]) for each in first["transfers"]]
    assert sorted(slashes) == [(7.5, "stake", "treasury"), (7.5, "stake", "wallet")]
    assert (second["worker"], second["state"]) == ("second", "accepted")
    assert [(each["code"], each["amount"]) for each in second["transfers"]] == [("capture", 50)]
    assert [each["code"] for each in found["transfers"]] == ["hold"]
    for attempt in (first, second):
        assert attempt["verdict"]["method"] and attempt["verdict"]["seconds"] > 0
        assert len(attempt["verdict"]["seed"]) == 32 and len(attempt["answer"]["sha256"]) == 64
        assert attempt["answer"]["seconds"] == 0.01
    assert second["verdict"]["bound"] and second["verdict"]["measured"] <= second["verdict"]["tolerance"]


def test_the_verifiers_seed_is_told_only_after_the_verdict(client: Client) -> None:
    make.make_client()
    make.make_worker()
    job = make.make_job()
    assert the_receipt(client, job)["attempts"] == []
    assignment = make.assign(job)
    make.start(assignment)
    [attempt] = the_receipt(client, job)["attempts"]
    assert (attempt["answer"], attempt["verdict"]) == (None, None)
    make.submit_answer(assignment, make.right_answer(job))
    [attempt] = the_receipt(client, job)["attempts"]
    assert attempt["answer"]["sha256"] and attempt["verdict"] is None
    make.verify(assignment)
    [attempt] = the_receipt(client, job)["attempts"]
    assert attempt["verdict"]["seed"] == Verdict.objects.get().seed


def test_a_cancelled_jobs_receipt_shows_what_the_worker_kept(client: Client) -> None:
    make.make_client()
    make.make_worker()
    job = make.make_job(reward=40)
    make.start(make.assign(job))
    post(client, f"/job/{job.pk}/cancel")
    found = the_receipt(client, job)
    [attempt] = found["attempts"]
    assert [(each["code"], each["amount"]) for each in attempt["transfers"]] == [("capture", 4)]
    assert [(each["code"], each["amount"]) for each in found["transfers"]] == [("hold", 40), ("void", 36)]


def files_of(client: Client, wrong: Assignment, folder: Path) -> list[str]:
    """The arguments of a local recheck, over what a contributor can download."""
    (folder / "receipt.json").write_text(json.dumps(the_receipt(client, wrong.job)))
    download = client.get(f"/assignment/{wrong.pk}/answer")
    assert download.status_code == 200
    (folder / "answer.npz").write_bytes(b"".join(download))
    (folder / "matrix.npy").write_bytes(storage.path("matrices", wrong.job.dataset.matrix_sha256).read_bytes())
    names = (("receipt", "receipt.json"), ("answer", "answer.npz"), ("matrix", "matrix.npy"))
    return [part for name, file in names for part in (f"--{name}", str(folder / file))]


def recheck(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BARE, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


# A contributor's machine has no Django.
BARE = "import sys; sys.modules['django'] = None; from workers.recheck import main; sys.exit(main())"


def test_a_contributor_runs_the_check_again_and_finds_the_same(client: Client, tmp_path: Path) -> None:
    wrong = a_rejected_answer()
    arguments = files_of(client, wrong, tmp_path)
    done = recheck(arguments)
    assert done.returncode == 1, done.stderr
    assert "The verdicts agree." in done.stdout
    assert f"{wrong.verdict.measured:.6g}"[:6] in done.stdout
    make.make_worker("second")
    job = make.run_to_end(wrong.job)
    done = recheck(files_of(client, job.assignments.get(state="accepted"), tmp_path))
    assert (done.returncode, "The verdicts agree." in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("broken", ["answer.npz", "matrix.npy", "receipt.json"])
def test_files_that_do_not_belong_together_are_told_apart_from_a_rejection(
    client: Client, tmp_path: Path, broken: str
) -> None:
    arguments = files_of(client, a_rejected_answer(), tmp_path)
    content = (tmp_path / broken).read_bytes()
    (tmp_path / broken).write_bytes(content[:-3] + b"abc")
    done = recheck(arguments)
    assert done.returncode == 2 and done.stderr.strip() and "Traceback" not in done.stderr


def test_a_receipt_that_lies_about_the_seed_or_the_answer_shows(client: Client, tmp_path: Path) -> None:
    """A verdict that the data do not bear out is seen by whoever checks again."""
    wrong = a_rejected_answer()
    arguments = files_of(client, wrong, tmp_path)
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    receipt["attempts"][0]["verdict"]["outcome"] = "accepted"
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    done = recheck(arguments)
    assert (done.returncode, "The verdicts DIFFER." in done.stdout) == (1, True)


def test_the_trusted_side_checks_again_by_a_command(capsys: Any) -> None:
    wrong = a_rejected_answer()
    with pytest.raises(SystemExit) as ended:
        call_command("recheck", str(wrong.pk))
    assert ended.value.code == 1
    assert "now  rejected" in capsys.readouterr().out
    make.make_worker("second")
    job = make.run_to_end(wrong.job)
    call_command("recheck", str(job.assignments.get(state="accepted").pk))
    assert "now  accepted" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no verdict"):
        call_command("recheck", NOBODY)


def test_a_downloaded_answer_holds_the_workers_arrays(client: Client, tmp_path: Path) -> None:
    wrong = a_rejected_answer()
    (tmp_path / "answer.npz").write_bytes(b"".join(client.get(f"/assignment/{wrong.pk}/answer")))
    with np.load(tmp_path / "answer.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["gram"], make.wrong_answer(wrong.job)["gram"])


def test_an_operator_invites_a_worker_on_a_lent_stake(client: Client, django_user_model: Any) -> None:
    body = {"worker_id": "new_01", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "lend": 100}
    is_refused(post(client, "/worker/invite", body))  # the treasury is empty
    mint(amount=1000, reason="to lend", actor="olga")
    answer = post(client, "/worker/invite", body).json()
    assert (answer["success"], answer["worker_id"], answer["lent"]) == (True, "new_01", 100)
    make.enrol(answer["enrolment_key"])
    django_user_model.objects.create_user("nina")
    assert post(client, "/worker/invite", body | {"worker_id": "ninas", "user": "nina"}).status_code == 200
    is_refused(post(client, "/worker/invite", body | {"worker_id": "ninas_2", "user": "nina"}))
    is_refused(post(client, "/worker/invite", body | {"worker_id": "ottos", "user": "otto"}), 404)
    assert Worker.objects.filter(lent__gt=0).count() == 2


def test_outside_the_sandbox_everybody_sees_their_own_side(
    client: Client, settings: Any, django_user_model: Any
) -> None:
    wrong = a_rejected_answer()
    make.make_worker("second")
    job = make.run_to_end(wrong.job)
    users = {name: django_user_model.objects.create_user(name) for name in ("alice", "carl", "eve")}
    job.client.__class__.objects.update(user=users["alice"])
    wrong.worker.contributor.__class__.objects.filter(pk=wrong.worker.contributor_id).update(user=users["carl"])
    settings.SANDBOX = False
    browsers = {name: Client() for name in users}
    for name, user in users.items():
        browsers[name].force_login(user)
    assert len(the_receipt(browsers["alice"], job)["attempts"]) == 2
    carls = the_receipt(browsers["carl"], job)
    assert [attempt["worker"] for attempt in carls["attempts"]] == ["rtx4090"]
    assert carls["transfers"] == [] and "alice" not in json.dumps(carls)
    is_refused(browsers["eve"].get(f"/job/{job.pk}/receipt"), 404)
    assert b"".join(browsers["carl"].get(f"/assignment/{wrong.pk}/answer")).startswith(b"PK")
    for name in ("alice", "eve"):
        is_refused(browsers[name].get(f"/assignment/{wrong.pk}/answer"), 404)
        is_refused(browsers[name].get("/worker/rtx4090/verdicts"), 404)
        is_refused(browsers[name].get("/worker/rtx4090/reputation"), 404)
    assert browsers["carl"].get("/worker/rtx4090/verdicts").json()["count"] == 1
    register = {"worker_id": "n", "gpu_type": "RTX 4090", "compute_capacity": 1, "lend": 100}
    is_refused(post(browsers["carl"], "/worker/invite", register), 403)
    for path in [f"/job/{job.pk}/receipt", f"/assignment/{wrong.pk}/answer", "/worker/rtx4090/verdicts"]:
        assert Client().get(path).status_code in (401, 403)


def test_what_a_receipt_asks_of_the_database_does_not_grow_with_the_attempts(
    client: Client, django_assert_num_queries: Any
) -> None:
    job = a_rejected_answer().job
    with django_assert_num_queries(3):
        the_receipt(client, job)
    make.make_worker("second")
    assert answer_wrongly(job).worker.name == "second"
    with django_assert_num_queries(3):
        the_receipt(client, job)


def test_a_registered_client_reads_the_receipt_of_a_pending_job(client: Client) -> None:
    register_client(client)
    job_id = post(client, "/job/submit", {"client_address": "alice", "model_type": "linear_regression", "reward": 5})
    assert client.get(f"/job/{job_id.json()['job_id']}/receipt").json()["attempts"] == []
