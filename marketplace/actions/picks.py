"""Writing down who got which job: the same few statements for one job as for hundreds."""

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from marketplace import dispatch
from marketplace.actions.traces import about
from marketplace.domain.matching import Pick
from marketplace.models import Assignment, Compiled, Job, Worker

logger = logging.getLogger(__name__)

# The picks as rows `p`, out of one JSON document: one parameter, whose statement is the same however many they are.
ROWS = {
    "postgresql": (
        "jsonb_to_recordset(%(picks)s::jsonb) AS p(id uuid, job uuid, worker uuid, fence int, finish float8, why jsonb,"
        " reason text)"
    ),
    "sqlite": (
        "(SELECT value ->> 'id' AS id, value ->> 'job' AS job, value ->> 'worker' AS worker, value ->> 'fence' AS fence"
        ", value ->> 'finish' AS finish, value -> 'why' AS why, value ->> 'reason' AS reason"
        " FROM json_each(%(picks)s)) AS p"
    ),
}
MOVE_JOBS = """
UPDATE marketplace_job SET state = 'assigned', attempt = attempt + 1, worker_id = p.worker, reason = '' FROM {rows}
WHERE marketplace_job.id = p.job AND marketplace_job.state = 'pending'"""
ASSIGN = """
INSERT INTO marketplace_assignment
  (id, job_id, worker_id, fence, state, why, lease_expires_at, sent_at, progress, note, fault, reason)
SELECT p.id, p.job, p.worker, p.fence, 'dispatched', p.why, %(lease)s, %(now)s, 0, '', '', '' FROM {rows}"""
TAKE_TURNS = """
UPDATE marketplace_worker SET virtual_finish = p.finish FROM {rows} WHERE marketplace_worker.id = p.worker"""
TELL = """
INSERT INTO marketplace_event (kind, actor, job_id, assignment_id, worker_id, "before", "after", reason)
SELECT 'job.assigned', 'coordinator', p.job, p.id, p.worker, 'pending', 'assigned', p.reason FROM {rows}"""


@dataclass(frozen=True)
class _Given:
    """A pick and the attempt that came of it."""

    pick: Pick
    id: uuid.UUID
    fence: int
    name: str  # of the worker
    queue: str  # of its machine

    def row(self) -> dict[str, Any]:
        return {
            "id": _stored(self.id),
            "job": _stored(uuid.UUID(self.pick.job)),
            "worker": _stored(uuid.UUID(self.pick.worker)),
            "fence": self.fence,
            "finish": self.pick.worker_virtual_finish,
            "why": self.pick.why,
            "reason": f"to {self.name}, attempt {self.fence}",
        }


def _stored(value: uuid.UUID) -> str:
    """As this engine keeps one: SQLite without the dashes."""
    return str(value) if connection.features.has_native_uuid_field else value.hex


def write_picks(picks: Sequence[Pick], jobs: Mapping[str, Job], now: datetime) -> None:
    """Assign: jobs, assignments, workers' turns and events, and word to the machines once it is committed.

    Args:
        jobs: those of the picks by their ids, locked, as they were before.
    """
    given = _given(picks, jobs)
    lease_expires_at = now + timedelta(seconds=settings.POLICY.start_within_seconds)
    values = {
        "picks": json.dumps([each.row() for each in given]),
        "lease": connection.ops.adapt_datetimefield_value(lease_expires_at),
        "now": connection.ops.adapt_datetimefield_value(now),
    }
    with connection.cursor() as cursor:
        for statement in (MOVE_JOBS, ASSIGN, TAKE_TURNS, TELL):
            cursor.execute(statement.format(rows=ROWS[connection.vendor]), values)
            if cursor.rowcount != len(given):
                raise RuntimeError("a locked pending job was assigned by somebody else")
    for each in given:
        job = jobs[each.pick.job]
        with about(job, Assignment(pk=each.id)):
            logger.info(
                "Assignment %s of job %s goes to %s, attempt %d.", each.id, job.pk, each.pick.worker, each.fence
            )
    messages = [dispatch.Message(str(each.id), each.queue) for each in given]
    transaction.on_commit(lambda: dispatch.send_assignments(messages))


_locked_workers = Compiled(
    lambda ids: (
        Worker.objects.select_for_update(no_key=True, of=("self",))
        .select_related("host")
        .only("name", "queue", "host__queue")
        .filter(pk__among=ids)
        .order_by("pk")
    ),
    [uuid.UUID],
)


def _given(picks: Sequence[Pick], jobs: Mapping[str, Job]) -> list[_Given]:
    # Locked in order before they are changed in any: paying locks several too.
    workers = {str(worker.pk): worker for worker in _locked_workers([uuid.UUID(pick.worker) for pick in picks])}
    given = []
    for pick in picks:
        worker = workers[pick.worker]
        fence = jobs[pick.job].attempt + 1
        given.append(_Given(pick, uuid.uuid4(), fence, worker.name, worker.machine.queue))
    return given
