"""One client of `benchmarks.ledger`: ``python -m benchmarks.ledger_client prepare``, or ``… BEGINS_AT SECONDS``."""

import random
import sys
import time

import django
from django.core.management import call_command

django.setup()

from marketplace import notifications  # noqa: E402  Django must be set up before anything that has rows
from marketplace.actions import tokens  # noqa: E402
from marketplace.models import Account  # noqa: E402
from tests import factories as make  # noqa: E402

WALLETS = 100


def prepare() -> None:
    call_command("migrate", verbosity=0)
    for i in range(WALLETS):
        make.make_client(f"wallet{i}", balance=1_000_000)


def transfers(begins_at: float, seconds: float) -> int:
    """How many it made, one after the other, between two wallets at random."""
    notifications.changed = lambda *topics: None
    wallets = list(Account.objects.filter(kind="wallet", name__startswith="wallet"))
    time.sleep(max(begins_at - time.time(), 0))
    count = 0
    while time.time() < begins_at + seconds:
        source, to = random.sample(wallets, 2)
        tokens.transfer(source=source, to=to.name, amount=0.000001)
        count += 1
    return count


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare()
    else:
        print(transfers(float(sys.argv[1]), float(sys.argv[2])))
