"""Beginning assignments: a machine says at once which of those that it was given it begins."""

from collections.abc import Sequence
from uuid import UUID

from marketplace.actions import assignments
from marketplace.domain.errors import Refused
from marketplace.models import Worker
from workers.protocol import Specification


def start_all(*, machine: Worker, assignment_ids: Sequence[UUID]) -> list[Specification | Refused]:
    """Begin several assignments. Answers for each, in the order given, what to compute, or why it was not begun.

    One that cannot be begun keeps none of the others back; what it is refused with is what `assignments.start` raises.
    """
    found: list[Specification | Refused] = []
    for assignment_id in assignment_ids:
        try:
            found.append(assignments.start(machine=machine, assignment_id=assignment_id))
        except Refused as refused:
            found.append(refused)
    return found
