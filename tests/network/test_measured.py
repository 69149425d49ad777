"""A real Celery worker is measured by the real network, and works on."""

import time
from pathlib import Path

import pytest

from tests.network.test_whole_network import celery_worker, ended, network, submit
from tests.sandbox.running import wait_until

pytestmark = pytest.mark.processes


def test_a_celery_worker_is_measured_soon_after_it_enrolled_and_its_false_claim_is_marked(tmp_path: Path) -> None:
    with network(tmp_path / "home") as sandbox, celery_worker(sandbox, "rtx", tmp_path / "rtx"):
        began = time.monotonic()

        def status(name: str) -> dict:
            return sandbox.call("GET", f"/worker/{name}/status")

        wait_until(lambda: status("rtx")["measured_rate"] is not None, 40)
        wait_until(lambda: status("local")["measured_rate"] is not None, 40)
        claimed, local = status("rtx"), status("local")
        print(f"measured within {time.monotonic() - began:.1f} s: {claimed['measured_rate']:.4f} TFLOPS")
        assert claimed["claim_doubted"], "a CPU shows no twentieth of an RTX 4090"
        assert 0 < claimed["measured_rate"] < 0.05 * 82.6
        assert local["claim_doubted"] == (local["measured_rate"] < 0.05 * local["compute_capacity"])
        quote = sandbox.call("POST", "/quote", {"client_address": "alice", "model_type": "linear_regression"})
        assert quote["measured_rates"]["rtx"] == pytest.approx(claimed["measured_rate"], abs=1e-4)
        assert ended(sandbox, submit(sandbox))["worker"] == "rtx"
