"""Who may receive data: what datasets and jobs name, made sense of and held against workers."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from marketplace.actions import copies
from marketplace.actions.datasets import find_dataset
from marketplace.actions.events import record
from marketplace.actions.locks import hold_machines, hold_matrix
from marketplace.actions.names import check_name
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.models import Audience, Compiled, Contributor, Dataset, DatasetOwner, Job, Matrix, Pool, Worker

MAX_NAMED = 100
KINDS = ("pools", "contributors")


@dataclass(frozen=True)
class Receivers:
    """Pools and contributors by their names, sorted. Nobody else's workers may receive the data."""

    pools: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [f"workers of the pool {name}" for name in self.pools]
        return ", ".join(said + [f"workers of {name}" for name in self.contributors]) + "; nobody else's"

    @property
    def named(self) -> frozenset[tuple[str, str]]:
        return frozenset([*(("pool", name) for name in self.pools), *(("of", name) for name in self.contributors)])

    def as_json(self) -> dict[str, list[str]]:
        return {"pools": list(self.pools), "contributors": list(self.contributors)}


def read(given: Mapping[str, Any] | None) -> Receivers | None:
    """What a request says of who may receive its data; None where it says nothing, which is everybody.

    Raises:
        Refused: names that are none, too many, or of nobody who is there.
    """
    if unknown := set(given or ()) - set(KINDS):
        raise Refused(f"receivers has no field {sorted(unknown)[0][:40]!r}; it takes pools and contributors.")
    if not given or not any(given.values()):
        return None
    lists = {kind: given.get(kind) or [] for kind in KINDS}
    for kind, names in lists.items():
        if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(n, str) for n in names):
            raise Refused(f"receivers.{kind} must be a list of names.")
    if sum(map(len, lists.values())) > MAX_NAMED:
        raise Refused(f"receivers may name {MAX_NAMED} pools and contributors at most.")
    found = Receivers(*(tuple(sorted(set(lists[kind]))) for kind in KINDS))
    there = (("pool", found.pools, _pools(found)), ("contributor", found.contributors, _people(found)))
    for what, wanted, rows in there:
        if missing := sorted(set(wanted) - set(rows.values_list("name", flat=True))):
            raise Refused(f"There is no {what} {missing[0][:64]!r}.")
    return found


def _pools(receivers: Receivers) -> Any:
    return Pool.objects.filter(name__in=receivers.pools)


def _people(receivers: Receivers) -> Any:
    return Contributor.objects.filter(name__in=receivers.contributors)


def stored(receivers: Receivers | None) -> Audience | None:
    """The row of these receivers, made where there is none; called in a transaction."""
    if receivers is None:
        return None
    pools, people = _pools(receivers).order_by("pk"), _people(receivers).order_by("pk")
    key = hashlib.sha256(f"{[each.pk for each in pools]} {[each.pk for each in people]}".encode()).hexdigest()
    audience, made = Audience.objects.get_or_create(key=key)
    if made:
        audience.pools.set(pools)
        audience.contributors.set(people)
    return audience


def receivers_of(audience: Audience | None) -> Receivers | None:
    if audience is None:
        return None
    pools = audience.pools.order_by("name").values_list("name", flat=True)
    people = audience.contributors.order_by("name").values_list("name", flat=True)
    return Receivers(tuple(pools), tuple(people))


def for_job(*, given: Mapping[str, Any] | None, dataset: Dataset, user: Any, lock: bool = False) -> Receivers | None:
    """Who may receive a job's data: those that it names, which must be among those that the dataset names.

    With `lock`, in a transaction, what the dataset names stays so until its end.

    Raises:
        Refused: it names others.
    """
    asked, allowed = read(given), receivers_of_dataset(dataset=dataset, user=user, lock=lock)
    if allowed is None or asked is None:
        return asked or allowed
    if beyond := sorted(asked.named - allowed.named):
        raise Refused(f"This dataset may go to {allowed}; the job names {beyond[0][1]} beside them.")
    return asked


def _rights_to(dataset: str) -> QuerySet[DatasetOwner]:
    return DatasetOwner.objects.filter(dataset=dataset).select_related("audience").order_by("pk")


_rights = Compiled(_rights_to, str)
_held_rights = Compiled(lambda dataset: _rights_to(dataset).select_for_update(of=("self",)), str, shared=True)


def receivers_of_dataset(*, dataset: Dataset, user: Any, lock: bool = False) -> Receivers | None:
    """Who may receive it for `user`; for one who did not bring it (an operator), what all who did agree on.

    Raises:
        Refused: they agree on nobody.
    """
    rights = (_held_rights if lock else _rights)(dataset.pk)
    own = [right for right in rights if user is not None and right.user_id == user.pk]
    limits = [found for right in own or rights if (found := receivers_of(right.audience)) is not None]
    if not limits:
        return None
    common = frozenset.intersection(*(limit.named for limit in limits))
    if not common:
        raise Refused("Those who brought this dataset let different machines receive it; nobody may.")
    pools, people = ({name for kind, name in common if kind == wanted} for wanted in ("pool", "of"))
    return Receivers(tuple(sorted(pools)), tuple(sorted(people)))


def restrict(*, sha256: str, receivers: Mapping[str, Any] | None, user: Any) -> Receivers | None:
    """Say who may receive one's dataset from now on; nothing for everybody. Answers what holds then.

    Machines of others that have a copy are asked to drop it.

    Raises:
        NotFound: no such dataset of this user's.
        Refused: no names of anybody who is there; or nobody is logged in, so that it is nobody's.
        Conflict: an open job of this user's was submitted under what holds now.
    """
    dataset, asked = find_dataset(sha256=sha256, user=user), read(receivers)
    with transaction.atomic():
        right = DatasetOwner.objects.select_for_update().filter(dataset=dataset, user=user).first()
        if right is None and user is None:
            raise Refused(
                "Without log-in, as in the sandbox, a dataset is nobody's, and nobody can say who may receive it: name "
                'them with each job, in its "receivers".'
            )
        if right is None:
            raise NotFound("Who may receive a dataset is for those who brought it to say; a job may name them too.")
        if Job.objects.filter(dataset=dataset, client__user=user, ended_at=None).exists():
            raise Conflict("An open job uses this dataset; wait until it has ended, or cancel it.")
        DatasetOwner.objects.filter(pk=right.pk).update(audience=stored(asked))
        made = Matrix.objects.filter(dataset=dataset).values_list("matrix_sha256", flat=True)
        files = {dataset.matrix_sha256, *made} - {""}
        for each in sorted(files):
            hold_matrix(each)
        copies.call_back_of_others(files=files)
    return asked


def members(audiences: Collection[int | None]) -> Mapping[UUID, frozenset[int]]:
    """Which of these audiences each worker is in."""
    asked, found = [each for each in audiences if each is not None], defaultdict(set)
    if asked:
        pooled = Audience.pools.through.objects.filter(audience__in=asked).values_list("pool__workers", "audience")
        named = Audience.contributors.through.objects.filter(audience__in=asked)
        for worker, audience in [*pooled, *named.values_list("contributor__workers", "audience")]:
            found[worker].add(audience)
    return defaultdict(frozenset, {worker: frozenset(each) for worker, each in found.items()})


def workers_of(receivers: Receivers) -> QuerySet[Worker]:
    """The workers that may receive the data; each may come more than once."""
    return Worker.objects.filter(Q(pools__name__in=receivers.pools) | Q(contributor__name__in=receivers.contributors))


def members_of(audience: int) -> QuerySet[Worker]:
    """The workers that are in an audience; each may come more than once."""
    return Worker.objects.filter(Q(pools__audiences=audience) | Q(contributor__audiences=audience))


def change_pool(*, name: str, add: Collection[str] = (), remove: Collection[str] = (), actor: str) -> Pool:
    """Put workers into a pool and take others out; a pool that there is not yet is made.

    The machines of who is taken out are asked to drop what they may not receive any more.

    Raises:
        Refused: a name that cannot be one, or no worker of that name.
    """
    check_name(name, what="A pool's name")
    with transaction.atomic():
        pool, _ = Pool.objects.get_or_create(name=name)
        workers = {each.name: each for each in Worker.objects.filter(name__in={*add, *remove})}
        if missing := sorted({*add, *remove} - set(workers)):
            raise Refused(f"There is no worker {missing[0][:64]!r}.")
        pool.workers.add(*(workers[each] for each in add))
        pool.workers.remove(*(workers[each] for each in remove))
        machines = sorted({workers[each].host_id or workers[each].pk for each in remove})
        hold_machines(machines)
        for machine in machines:
            copies.call_back_outside(machine=machine)
        said = [f"{word} {', '.join(sorted(names))}" for word, names in (("in", add), ("out", remove)) if names]
        record("pool.changed", actor=actor, reason=f"{name}: {'; '.join(said) or 'looked after'}")
    return pool
