"""Getting a dataset's matrix to a worker, beside `curl` of the same address.

    python -m benchmarks.fetch [--megabytes 200] [--json]

The worker's own cache fetches it from a real web process on the loopback, hashes it as it comes, checks its header and
maps it; `curl` writes it to a file. They take turns, and the least of each counts. Then the worker opens it once more.
"""

import io
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command_line
from computenet.sandbox.demo.network import Network
from computenet.sandbox.embedded_redis import free_port
from computenet.sandbox.home import Home
from computenet.sandbox.stack import Stack
from workers.client import Client
from workers.datasets import Cache
from workers.protocol import PROTOCOL_VERSION, Matrix

COLUMNS, TURNS = 100, 3
HOST = {
    "protocol": PROTOCOL_VERSION,
    "catalog": {"pca_analysis": 1},
    "device": {"gpu_type": "A100", "name": "A100", "memory_bytes": 2**36, "backend": "numpy", "simulated": True},
    "slots": 1,
    "hostname": "bench",
}


def started(network: Network, content: bytes) -> tuple[str, Matrix]:
    """A worker that has begun a job on these data: its authorization, and the matrix as it is told of it."""
    key = network.register_worker("bench", "A100", 19.5, 1000)["enrolment_key"]
    reply = network._call("POST", "/worker/enrol", json=HOST | {"enrolment_key": key, "transport": "https"})
    authorization = f"Worker {reply['worker']}.{reply['secret']}"
    headers = {"Authorization": authorization}
    beat = {"assignments": [], "load": None, "memory_free_bytes": None, "temperature_celsius": None}
    network.register_client("client", 1_000)
    dataset = network.upload("bench.npy", content)["dataset_id"]
    network.submit(client_address="client", model_type="pca_analysis", reward=5, dataset=dataset)
    while not (take := network._call("POST", "/worker/heartbeat", json=beat, headers=headers).get("take")):
        time.sleep(0.1)
    return authorization, network._call("POST", f"/assignment/{take[0]}/start", json={}, headers=headers)["matrix"]


def seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(megabytes: int) -> dict[str, Any]:
    rows = megabytes * 1_000_000 // (8 * COLUMNS)
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).normal(size=(rows, COLUMNS)))
    with tempfile.TemporaryDirectory(prefix="computenet-fetch-") as name:
        folder = Path(name)
        os.environ["POLICY_LEASE_SECONDS"] = "600"
        stack = Stack(Home(folder / "home"), free_port(), lambda process, line: None)
        try:
            stack.start(with_host_key=False)
            authorization, matrix = started(Network(stack.address), file.getvalue())
            client = Client(stack.address, authorization=authorization)
            url = f"{stack.address}/dataset/{matrix['sha256']}"
            command = ["curl", "-sf", "-H", f"Authorization: {authorization}", "-o", str(folder / "curled"), url]
            curl, ours, again = [], [], []
            nobody = Client("http://127.0.0.1:1")  # a second job on the same data asks nobody
            for turn in range(TURNS):
                curl.append(seconds(lambda: subprocess.run(command, check=True)))
                kept = folder / f"cache{turn}"
                kept.mkdir()
                cache = Cache(kept, 10**11)
                ours.append(seconds(lambda cache=cache: cache.open(matrix, client, lambda done: None)))
                again.append(seconds(lambda cache=cache: cache.open(matrix, nobody, lambda done: None)))
        finally:
            stack.stop()
    size = matrix["size_bytes"]
    return {
        "size_bytes": size,
        "megabytes_a_second": size / 1e6 / min(ours),
        "curl_megabytes_a_second": size / 1e6 / min(curl),
        "of_curl": min(curl) / min(ours),
        "again_seconds": min(again),
    }


def show(found: dict[str, Any]) -> None:
    print(f"{found['size_bytes'] / 1e6:.0f} MB to a worker: {found['megabytes_a_second']:.0f} MB/s, ", end="")
    print(f"{found['of_curl']:.2f} of curl's {found['curl_megabytes_a_second']:.0f} (goal 0.8); ", end="")
    print(f"once more: {1000 * found['again_seconds']:.1f} ms, without a request")


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    command_line.report(measure(arguments.megabytes), show, as_json=arguments.json)


if __name__ == "__main__":
    main()
