"""One size of `benchmarks.assigning`, in a process of its own: ``python -m benchmarks.assigning_run JOBS WORKERS``."""

import json
import resource
import sys
import time
from typing import Any

import django
from django.core.management import call_command
from django.db import connection, transaction

django.setup()

from marketplace import broker, dispatch, notifications  # noqa: E402  Django must be set up before anything that has rows
from marketplace.actions import coordination  # noqa: E402
from marketplace.models import Account, Assignment, Challenge, Job, ResourceClass, Worker, guards  # noqa: E402
from tests import factories as make  # noqa: E402

ASSIGNMENTS = 4_000
CLASSES = (("", 0), ("", 2**33), ("rtx-4090", 0), ("rtx-4090", 2**34))  # GPU's tag, and bytes of memory at least


def furnish(jobs: int, workers: int) -> None:
    """One client and one worker by the network's own actions, and as many copies of a job and of the worker."""
    make.make_client(balance=1_000)
    first = make.make_worker(stake=200)
    Challenge.objects.all().delete()
    job = make.make_job(reward=1)
    classes = [
        ResourceClass.objects.get_or_create(gpu_tag=tag, min_memory_bytes=memory, min_compute_capacity=0)[0].pk
        for tag, memory in CLASSES
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        connection.check_constraints()
        guards.drop()
        copy(cursor, Account, job.escrow_id, jobs, name="'escrow ' || n", id="DEFAULT")
        pick = f"(ARRAY{classes})[1 + n %% {len(classes)}]"
        account = "(SELECT id FROM marketplace_account WHERE kind = 'escrow' AND name = 'escrow ' || n)"
        changed = {"id": "gen_random_uuid()", "escrow_id": account, "virtual_start": "n", "resource_class_id": pick}
        copy(cursor, Job, job.pk, jobs, **changed)
        copy(cursor, Account, first.stake_id, workers, name="'stake ' || n", id="DEFAULT")
        stake = "(SELECT id FROM marketplace_account WHERE kind = 'stake' AND name = 'stake ' || n)"
        heard = "clock_timestamp() + interval '1 day'"
        changed = {"id": "gen_random_uuid()", "name": "'w' || n", "stake_id": stake, "last_heartbeat_at": heard}
        copy(cursor, Worker, first.pk, workers, **changed)
        Worker.objects.filter(pk=first.pk).update(is_active=False)
        guards.create()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def copy(cursor: Any, model: Any, pk: Any, count: int, **changed: str) -> None:
    """`count` copies of a row, numbered by `n`, but for the columns in `changed`, which are SQL."""
    columns = [field.column for field in model._meta.concrete_fields if changed.get(field.column) != "DEFAULT"]
    taken = ", ".join(changed.get(column, f"t.{column}") for column in columns)
    cursor.execute(
        f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) SELECT {taken} "
        f"FROM {model._meta.db_table} t, generate_series(1, %s) n WHERE t.id = %s",
        [count, pk],
    )


def measure(jobs: int, workers: int) -> dict[str, Any]:
    """Assign, free the workers, and again, until `ASSIGNMENTS` jobs are given, or all that there are."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given, took, cpu, rounds = 0, 0.0, 0.0, 0
    while given < min(ASSIGNMENTS, jobs):
        began, used = time.perf_counter(), time.process_time()
        now = coordination.assign_pending()
        took, cpu = took + time.perf_counter() - began, cpu + time.process_time() - used
        given, rounds = given + now, rounds + 1
        if not now:
            raise RuntimeError(f"only {given} jobs were assigned")
        free()
    return {
        "jobs": jobs,
        "workers": workers,
        "assigned": given,
        "rounds": rounds,
        "a_second": given / took,
        "ms_each": 1000 * took / given,
        "cpu_ms_each": 1000 * cpu / given,
        "twice": given - Assignment.objects.values("job").distinct().count(),
        "more_memory_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
    }


def free() -> None:
    """End what is assigned, so that the workers are free again; past the guards, for no work was done."""
    ended = "ended_at = clock_timestamp()"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"UPDATE marketplace_assignment SET state = 'lost', {ended} WHERE state = 'dispatched'")
        cursor.execute(f"UPDATE marketplace_job SET state = 'cancelled', {ended} WHERE state = 'assigned'")


def main() -> None:
    sent: list[Any] = []
    dispatch.send_assignments = sent.extend  # type: ignore[assignment]
    broker.claim = lambda key, seconds: False
    notifications.changed = lambda *topics: None
    call_command("migrate", verbosity=0)
    began = time.perf_counter()
    furnish(*(int(size) for size in sys.argv[1:]))
    filled = time.perf_counter() - began
    found = measure(*(int(size) for size in sys.argv[1:]))
    print(json.dumps(found | {"filled_seconds": filled, "messages": len(sent)}))


if __name__ == "__main__":
    main()
