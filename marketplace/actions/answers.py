"""Taking in answers: a machine sends at once what it has computed."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from marketplace.actions import assignments
from marketplace.domain.errors import Refused
from marketplace.models import Worker


@dataclass(frozen=True)
class Answer:
    """What a machine computed for an assignment."""

    assignment_id: UUID
    fence: int
    digest: str  # SHA-256 of `body`, in hexadecimal
    seconds: float  # what the machine says that computing took
    body: bytes


def submit_all(*, machine: Worker, answers: Sequence[Answer]) -> list[None | Refused]:
    """Take in several answers. Says for each, in the order given, None where it is in, or why it is not.

    One that is refused keeps none of the others back; what it is refused with is what `assignments.submit_result`
    raises.
    """
    found: list[None | Refused] = []
    for answer in answers:
        try:
            assignments.submit_result(
                machine=machine,
                assignment_id=answer.assignment_id,
                fence=answer.fence,
                digest=answer.digest,
                seconds=answer.seconds,
                body=io.BytesIO(answer.body),
            )
            found.append(None)
        except Refused as refused:
            found.append(refused)
    return found
