"""The bank test: many clients, few hot accounts, and a database that crashes under them again and again."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from django.db import connections

from marketplace.actions.clients import register_client
from marketplace.models import Account, Transfer
from tests.chaos import invariants
from tests.chaos.bank_clients import ACCOUNTS, MOST, RECORD, name_of
from tests.chaos.findings import Findings
from tests.chaos.network import RESUME_SECONDS, Network
from tests.chaos.scale import Scale
from tests.postgres import Server
from tests.sandbox.running import ROOT

KIND = "bank: PostgreSQL crashed (immediate)"
PROCESSES, THREADS = 4, 8
PATIENCE_SECONDS = 900.0


def run(findings: Findings, scale: Scale, network: Network) -> None:
    """`scale.transfers` transfers by 32 threads through `scale.crashes` crashes, and the clients' books at the end."""
    row = findings[KIND]
    wallets = {}
    for number in range(ACCOUNTS):
        register_client(address=name_of(number), initial_balance=5 * MOST / 1e6, user=None)
        wallets[number] = Account.objects.get(kind="wallet", name=name_of(number)).pk
    books = network.folder / "books"
    books.mkdir()
    each = -(-scale.transfers // (PROCESSES * THREADS))
    total = each * PROCESSES * THREADS
    processes = [_start(findings.seed, number, each, books) for number in range(PROCESSES)]
    try:
        _crash_under_them(findings, scale, network.database, books, total, processes)
        for process in processes:
            said = process.communicate(timeout=PATIENCE_SECONDS)[0].decode()
            if process.returncode:
                findings.blame(KIND, [f"A client gave up: {said.strip()[-500:]}"])
    finally:
        for process in processes:
            process.kill()
            process.wait()
    findings.blame(KIND, _compare(books, total, wallets) + invariants.whole())
    made = Transfer.objects.filter(code="transfer", source__in=wallets.values()).count()
    row.note = f"{total:,} transfers by {PROCESSES * THREADS} threads, {made:,} made, the others refused"


def _start(seed: int, number: int, each: int, books: Path) -> subprocess.Popen[bytes]:
    arguments = [str(value) for value in (seed, number, THREADS, each, books)]
    command = [sys.executable, "-m", "tests.chaos.bank_clients", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _answered(books: Path) -> int:
    return sum(file.stat().st_size for file in books.iterdir()) // RECORD.size


def _crash_under_them(
    findings: Findings, scale: Scale, server: Server, books: Path, total: int, processes: list
) -> None:
    row = findings[KIND]
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while row.count < scale.crashes and any(process.poll() is None for process in processes):
        if time.monotonic() > ends_at:
            findings.blame(KIND, ["The transfers took too long."])
            return
        if _answered(books) < total * (row.count + 1) / (scale.crashes + 1):
            time.sleep(0.02)
            continue
        began_at, before = time.monotonic(), _answered(books)
        server.end(signal.SIGQUIT)
        server.start()
        connections.close_all()
        row.count += 1
        while _answered(books) <= before and any(process.poll() is None for process in processes):
            time.sleep(0.01)
        row.resumes.append(time.monotonic() - began_at)
        if row.resumes[-1] > RESUME_SECONDS:
            findings.blame(KIND, [f"No transfer for {row.resumes[-1]:.1f} s after a crash."])
        findings.blame(KIND, invariants.books())
        findings.say(f"bank: {_answered(books):,} of {total:,} transfers, crash {row.count} of {scale.crashes}")
    if row.count < scale.crashes:
        findings.blame(KIND, [f"Only {row.count} of {scale.crashes} crashes came before the end."])


def _compare(books: Path, total: int, wallets: dict[int, int]) -> list[str]:
    """Hold the clients' own books against the ledger: each acknowledged transfer once, each balance exactly."""
    balances = Counter(dict.fromkeys(wallets.values(), 5 * MOST))
    acknowledged: dict[int, tuple[int, int, int]] = {}
    answers = doubled = 0
    for file in books.iterdir():
        for source, destination, amount, transfer in RECORD.iter_unpack(file.read_bytes()):
            answers += 1
            if transfer:
                doubled += transfer in acknowledged
                acknowledged[transfer] = (wallets[source], wallets[destination], amount)
                balances[wallets[source]] -= amount
                balances[wallets[destination]] += amount
    rows = Transfer.objects.filter(code="transfer", source__in=wallets.values())
    rows = rows.values_list("pk", "source", "destination", "amount")
    kept = {pk: (source, destination, amount) for pk, source, destination, amount in rows}
    problems = [] if answers == total else [f"{total - answers} transfers were never answered."]
    if doubled:
        problems.append(f"{doubled} keys were answered with another key's transfer.")
    if lost := acknowledged.keys() - kept.keys():
        problems.append(f"{len(lost)} acknowledged transfers are lost.")
    if more := kept.keys() - acknowledged.keys():
        problems.append(f"{len(more)} transfers were made that nobody was told of.")
    if any(kept[pk] != acknowledged[pk] for pk in kept.keys() & acknowledged.keys()):
        problems.append("A transfer is not what was asked for.")
    if dict(Account.objects.filter(pk__in=wallets.values()).values_list("pk", "balance")) != dict(balances):
        problems.append("The balances are not what the clients' own books make them.")
    return problems
