"""What the demo does, in order, and what has to hold for it to end well."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from computenet.sandbox.demo.jobs import DemoJob, Diabetes, Digits, Iris
from computenet.sandbox.demo.network import CallFailed, Network
from computenet.sandbox.demo.screen import Screen
from computenet.sandbox.embedded_redis import free_port
from computenet.sandbox.errors import SandboxError
from computenet.sandbox.home import Home
from computenet.sandbox.launcher import chosen_port, ending_tidily
from computenet.sandbox.stack import Stack

Answer = dict[str, Any]  # a job's status as the API tells it

JOB_SECONDS = 30.0
POLL_SECONDS = 0.02
ENDED = ("verified", "failed", "cancelled")
NEWCOMER_BALANCE = 100.0  # what the sandbox gives a new worker beside its stake


@dataclass(frozen=True)
class DemoWorker:
    worker_id: str
    gpu_type: str
    compute_capacity: float  # TFLOPS
    stake: float  # tokens


WORKERS = (
    DemoWorker("worker_rtx4090_01", "RTX 4090", 82.6, 150),
    DemoWorker("worker_rtx3090_01", "RTX 3090", 35.6, 120),
    DemoWorker("worker_a100_01", "A100", 19.5, 200),
)
CLIENTS = {"alice": 1000.0, "bob": 800.0, "carol": 500.0}


def run() -> int:
    """Run the demo; answers the exit status, 0 only if all of it held."""
    return ending_tidily(lambda: _run(os.environ))


def _run(environment: Mapping[str, str]) -> int:
    keep = environment.get("KEEP", "") not in ("", "0")
    screen = Screen()
    folder = Path(tempfile.mkdtemp(prefix="computenet-demo-"))
    home = Home(folder)
    held = False
    # A demo has a network of its own, whatever the environment says about another one.
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
        os.environ.pop(name, None)
    try:
        stack = Stack(home, chosen_port(environment, default=free_port()), screen.warning)
        try:
            held = _story(stack, screen)
            if keep:
                screen.left_running(stack.address, folder)
                while True:
                    stack.check()
                    time.sleep(0.3)
        except CallFailed as error:
            screen.failed([str(error)])
        finally:
            stack.stop()
    finally:
        home.release()
        if held and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        elif not keep:
            screen.note(f"Logs and database are kept in {folder}.")
    return 0 if held else 1


def _story(stack: Stack, screen: Screen) -> bool:
    """Everything from the start of the network to the audit; answers whether all of it held."""
    screen.opening()
    with screen.step("Starting Redis, the database, web, coordinator and beat"):
        stack.start(with_host_key=False)
    screen.note(f"Pages and API: {stack.address}/")
    network = Network(stack.address)

    screen.chapter("Three contributors register their workers and start a Celery worker each")
    with screen.step("Starting celery -A workers worker, three times"):
        started = []
        for worker in WORKERS:
            reply = network.register_worker(worker.worker_id, worker.gpu_type, worker.compute_capacity, worker.stake)
            started.append(stack.start_host(worker.worker_id, reply["enrolment_key"], gpu_type=worker.gpu_type))
        for process in started:
            stack.wait_for(process)
    screen.workers([(w.worker_id, w.gpu_type, w.compute_capacity, w.stake) for w in WORKERS])

    screen.chapter("Three clients bring data and submit a job each")
    jobs: list[DemoJob] = [Diabetes(), Iris(), Digits()]
    network.coordination("stop")  # so that the queue can be seen before it moves
    for client, balance in CLIENTS.items():
        network.register_client(client, balance)
    ids = {}
    for job in jobs:
        dataset = network.upload(job.file_name, job.content())
        ids[_submit(network, job, dataset["dataset_id"])] = job
        screen.submitted(job, dataset)

    screen.chapter("Coordination starts, and each job finds a worker")
    answers = _watch(stack, network, screen, ids)

    screen.chapter("The answers, beside scikit-learn's")
    broken = []
    for job_id, job in ids.items():
        answer = answers[job_id]
        if answer["status"] != "verified":
            broken.append(
                f"{job.client}'s job ended as {answer['status']}: {answer.get('reason') or 'no reason given'}."
            )
            continue
        lines = job.compare(answer["result"])
        screen.answer(job, answer, lines)
        broken += [f"{job.client}'s answer: {line.what} does not match scikit-learn." for line in lines if not line.ok]
    broken += _money(stack, network, screen, list(ids.values()), list(answers.values()))
    if broken:
        screen.failed(broken)
    else:
        screen.held()
    return not broken


def _submit(network: Network, job: DemoJob, dataset_id: str) -> str:
    return network.submit(
        client_address=job.client,
        model_type=job.model_type,
        reward=job.reward,
        dataset=dataset_id,
        **job.request(),
    )


def _watch(stack: Stack, network: Network, screen: Screen, ids: Mapping[str, DemoJob]) -> dict[str, Answer]:
    """Start coordination, follow every job to its end, and answer the last status of each.

    Raises:
        SandboxError: a job did not end in time.
    """
    answers = {job_id: network.job(job_id) for job_id in ids}
    with screen.following(ids) as follow:
        network.coordination("start")  # a worker that is busy now gets its job when it is free, without a trigger
        deadline = time.monotonic() + JOB_SECONDS
        while open_jobs := [job_id for job_id, answer in answers.items() if answer["status"] not in ENDED]:
            for job_id in open_jobs:
                answers[job_id] = network.job(job_id)
                follow(job_id, answers[job_id])
            stack.check()
            if time.monotonic() > deadline:
                raise SandboxError(f"{len(open_jobs)} jobs had not ended after {JOB_SECONDS:.0f} s.")
            time.sleep(POLL_SECONDS)
    return answers


def _money(
    stack: Stack,
    network: Network,
    screen: Screen,
    jobs: list[DemoJob],
    answers: list[Answer],
) -> list[str]:
    """Show who has what now, and answer what is not as it should be."""
    screen.chapter("The money")
    spent = {job.client: job.reward for job in jobs}
    earned = dict.fromkeys((worker.worker_id for worker in WORKERS), 0.0)
    for answer in answers:
        if answer["status"] == "verified":
            earned[answer["worker"]] += answer["reward"]
    rows = [(client, "client", had, had - spent[client], network.balance(client)) for client, had in CLIENTS.items()]
    rows += [
        (worker, "worker", NEWCOMER_BALANCE, NEWCOMER_BALANCE + amount, network.worker(worker)["balance"])
        for worker, amount in earned.items()
    ]
    screen.balances(rows)
    broken = [f"{who} has {has:g} tokens and should have {due:g}." for who, _, _, due, has in rows if has != due]
    escrow = network.stats()["contract_state"]["contract_balance"]
    if escrow != 0:
        broken.append(f"{escrow:g} tokens are still in escrow, and every job has ended.")
    for worker in WORKERS:
        if (stake := network.worker(worker.worker_id)["stake"]) != worker.stake:
            broken.append(f"{worker.worker_id} has {stake:g} tokens at stake and should have {worker.stake:g}.")
    with screen.step("Replaying the whole ledger (manage.py audit_ledger)"):
        audit = stack.manage("audit_ledger")
    lines = audit.stdout.strip().splitlines() or [audit.stderr.strip()[-500:] or "(no output)"]
    screen.audit(lines[-1])
    if audit.returncode != 0:
        broken.append(f"The audit found something wrong: {lines[-1]}")
    return broken
