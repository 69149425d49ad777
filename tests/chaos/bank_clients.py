"""One process of the bank test's clients: threads that move tokens with the network's own actions, and insist.

    python -m tests.chaos.bank_clients SEED PROCESS THREADS TRANSFERS FOLDER

Every transfer has an idempotency key and is tried with it until the database answers, through however many crashes.
What was answered goes into a file per thread, one `RECORD` each, after the answer: the clients' own books.
"""

import random
import struct
import sys
import threading
import time
from pathlib import Path

import django

django.setup()

from django.db import Error, IntegrityError, connections, transaction  # noqa: E402  Django must be set up first

from marketplace.actions import tokens  # noqa: E402
from marketplace.actions.ledger import Posting, post  # noqa: E402
from marketplace.actions.once import canonical, once  # noqa: E402
from marketplace.domain.errors import Conflict, Refused  # noqa: E402
from marketplace.domain.ledger import Code  # noqa: E402
from marketplace.models import Account, Transfer  # noqa: E402

RECORD = struct.Struct("<HHIQ")  # source, destination, amount in micro-tokens, transfer (0 where it was refused)
ACCOUNTS = 16
MOST = 20_000_000  # micro-tokens of one transfer; an account begins with five times as much, so that many run dry
PATIENCE_SECONDS = 120.0
HTTP_EVERY = 10  # of the transfers, one goes the way of a request with an Idempotency-Key, the others the ledger's own


def name_of(account: int) -> str:
    return f"bank-{account}"


class Client(threading.Thread):
    def __init__(self, seed: int, thread: int, transfers: int, folder: Path) -> None:
        super().__init__()
        self.seed, self.number, self.transfers = seed, thread, transfers
        self.rng = random.Random(f"{seed}-{thread}")
        self.file = (folder / f"{thread}.books").open("ab", buffering=0)
        self.wallets: dict[int, Account] = {}
        self.problem = ""

    def run(self) -> None:
        try:
            for number in range(self.transfers):
                source, destination = self.rng.sample(range(ACCOUNTS), 2)
                amount = self.rng.randint(1, MOST)
                done = self.insist(number, source, destination, amount)
                if self.rng.random() < 0.02:  # a client that did not hear the answer asks again
                    assert not done or self.insist(number, source, destination, amount) == done
                self.file.write(RECORD.pack(source, destination, amount, done))
        except Exception as problem:
            self.problem = f"thread {self.number}: {problem!r}"
        finally:
            connections.close_all()

    def insist(self, number: int, source: int, destination: int, amount: int) -> int:
        """The transfer that was made; 0 where there was too little."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        key = f"{self.seed}-{self.number}-{number}"
        move = self.over_http if number % HTTP_EVERY == 0 else self.inside
        while True:
            try:
                return move(key, self.wallet(source), self.wallet(destination), amount)
            except Refused:
                return 0
            except IntegrityError:
                raise
            except (Error, Conflict):
                if time.monotonic() > ends_at:
                    raise
                connections.close_all()
                time.sleep(self.rng.uniform(0.05, 0.2))

    def wallet(self, number: int) -> Account:
        if number not in self.wallets:
            self.wallets[number] = Account.objects.get(kind="wallet", name=name_of(number))
        return self.wallets[number]

    def inside(self, key: str, source: Account, destination: Account, amount: int) -> int:
        """As the network pays: the transfer's own key, which the database has once."""
        try:
            with transaction.atomic():
                return post([Posting(source, destination, amount, Code.TRANSFER, f"bank:{key}")])[0].pk
        except (IntegrityError, Refused):  # made before, perhaps, and the answer lost in a crash
            known = Transfer.objects.filter(idempotency_key=f"bank:{key}").first()
            if known is None:
                raise
            return known.pk

    def over_http(self, key: str, source: Account, destination: Account, amount: int) -> int:
        """As a view does for a request with an Idempotency-Key: the answer commits with the effect."""

        def act() -> bytes:
            return str(tokens.transfer(source=source, to=destination.name, amount=amount / 1e6).pk).encode()

        request = canonical(source.name, destination.name, amount)
        return int(once(user=None, key=key, request=request, act=act)[0])


def main() -> int:
    seed, process, threads, transfers = map(int, sys.argv[1:5])
    clients = [Client(seed, process * threads + i, transfers, Path(sys.argv[5])) for i in range(threads)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    problems = [client.problem for client in clients if client.problem]
    print("\n".join(problems), flush=True)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
