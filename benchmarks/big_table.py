"""A client's table of gigabytes, big and messy, through the whole network: how much memory each process takes.

    python -m benchmarks.big_table [--gigabytes 3 | --rows N] [--small] [--models linear,…] [--folder /tmp] [--json]

The table is made as CSV and, the same rows, as Parquet. Each is sent in parts, over connections that are cut five times
in the middle of a part, and fitted by every model with a recipe: categories, and gaps filled or dropped. PostgreSQL,
Redis, web, coordinator, verifier, reader and GPU host are real processes on the loopback. Then the results are held
against an exact run in memory, by pandas, scikit-learn and LAPACK (`benchmarks.big_table_exact`), in a process that may
take as much as it likes. Ends with 1 where something does not hold.
"""

import hashlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from benchmarks import big_table_data, command_line
from benchmarks.big_table_data import FEATURES
from benchmarks.lines import Line
from benchmarks.memory import Watch
from computenet.sandbox.demo.network import Network
from computenet.sandbox.embedded_redis import free_port
from computenet.sandbox.home import Home
from computenet.sandbox.stack import APART, ROOT, Stack
from tests.postgres import Server

MOST_MIB = 500.0
CUTS = 5
SEED = 6
SMALL_GIGABYTES = 0.05
PATIENCE_SECONDS = 1800.0
BLOCK_BYTES = 1 << 20
BYTES = {"Content-Type": "application/octet-stream"}
TOLD = "linear_regression"  # whose client also downloads the table with what the model says of each row
# By model: parameters, target, recipe.
FITS: dict[str, tuple[dict[str, Any], str | None, dict[str, Any]]] = {
    "linear_regression": ({}, "price", {"missing": "mean"}),
    "ridge_regression": ({"alpha": 10.0}, "price", {"missing": "drop", "standardise": True}),
    "logistic_regression": ({}, "sold", {"missing": "mean", "standardise": True}),
    "kmeans_clustering": ({"k": 8}, None, {"missing": "drop"}),
    "pca_analysis": ({"n_components": 6}, None, {"missing": "mean", "standardise": True}),
}


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


@dataclass
class Stage:
    """One thing that was done, and the peaks in MiB of the processes meanwhile."""

    name: str
    seconds: float
    peaks: dict[str, dict[str, float]]


class Run:
    """The network with its one GPU host, and what was measured of it."""

    def __init__(self, folder: Path, server: Server, rows: int) -> None:
        os.environ["DATABASE_URL"] = server.url()
        self.folder, self.server, self.rows = folder, server, rows
        self.stack = Stack(Home(folder / "home"), free_port(), lambda process, line: None, workers=APART)
        self.network = Network(self.stack.address)
        self.session = requests.Session()
        self.session.trust_env = False
        self.stages: list[Stage] = []
        self.lines: list[Line] = []

    def start(self) -> None:
        prepared = self.stack.start(with_host_key=True)
        self.stack.wait_for(self.stack.start_host("gpu", prepared.host_key))
        self.network.register_worker("worker", "RTX 4090", 82.6, 10_000)
        self.network.register_client("owner", 100_000)

    def pids(self) -> dict[str, int]:
        return {child.name: child.process.pid for child in self.stack.processes.children} | {
            "postgresql": self.server.pid
        }

    def stage(self, name: str, act: Any, *given: Any) -> Any:
        say(name)
        began = time.monotonic()
        with Watch(self.pids) as watch:
            found = act(*given)
        peaks = {process: asdict(peak) for process, peak in watch.peaks.items()}
        self.stages.append(Stage(name, time.monotonic() - began, peaks))
        most = max(watch.peaks.items(), key=lambda item: item[1].resident)
        say(f"  {self.stages[-1].seconds:.0f} s, the largest process: {most[0]}, {most[1].resident:.0f} MiB")
        return found

    def call(self, method: str, path: str, **options: Any) -> Any:
        reply = self.session.request(method, self.stack.address + path, timeout=120, **options)
        if not reply.ok:
            raise RuntimeError(f"{method} {path} answered {reply.status_code}: {reply.text[:500]}")
        return reply.json()

    def send(self, file: Path) -> str:
        """Send a file in parts, cut again and again; answers the upload's path, all of it there."""
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        asked = {"filename": file.name, "size_bytes": file.stat().st_size, "sha256": digest}
        upload = self.call("POST", "/uploads", json=asked)
        path, sent = f"/uploads/{upload['upload_id']}", 0
        cut_at = [upload["parts"] * (2 * i + 1) // (2 * CUTS) for i in range(CUTS)]
        while upload["missing"]:
            for number in upload["missing"]:
                with file.open("rb") as opened:
                    opened.seek(number * upload["part_bytes"])
                    part = opened.read(upload["part_bytes"])
                sent += 1
                if cut_at and number >= cut_at[0]:
                    cut_at.pop(0)
                    self.cut(f"{path}/parts/{number}", part)
                    break
                self.call("PUT", f"{path}/parts/{number}", data=part, headers=BYTES)
            before, upload = upload, self.call("POST", "/uploads", json=asked)  # as a client that starts anew
            assert upload["upload_id"] == before["upload_id"]
        self.hold(f"{file.suffix[1:]}: parts sent beyond the cut ones", sent - upload["parts"], CUTS)
        return path

    def cut(self, path: str, part: bytes) -> None:
        """Send half of a part, and be gone."""
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.stack.address).port, timeout=60)
        connection.putrequest("PUT", path)
        connection.putheader("Content-Type", BYTES["Content-Type"])
        connection.putheader("Content-Length", str(len(part)))
        connection.endheaders(part[: len(part) // 2])
        connection.close()

    def read(self, path: str) -> str:
        """Have an upload read; answers the dataset's id."""
        upload = self.call("POST", f"{path}/finish", json={})
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while upload["state"] == "reading" and time.monotonic() < ends_at:
            time.sleep(0.5)
            upload = self.call("GET", path)
        if upload["state"] != "ready":
            raise RuntimeError(f"The upload is {upload['state']}: {upload['reason']}")
        return str(upload["dataset_id"])

    def fit(self, model: str, dataset: str) -> dict[str, Any]:
        """Submit a job and follow it to its end; answers its status."""
        params, target, recipe = FITS[model]
        asked = {"client_address": "owner", "model_type": model, "dataset": dataset, "params": params, "reward": 50}
        asked |= {"columns": FEATURES, "recipe": recipe} | ({"target": target} if target else {})
        job = self.network.submit(**asked)
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < ends_at:
            status = self.call("GET", f"/job/{job}/status")
            if status["status"] in ("verified", "failed", "cancelled"):
                return status | {"job_id": job}
            time.sleep(0.5)
        raise TimeoutError(f"{model} is {status['status']} after {PATIENCE_SECONDS:.0f} s.")

    def download(self, path: str, file: Path) -> None:
        with self.session.get(self.stack.address + path, stream=True, timeout=600) as reply:
            reply.raise_for_status()
            with file.open("wb") as into:
                for block in reply.iter_content(BLOCK_BYTES):
                    into.write(block)

    def table(self, job: str) -> int:
        """How many rows come back of one's own table with what the model says behind each."""
        ends = 0
        with self.session.get(f"{self.stack.address}/job/{job}/table", stream=True, timeout=600) as reply:
            reply.raise_for_status()
            for block in reply.iter_content(BLOCK_BYTES):
                ends += block.count(b"\n")
        return ends - 1

    def hold(self, name: str, measured: float, allowed: float, unit: str = "") -> None:
        self.lines.append(Line(name, float(measured), allowed, unit))

    def one(self, file: Path, models: Sequence[str]) -> list[dict[str, Any]]:
        """One format, from its first byte to all its results."""
        kind, answers = file.suffix[1:], []
        path = self.stage(f"{kind}: sending {file.stat().st_size / 1e6:,.0f} MB", self.send, file)
        dataset = self.stage(f"{kind}: reading", self.read, path)
        for model in models:
            status = self.stage(f"{kind}: {model}", self.fit, model, dataset)
            self.hold(f"{kind}: {model}, not verified", status["status"] != "verified", 0, status.get("error") or "")
            if status["status"] != "verified":
                continue
            job, archive = status["job_id"], self.folder / f"{kind}-{model}.npz"
            self.stage(f"{kind}: {model}, result", self.download, f"/job/{job}/result?format=npz", archive)
            if model == TOLD and kind == "csv":
                lacking = self.rows - self.stage(f"{kind}: {model}, own table", self.table, job)
                self.hold(f"{kind}: {model}, rows lacking in the own table", abs(lacking), 0)
            receipt = self.call("GET", f"/job/{job}/receipt")
            answers.append({
                "name": f"{kind}: {model}", "model": model, "archive": str(archive), "result": status["result"],
                "seed": receipt["seed"], "columns": FEATURES,
                **dict(zip(("params", "target", "recipe"), FITS[model], strict=True)),
            })  # fmt: skip
        return answers


def compare(folder: Path, files: Sequence[Path], answers: list[dict[str, Any]]) -> list[Line]:
    """The lines that the exact run says, a process of its own."""
    say("the exact run in memory")
    (folder / "answers.json").write_text(json.dumps(answers))
    command = [sys.executable, "-m", "benchmarks.big_table_exact", str(folder / "answers.json"), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [Line(**each) for each in json.loads(done.stdout)]


def measure(rows: int, models: Sequence[str], parent: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="computenet-bench-", dir=parent) as name:
        folder = Path(name)
        say(f"making {rows:,} rows")
        files = big_table_data.write(folder, rows, SEED)
        server = Server()
        try:
            run = Run(folder, server, rows)
            try:
                run.start()
                answers = [answer for file in files for answer in run.one(file, models)]
            finally:
                run.stack.stop()
        finally:
            server.stop()
        for process in sorted({process for stage in run.stages for process in stage.peaks}):
            most = max(stage.peaks[process]["resident"] for stage in run.stages if process in stage.peaks)
            run.hold(f"{process}: MiB resident at the most", most, MOST_MIB)
        sizes = {file.suffix[1:]: file.stat().st_size for file in files}
        lines = run.lines + compare(folder, files, answers)
    return {
        "rows": rows,
        "bytes": sizes,
        "holds": all(line.holds for line in lines),
        "lines": [asdict(line) | {"holds": line.holds} for line in lines],
        "stages": [asdict(stage) for stage in run.stages],
    }


def show(found: dict[str, Any]) -> None:
    sizes = ", ".join(f"{size / 1e6:,.0f} MB of {kind}" for kind, size in found["bytes"].items())
    print(f"{found['rows']:,} rows, {sizes}. Peaks in MiB, resident (of its own, that could not be taken from it):")
    processes = sorted({process for stage in found["stages"] for process in stage["peaks"]})
    print(f"  {'':34}{'s':>6}" + "".join(f"{process:>13}" for process in processes))
    for stage in found["stages"]:
        peaks = (stage["peaks"].get(process, {"resident": 0.0, "own": 0.0}) for process in processes)
        cells = "".join(f"{peak['resident']:>7.0f} ({peak['own']:.0f})".rjust(13) for peak in peaks)
        print(f"  {stage['name']:34}{stage['seconds']:6.0f}{cells}")
    for line in found["lines"]:
        print(f"  {Line(**{name: value for name, value in line.items() if name != 'holds'})}")


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--gigabytes", type=float, default=3.0, help="of CSV")
    parser.add_argument("--rows", type=int, help="instead of gigabytes")
    parser.add_argument("--small", action="store_true", help=f"{SMALL_GIGABYTES} GB")
    parser.add_argument("--models", default=",".join(FITS), help=f"some of {', '.join(FITS)}")
    parser.add_argument("--folder", help="where files of about eight times the CSV may lie; the system's if left out")
    arguments = parser.parse_args()
    models = arguments.models.split(",")
    if strange := set(models) - set(FITS):
        sys.exit(f"There is no model {sorted(strange)[0]!r}; the models are {', '.join(FITS)}.")
    size = 1e9 * (SMALL_GIGABYTES if arguments.small else arguments.gigabytes)
    rows = arguments.rows or round(size / big_table_data.bytes_a_row(SEED))
    found = measure(rows, models, arguments.folder)
    command_line.report(found, show, as_json=arguments.json)
    sys.exit(0 if found["holds"] else 1)


if __name__ == "__main__":
    main()
