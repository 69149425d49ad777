"""Workers: registering them, enrolling their machines, hearing from them, suspending them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from marketplace import broker, dispatch, notifications
from marketplace.actions import challenges, versions
from marketplace.actions.digests import digest
from marketplace.actions.events import record
from marketplace.actions.keys import spend
from marketplace.actions.ledger import Posting, issuance, open_account, post, treasury
from marketplace.actions.names import check_name
from marketplace.domain import reputation
from marketplace.domain.errors import Conflict, Forbidden, Refused
from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.money import MICRO, in_words, to_micro
from marketplace.models import Account, ApiKey, Contributor, EnrolmentKey, Worker, database_now
from workers.catalog.gpus import KNOWN_GPUS
from workers.protocol import Transport, gpu_tag, queue_name

MAX_CAPACITY = 1e6  # TFLOPS
STANDBY_NAME = "local"


@dataclass(frozen=True)
class Registered:
    worker: Worker
    enrolment_key: str


def register_worker(
    *,
    name: str,
    gpu_type: str,
    compute_capacity: float,
    stake_amount: object,
    user: Any,
    api_key: ApiKey | None = None,
    standby: bool = False,
) -> Registered:
    """A new worker with its stake at risk, and the key that enrols its machine once.

    In the sandbox the stake and a little more are minted for it, and until it is enrolled the sandbox's own machine
    computes for it. Elsewhere the stake comes out of the contributor's wallet; what an operator's lacks is minted.

    Raises:
        Refused: a name, GPU, capacity or stake that cannot be one; a name that is taken; too little in the wallet;
            a contributor whose reputation is too low.
    """
    stake = to_micro(stake_amount, name="stake_amount", minimum=settings.POLICY.micro("minimum_stake"))
    try:
        with transaction.atomic():
            worker = _create(name, gpu_type, compute_capacity, user, standby=standby)
            spend(api_key, stake)
            _stake(worker, worker.contributor.wallet, stake, user)
            key = _new_enrolment_key(worker)
            record("worker.registered", actor=name, worker=worker, reason=f"with a stake of {in_words(stake)}")
            _wake()
    except IntegrityError:
        raise Refused(f"The name {name} is taken.") from None
    return Registered(worker, key)


def invite_worker(
    *, name: str, gpu_type: str, compute_capacity: float, lend: object, contributor_user: Any, actor: str
) -> Registered:
    """A new worker whose first stake the treasury lends: an operator's word for a newcomer without tokens.

    The loan is paid back out of a share of what the worker earns, and out of the stake when it is taken out.

    Raises:
        Refused: as `register_worker`; a contributor that owes a loan already; a treasury that holds too little.
    """
    lent = to_micro(lend, name="lend", minimum=settings.POLICY.micro("minimum_stake"))
    try:
        with transaction.atomic():
            worker = _create(name, gpu_type, compute_capacity, contributor_user)
            # Two invitations at once: the second waits here, and then sees the loan of the first.
            contributor = Contributor.objects.select_for_update(no_key=True).get(pk=worker.contributor_id)
            if Worker.objects.filter(contributor=contributor, lent__gt=0).exists():
                raise Refused(f"{contributor.name} has a loan to pay back first.")
            post([Posting(treasury(), worker.stake, lent, Code.LEND, f"worker:{worker.pk}:lend")])
            Worker.objects.filter(pk=worker.pk).update(lent=lent)
            worker.refresh_from_db()
            key = _new_enrolment_key(worker)
            record("worker.invited", actor=actor, worker=worker, reason=f"on a loan of {in_words(lent)}")
            _wake()
    except IntegrityError:
        raise Refused(f"The name {name} is taken.") from None
    return Registered(worker, key)


def _create(name: str, gpu_type: str, compute_capacity: float, user: Any, *, standby: bool = False) -> Worker:
    """The rows of a worker that has nothing at stake yet.

    Raises:
        Refused: a name, GPU or capacity that cannot be one; a contributor whose reputation is too low.
        IntegrityError: a name that is taken.
    """
    check_name(name, what="worker_id")
    if not isinstance(gpu_type, str) or not 1 <= len(gpu_type) <= 64 or not gpu_type.isprintable():
        raise Refused("gpu_type must be 1 to 64 printable characters.")
    if not 0 < compute_capacity <= MAX_CAPACITY:
        raise Refused(f"compute_capacity must be more than 0 and at most {MAX_CAPACITY:,.0f} TFLOPS.")
    contributor = _contributor(name, user)
    if contributor.suspended_at:
        raise Refused(f"{contributor.name} is suspended; ask an operator.")
    if not reputation.is_trusted(contributor.reputation, settings.POLICY):
        raise Refused(
            f"The reputation of {contributor.name} is {contributor.reputation:g} and a worker needs "
            f"{settings.POLICY.reputation_minimum:g}; contest the rejections that were wrong."
        )
    return Worker.objects.create(
        name=name,
        contributor=contributor,
        stake=open_account(AccountKind.STAKE, name),
        host=None if standby else _stand_in_host(),
        standby=standby,
        compute_capacity=compute_capacity,
        **_gpu(gpu_type),
    )


def _contributor(name: str, user: Any) -> Contributor:
    if user is not None:
        found = Contributor.objects.select_related("wallet").filter(user=user).first()
        if found:
            return found
        name = user.get_username()
    start = settings.POLICY.reputation_start
    wallet = open_account(AccountKind.WALLET, name)
    return Contributor.objects.create(name=name, user=user, wallet=wallet, reputation=start)


def _stand_in_host() -> Worker | None:
    return Worker.objects.filter(standby=True).first() if settings.SANDBOX else None


def _gpu(gpu_type: str, memory_bytes: int = 0) -> dict[str, Any]:
    """The columns that a GPU's type fills. Tags are slugs of our own list, never of what somebody typed."""
    known = KNOWN_GPUS.get(gpu_type)
    tag = gpu_tag(gpu_type) if known or gpu_type.upper() == "CPU" else "other"
    return {
        "gpu_type": gpu_type,
        "gpu_tag": tag,
        "memory_bytes": memory_bytes or (known.memory_bytes if known else settings.POLICY.worker_memory_bytes),
    }


def _stake(worker: Worker, wallet: Account, stake: int, user: Any) -> None:
    postings = []
    if settings.SANDBOX:
        grant = stake
        pocket = round(settings.POLICY.sandbox_worker_grant * MICRO)
        postings.append(Posting(issuance(), wallet, pocket, Code.MINT, f"worker:{worker.pk}:mint:pocket"))
    else:  # an operator's own wallet need not hold it: they may mint
        grant = max(0, stake - wallet.balance) if user and user.is_staff else 0
    if grant:
        postings.append(Posting(issuance(), wallet, grant, Code.MINT, f"worker:{worker.pk}:mint"))
        if not settings.SANDBOX:
            said = f"{in_words(grant)} to {wallet.name}, for the stake of {worker.name}"
            record("ledger.minted", actor=user.get_username(), worker=worker, reason=said)
    postings.append(Posting(wallet, worker.stake, stake, Code.STAKE, f"worker:{worker.pk}:stake:1"))
    post(postings)
    wallet.refresh_from_db()
    worker.stake.refresh_from_db()


def _new_enrolment_key(worker: Worker) -> str:
    key = secrets.token_urlsafe(32)
    expires_at = database_now() + timedelta(seconds=settings.POLICY.enrolment_key_seconds)
    EnrolmentKey.objects.create(sha256=digest(key), worker=worker, expires_at=expires_at)
    return key


def new_enrolment_key(*, worker: Worker, actor: str) -> str:
    """Another key for a machine that lost its credentials, or a new machine for this worker."""
    with transaction.atomic():
        record("worker.key_made", actor=actor, worker=worker)
        return _new_enrolment_key(worker)


def standby_key() -> str:
    """A fresh enrolment key for the sandbox's own machine, which is registered first where it is not yet."""
    worker = Worker.objects.filter(standby=True).first()
    if worker:
        return new_enrolment_key(worker=worker, actor="sandbox")
    stake = settings.POLICY.minimum_stake
    return register_worker(
        name=STANDBY_NAME, gpu_type="CPU", compute_capacity=0.1, stake_amount=stake, user=None, standby=True
    ).enrolment_key


def enrol(*, request: Mapping[str, Any], machine: Worker | None = None) -> dict[str, Any]:
    """Give a machine that shows an unused enrolment key its secrets and its queue.

    A `machine` that is enrolled already says what it is now and learns where its queue is now; it shows no key, keeps
    its secret, and the reply's `secret` is "".

    Raises:
        Forbidden: the key is unknown, used or expired.
        Conflict: the machine speaks another protocol.
    """
    if refusal := versions.refusal(request["protocol"]):
        raise Conflict(refusal)
    secret = "" if machine else secrets.token_urlsafe(32)
    broker_secret = secrets.token_urlsafe(32)
    transport = _transport(request)
    with transaction.atomic():
        now = database_now()
        worker_id = machine.pk if machine else _spend(request["enrolment_key"], now)
        worker = Worker.objects.select_for_update(no_key=True).get(pk=worker_id)
        _take_device(worker, request["device"])
        worker.host = None
        worker.device, worker.catalog = request["device"], request["catalog"]
        worker.protocol, worker.slots = request["protocol"], request["slots"]
        worker.broker_secret_sha256 = digest(broker_secret)
        queue = queue_name(worker.gpu_tag, str(worker.pk))
        worker.queue = queue if transport == "redis" else ""
        worker.last_heartbeat_at = now
        if secret:
            worker.secret_sha256, worker.enrolled_at = digest(secret), now
            record("worker.enrolled", actor=worker.name, worker=worker, reason=f"on {request['device']['name']}")
        worker.save()
        challenges.issue(worker)
        if worker.standby:
            Worker.objects.filter(enrolled_at=None).update(host=worker)
        _wake()
    if worker.is_active:
        broker.admit([worker])
    return {
        "worker": str(worker.pk),
        "worker_id": worker.name,
        "secret": secret,
        "queue": queue,
        "broker_url": broker.url_for(worker, broker_secret) if transport == "redis" else "",
        "heartbeat_seconds": settings.POLICY.heartbeat_seconds,
        "transport": transport,
    }


def _transport(request: Mapping[str, Any]) -> Transport:
    """How this machine hears of its assignments: over HTTPS where it asks for that, or Redis cannot be it."""
    if request.get("transport") == "https" or not settings.PUBLIC_BROKER_URL:
        return "https"
    return "redis" if broker.makes_users() else "https"


def _spend(key: str, now: datetime) -> Any:
    """The worker that an enrolment key opens; of two machines that show one key, one gets in."""
    usable = EnrolmentKey.objects.filter(sha256=digest(key), used_at=None, expires_at__gt=now)
    found = usable.first()
    if found is None or not usable.filter(pk=found.pk).update(used_at=now):
        raise Forbidden("This enrolment key is unknown, used or expired; ask for a new one.")
    return found.worker_id


def _take_device(worker: Worker, device: Mapping[str, Any]) -> None:
    """What the machine found replaces what was said at registration."""
    gpu = _gpu(device["gpu_type"], device["memory_bytes"])
    known = KNOWN_GPUS.get(device["gpu_type"])
    if known and gpu["gpu_type"] != worker.gpu_type:
        worker.compute_capacity = known.fp32_tflops
    worker.gpu_type, worker.gpu_tag, worker.memory_bytes = gpu["gpu_type"], gpu["gpu_tag"], gpu["memory_bytes"]


def set_active(*, worker: Worker, active: bool, actor: str, reason: str) -> None:
    """Suspend a worker, which gets nothing new and loses its way into Redis; or reinstate it."""
    with transaction.atomic():
        if not Worker.objects.filter(pk=worker.pk, is_active=not active).update(is_active=active):
            return
        kind = "worker.reinstated" if active else "worker.suspended"
        record(kind, actor=actor, worker=worker, reason=reason)
        _wake()
    worker.is_active = active
    if worker.enrolled_at:
        (broker.admit if active else broker.expel)([worker])


def _wake() -> None:
    notifications.changed("workers", "network")
    dispatch.wake_coordinator()
