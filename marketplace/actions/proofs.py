"""Rows of the sealed log with the paths that prove them, for those whose rows they are."""

from collections import defaultdict
from collections.abc import Sequence
from json import loads
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from marketplace.actions import checkpoints, receipts, tree
from marketplace.actions.leaves import encode_rows
from marketplace.domain import merkle
from marketplace.domain.errors import Refused
from marketplace.models import Checkpoint, Client, Event, Leaf, LeafSalt, Transfer, Verdict


def newest() -> Checkpoint | None:
    return Checkpoint.objects.first()


def state(*, extends: int | None = None) -> dict[str, Any]:
    """The newest checkpoint, and the proof that it extends the first `extends` leaves.

    Returns:
        ``{"checkpoint"}`` as `checkpoints.as_document`, None where there is none yet; with `extends` also
        ``{"consistency": {"size", "path"}}``.

    Raises:
        Refused: the newest checkpoint covers fewer.
    """
    last = newest()
    answer: dict[str, Any] = {"checkpoint": checkpoints.as_document(last) if last else None}
    if extends is not None:
        size = last.size if last else 0
        if not 0 < extends <= size:
            raise Refused(f"The newest checkpoint covers {size} leaves; it extends none of {extends}.")
        [path] = tree.proofs([merkle.consistency_ranges(extends, size)])
        answer["consistency"] = {"size": extends, "path": [each.hex() for each in path]}
    return answer


def of_client(client: Client, size: int) -> QuerySet[Leaf]:
    """The leaves below `size` about the client's wallet and jobs, in order."""
    # A union, of which each part has its index; an OR across tables would read every transfer.
    transfers = Transfer.objects.filter(source=client.wallet_id).union(
        Transfer.objects.filter(destination=client.wallet_id), Transfer.objects.filter(job__client=client)
    )
    return _leaves(
        size,
        transfers,
        Event.objects.filter(job__client=client),
        Verdict.objects.filter(assignment__job__client=client),
    )


def of_job(*, job_id: UUID, user: Any, size: int) -> QuerySet[Leaf]:
    """The leaves below `size` about a job, in order: all for its client and operators, for a contributor those of its
    own attempts.

    Raises:
        NotFound: no such job, or nothing of it is the user's.
    """
    found = receipts.receipt(job_id=job_id, user=user)
    attempts = [assignment.pk for assignment, _ in found["attempts"]]
    shown = [transfer.pk for _, transfers in found["attempts"] for transfer in transfers]
    events, transfers = Q(assignment__in=attempts), Q(pk__in=shown)
    if found["sees_all"]:
        events, transfers = events | Q(job=job_id), transfers | Q(job=job_id)
    return _leaves(
        size,
        Transfer.objects.filter(transfers),
        Event.objects.filter(events),
        Verdict.objects.filter(assignment__in=attempts),
    )


def _leaves(
    size: int, transfers: QuerySet[Transfer], events: QuerySet[Event], verdicts: QuerySet[Verdict]
) -> QuerySet[Leaf]:
    below = Leaf.objects.filter(number__lt=size)
    return (
        below.filter(kind="transfer", row_id__in=transfers.values("pk"))
        .union(
            below.filter(kind="event", row_id__in=events.values("pk")),
            below.filter(kind="verdict", row_id__in=verdicts.values("pk")),
            all=True,
        )
        .order_by("number")
    )


def prove(leaves: Sequence[Leaf], size: int) -> list[dict[str, Any]]:
    """Each leaf with its path to the root of the first `size`, and what is private in it while that can be shown.

    Returns:
        Of each ``{"number", "leaf", "proof", "private", "salt"}``; the last two are None where nothing is private, or
        it was forgotten.
    """
    paths = tree.proofs([merkle.inclusion_ranges(leaf.number, size) for leaf in leaves])
    salts = dict(LeafSalt.objects.filter(leaf__in=[leaf.number for leaf in leaves]).values_list("leaf", "salt"))
    salted: dict[str, list[int]] = defaultdict(list)
    for leaf in leaves:
        if leaf.number in salts:
            salted[leaf.kind].append(leaf.row_id)
    encoded = {kind: encode_rows(kind, rows) for kind, rows in salted.items()}
    return [
        {
            "number": leaf.number,
            "leaf": loads(leaf.content),
            "proof": [each.hex() for each in path],
            "private": encoded[leaf.kind][leaf.row_id][1] if leaf.number in salts else None,
            "salt": salts.get(leaf.number),
        }
        for leaf, path in zip(leaves, paths, strict=True)
    ]
