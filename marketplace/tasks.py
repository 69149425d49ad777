"""The coordinator's Celery tasks. Each calls one action; all may run twice without harm."""

from uuid import UUID

from celery import shared_task
from celery.signals import worker_init

from marketplace.actions import (
    books,
    checking,
    checkpoints,
    coordination,
    deletion,
    making,
    notices,
    reverification,
    settlement,
    uploads,
)
from marketplace.dispatch import (
    ASSIGN,
    CHECK_BOOKS,
    COORDINATE,
    MAKE_MATRIX,
    READ_UPLOAD,
    REVERIFY,
    SEAL,
    SEND_NOTICES,
    SWEEP_DATA,
    VERIFY,
    VERIFY_WAITING,
)
from marketplace.models import guards


@shared_task(name=COORDINATE)
def coordinate() -> None:
    coordination.run_cycle()


@shared_task(name=ASSIGN)
def assign() -> None:
    coordination.assign_when_woken()


@shared_task(name=SEAL)
def seal() -> None:
    checkpoints.seal_and_sign()


@shared_task(name=VERIFY)
def verify(assignment_id: str) -> None:
    settlement.verify(assignment_id=UUID(assignment_id))


@shared_task(name=VERIFY_WAITING)
def verify_waiting() -> None:
    checking.verify_waiting()


@shared_task(name=REVERIFY)
def reverify(row: str) -> None:
    reverification.check(row=int(row))


@shared_task(name=SEND_NOTICES)
def send_notices() -> None:
    notices.send_due()


@shared_task(name=CHECK_BOOKS)
def check_books(row: str) -> None:
    books.check(row=int(row))


@shared_task(name=SWEEP_DATA)
def sweep_data() -> None:
    deletion.delete_idle()
    uploads.sweep()


@shared_task(name=READ_UPLOAD)
def read_upload(upload_id: str) -> None:
    uploads.read(upload_id=UUID(upload_id))


@shared_task(name=MAKE_MATRIX)
def make_matrix(matrix: str) -> None:
    making.make(matrix_id=int(matrix))


@worker_init.connect
def refuse_without_guards(**kwargs: object) -> None:
    """The coordinator does not run on a database whose guards are not in place."""
    if found := guards.differences():
        raise SystemExit(f"{found[0]} Run `python manage.py migrate`.")
