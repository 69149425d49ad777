"""A receipt that does not hold is found out, whatever in it is wrong."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from computenet_client import VerificationFailed, receipts

STATUS: dict[str, Any] = {
    "job_id": "499b087f-e6d0-486b-8ef6-9b5dcefaa060",
    "model_type": "linear_regression",
    "params": {},
    "status": "verified",
    "reward": 20.5,
    "dataset": "d" * 64,
}
RECEIPT: dict[str, Any] = {
    "job_id": STATUS["job_id"],
    "status": "verified",
    "model": "linear_regression",
    "params": {},
    "features": [1, 2],
    "target": 0,
    "matrix": {"sha256": "a" * 64, "size_bytes": 344, "rows": 9, "columns": 3},
    "reward": 20.5,
    "transfers": [{"code": "hold", "amount": 20.5, "source": "wallet", "destination": "escrow"}],
    "attempts": [
        {
            "assignment": "one",
            "worker": "w1",
            "answer": {"sha256": "b" * 64},
            "verdict": {"outcome": "rejected", "measured": 7.0, "tolerance": 1.0},
            "transfers": [{"code": "slash", "amount": 5, "source": "stake", "destination": "treasury"}],
        },
        {
            "assignment": "two",
            "worker": "w2",
            "answer": {"sha256": "c" * 64},
            "verdict": {"outcome": "accepted", "measured": 0.5, "tolerance": 1.0},
            "transfers": [
                {"code": "capture", "amount": 20.4, "source": "escrow", "destination": "wallet"},
                {"code": "fee", "amount": 0.1, "source": "escrow", "destination": "treasury"},
            ],
        },
    ],
}
HOLD, PAID = RECEIPT["transfers"], RECEIPT["attempts"][1]
VOID = {"code": "void", "amount": 20.5, "source": "escrow", "destination": "wallet"}


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    receipt = copy.deepcopy(RECEIPT)
    change(receipt)
    return receipt


def test_a_receipt_in_order_says_what_was_found_in_order() -> None:
    found = receipts.check(RECEIPT, STATUS)
    assert found[1] == "Of 20.5 tokens held, 20.5 were paid and 0 returned: it adds up."
    assert found[2] == "It was paid for one accepted answer, of w2."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r.update(job_id="another"), "The receipt's job_id"),
        (lambda r: r.update(params={"k": 3}), "The receipt's params"),
        (lambda r: r.update(reward=20), "The receipt's reward"),
        (lambda r: r.update(features=[1, 3]), "columns that the matrix has not"),
        (lambda r: r.update(features=[0, 1]), "columns that the matrix has not, or one twice"),
        (lambda r: r["transfers"][0].update(amount=20), "20 were held"),
        (lambda r: r["transfers"].append(r["transfers"][0]), "41 were held"),
        (lambda r: r["transfers"].append(VOID), "Of 20.5 tokens, 20.5 were paid and 20.5 returned"),
        (lambda r: r["attempts"][1]["transfers"][0].update(amount=20), "20.1 were paid"),
        (lambda r: r["attempts"][1]["transfers"].clear(), "0 were paid"),
        (lambda r: r["attempts"][1]["transfers"][0].update(amount=-20.4), "not whole"),
        (lambda r: r["attempts"][1]["verdict"].update(outcome="rejected"), "paid for one accepted answer"),
        (lambda r: r["attempts"][0]["verdict"].update(outcome="accepted"), "paid for one accepted answer"),
        (lambda r: r["attempts"][1]["verdict"].update(measured=1.5), "above the tolerance"),
        (lambda r: r["attempts"][1]["answer"].update(sha256=""), "which answer"),
        (lambda r: r.pop("attempts"), "not whole"),
    ],
)
def test_a_receipt_that_does_not_hold_is_found_out(change: Callable[[dict[str, Any]], Any], sentence: str) -> None:
    with pytest.raises(VerificationFailed, match=sentence):
        receipts.check(changed(change), STATUS)


def test_a_failed_job_got_all_of_its_reward_back_or_the_receipt_does_not_hold() -> None:
    failed = changed(lambda r: (r.update(status="failed", attempts=r["attempts"][:1]), r["transfers"].append(VOID)))
    assert receipts.check(failed, STATUS | {"status": "failed"})[1].endswith("20.5 returned: it adds up.")
    failed["transfers"].pop()
    with pytest.raises(VerificationFailed, match="0 were paid and 0 returned"):
        receipts.check(failed, STATUS | {"status": "failed"})


def test_other_data_than_the_jobs_are_found_out() -> None:
    assert len(receipts.check_data(RECEIPT, STATUS, "d" * 64, "a" * 64)) == 2
    with pytest.raises(VerificationFailed, match="on other data"):
        receipts.check_data(RECEIPT, STATUS, "e" * 64, None)
    with pytest.raises(VerificationFailed, match="matrix"):
        receipts.check_data(RECEIPT, STATUS, "d" * 64, "e" * 64)


def test_the_matrix_of_one_column_is_that_of_a_table_with_one_column() -> None:
    X = np.arange(5.0)
    assert receipts.matrix_sha256(X, None) == receipts.matrix_sha256(X[:, None], None)
    assert receipts.matrix_sha256(X[:, None], X) != receipts.matrix_sha256(X[:, None], None)
