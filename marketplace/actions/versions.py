"""Which versions of the worker this coordinator serves, and what it tells the others."""

from django.conf import settings

from marketplace.models import Worker
from workers.protocol import OLDEST_PROTOCOL, PROTOCOL_VERSION, is_served


def upgrade(protocol: int) -> str:
    """What a machine of another version should do, as one sentence; "" for one of ours."""
    if protocol == PROTOCOL_VERSION:
        return ""
    if protocol > PROTOCOL_VERSION:
        return (
            f"This worker speaks protocol {protocol} and the network {PROTOCOL_VERSION}: it gets no jobs until the "
            f"network is upgraded, or the worker brought back with `{settings.WORKER_UPGRADE_COMMAND}`."
        )
    now = "it works on, until the next version" if is_served(protocol) else "it gets no jobs until it is upgraded"
    return (
        f"This worker speaks protocol {protocol} and the network {PROTOCOL_VERSION}: {now}. Upgrade it with "
        f"`{settings.WORKER_UPGRADE_COMMAND}`, then start it again."
    )


def advice(worker: Worker) -> str:
    """The same for the machine of an enrolled worker."""
    machine = worker.machine
    return upgrade(machine.protocol) if machine.enrolled_at else ""


def refusal(protocol: int) -> str:
    """Why a machine of a version that is not served cannot enrol; "" for one that can."""
    if is_served(protocol):
        return ""
    served = f"protocols {OLDEST_PROTOCOL} and {PROTOCOL_VERSION}"
    return (
        f"This network speaks {served} and the machine protocol {protocol}; install the version of the worker that "
        f"the network runs: `{settings.WORKER_UPGRADE_COMMAND}`."
    )


def note(machine: Worker, named: str | None) -> None:
    """Keep the version that a machine's call names; a machine of protocol 1 names none."""
    if named is not None and named.isascii() and named.isdigit() and len(named) <= 4 and int(named) != machine.protocol:
        machine.protocol = int(named)
        Worker.objects.filter(pk=machine.pk).update(protocol=machine.protocol)
