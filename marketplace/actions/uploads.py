"""Large files in parts: announced, put in any order and again, asked for what is missing, read by a task."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum

from marketplace import dispatch, storage
from marketplace.actions import reading
from marketplace.actions.datasets import READERS, find_dataset, read_file, require_share
from marketplace.domain.errors import Conflict, NotFound, Refused
from marketplace.models import Upload, UploadPart, database_now

logger = logging.getLogger(__name__)

MAX_OPEN = 20  # of one user's
TELL_BYTES = 32 * 1024**2  # between two notes of how far reading is
HASHED = 0.4  # of the progress, once the hash is checked
SWEEP = 100
BROKEN = "The network could not read this file; its operator finds why in the log."
State = Upload.State


def create(*, filename: str, size_bytes: int, sha256: str, user: Any) -> Upload:
    """Announce a file. One that the user brought before is ready at once; an open upload of the same goes on.

    Raises:
        Refused: another kind of file, too many bytes, too many open uploads, more than the user's share of the disk.
        NoRoom: the disk is full.
    """
    suffix = Path(filename).suffix.lower().lstrip(".")
    if suffix not in READERS:
        raise Refused(f"The file's name must end in one of {', '.join(f'.{each}' for each in sorted(READERS))}.")
    if not 1 <= size_bytes <= settings.MAX_DATASET_BYTES:
        raise Refused(f"A file may have 1 to {settings.MAX_DATASET_BYTES:,} bytes.")
    label = Path(filename).name[:120]
    asked = {"user": user, "label": label, "format": suffix, "sha256": sha256, "size_bytes": size_bytes}
    try:
        dataset = find_dataset(sha256=sha256, user=user)
        return Upload.objects.create(
            **asked, part_bytes=settings.UPLOAD_PART_BYTES, state=State.READY, progress=1.0, dataset=dataset
        )
    except NotFound:
        pass
    mine = Upload.objects.filter(user=user, state__in=[State.UPLOADING, State.READING])
    if going := mine.filter(sha256=sha256, size_bytes=size_bytes, format=suffix).first():
        return going
    if mine.count() >= MAX_OPEN:
        raise Refused(f"{MAX_OPEN} uploads of yours are open, which is the most; finish some, or let them lapse.")
    coming = mine.aggregate(sum=Sum("size_bytes"))["sum"] or 0
    require_share(user, coming + size_bytes)
    storage.require_free(size_bytes)
    with transaction.atomic():
        upload = Upload.objects.create(**asked, part_bytes=settings.UPLOAD_PART_BYTES)
        storage.reserve("partial", str(upload.pk), size_bytes)
    return upload


def find(*, upload_id: UUID, user: Any) -> Upload:
    """
    Raises:
        NotFound: there is none, or it is another's.
    """
    rows = Upload.objects.filter(pk=upload_id)
    found = (rows if settings.SANDBOX else rows.filter(user=user)).first()
    if found is None or (found.user_id is None and not settings.SANDBOX):
        raise NotFound(f"There is no upload {upload_id}.")
    return found


def missing(upload: Upload) -> list[int]:
    """The numbers of the parts that did not come yet."""
    if upload.state != State.UPLOADING:
        return []
    here = set(UploadPart.objects.filter(upload=upload).values_list("number", flat=True))
    return [number for number in range(upload.parts) if number not in here]


def require_part(*, upload_id: UUID, number: int, size_bytes: int, user: Any) -> Upload:
    """The upload, if this part of it may have that many bytes.

    Raises:
        NotFound: no such upload of this user's.
        Conflict: it takes no more parts.
        Refused: it has no such part, or one of another size.
    """
    upload = find(upload_id=upload_id, user=user)
    if upload.state != State.UPLOADING:
        raise Conflict(f"This upload is {upload.state} and takes no more parts.")
    if number >= upload.parts:
        raise Refused(f"The file has {upload.parts} parts, 0 to {upload.parts - 1}; there is no part {number}.")
    if size_bytes != upload.bytes_of(number):
        raise Refused(f"Part {number} has {upload.bytes_of(number):,} bytes, no more and no fewer.")
    return upload


def put(*, upload_id: UUID, number: int, size_bytes: int, body: BinaryIO, user: Any) -> Upload:
    """Take in a part, to its place in the file. One that came before is not written again.

    Raises:
        NotFound, Conflict, Refused: as `require_part`; or another number of bytes came than was said.
        NoRoom: the disk is full.
    """
    upload = require_part(upload_id=upload_id, number=number, size_bytes=size_bytes, user=user)
    if UploadPart.objects.filter(upload=upload, number=number).exists():
        return upload
    left = upload.bytes_of(number)
    with storage.reopened("partial", str(upload.pk)) as file:
        # Looked at once more: while it was opened, the file may have been read, and be a dataset's now.
        require_part(upload_id=upload_id, number=number, size_bytes=size_bytes, user=user)
        file.seek(number * upload.part_bytes)
        while chunk := body.read(storage.CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                break  # nothing is written beyond the part's place
            file.write(chunk)
        if left == 0:
            storage.flush(file)
    if left != 0:
        raise Refused(f"Part {number} has {upload.bytes_of(number):,} bytes, no more and no fewer.")
    with transaction.atomic():
        # Whoever finishes, or sweeps it, waits for this row or comes first.
        if not Upload.objects.filter(pk=upload.pk, state=State.UPLOADING).update(changed_at=database_now()):
            raise Conflict("This upload takes no more parts.")
        UploadPart.objects.get_or_create(upload=upload, number=number)
    return upload


def finish(*, upload_id: UUID, user: Any) -> Upload:
    """All parts are there: have the file read. Doing it again does no harm.

    Raises:
        NotFound: no such upload of this user's.
        Conflict: parts are missing.
    """
    with transaction.atomic():
        upload = find(upload_id=upload_id, user=user)
        upload = Upload.objects.select_for_update().get(pk=upload.pk)
        if gaps := missing(upload):
            raise Conflict(f"{len(gaps):,} of {upload.parts:,} parts are missing; the first is part {gaps[0]}.")
        if upload.state == State.UPLOADING:
            upload.state = State.READING
            Upload.objects.filter(pk=upload.pk).update(state=State.READING, changed_at=database_now())
            dispatch.read_upload(str(upload.pk))
    return upload


def read(*, upload_id: UUID) -> str:
    """Check a finished upload's hash and make a dataset of it; answers its state, "" where another has it.

    Where this process reads as much as it may already, or a part is still being written (twice, for it is there), it
    is left to a later cycle.
    """
    with reading.place() as free, storage.alone("partial", str(upload_id)) as alone:
        return _read_claimed(upload_id) if free and alone else ""


def _read_claimed(upload_id: UUID) -> str:
    if not reading.claim(Upload.objects.filter(pk=upload_id, state=State.READING)):
        return ""
    upload = Upload.objects.select_related("user").get(pk=upload_id)
    if upload.tries > reading.MAX_TRIES:  # it ended whoever read it
        return _refuse(upload, BROKEN)
    try:
        _read(upload)
    except Conflict:  # its user is erased, or it is deleted
        return ""
    except Refused as refusal:
        return _refuse(upload, str(refusal))
    except Exception:
        logger.exception("Upload %s could not be read.", upload.pk)
        if upload.tries < reading.MAX_TRIES:  # the lease runs out, and it is tried again
            return State.READING.value
        return _refuse(upload, BROKEN)
    storage.delete("partial", str(upload.pk))  # where it had become the dataset's own file it is gone already
    return State.READY.value


def _refuse(upload: Upload, reason: str) -> str:
    _end(upload, State.REFUSED, reason=reason)
    storage.delete("partial", str(upload.pk))
    return State.REFUSED.value


def _read(upload: Upload) -> None:
    path = storage.path("partial", str(upload.pk))
    if not path.is_file():  # an earlier try was broken off between moving it and its commit
        path = storage.path("uploads", upload.sha256)
    if not path.is_file():
        raise Refused("The parts are no longer here; send the file again.")
    with ExitStack() as files:
        file = files.enter_context(path.open("r+b"))
        if storage.sha256(file, told=_teller(upload, 0.0, HASHED)) != upload.sha256:
            raise Refused("The file that came has another SHA-256 than was announced; send it again.")
        told = _teller(upload, HASHED, 1.0)
        brought = read_file(
            files, file, upload.format, upload.size_bytes, label=upload.label, user=upload.user,
            name=upload.sha256, told=told,
        )  # fmt: skip
        with transaction.atomic():
            dataset = brought.insert()
            _end(upload, State.READY, dataset=dataset, progress=1.0)
            brought.store()


def _teller(upload: Upload, first: float, last: float) -> Callable[[int], None]:
    """Notes how far reading is, by the bytes of the file that were dealt with, and renews the lease."""
    next_at = TELL_BYTES

    def tell(done: int) -> None:
        nonlocal next_at
        if done >= next_at:
            next_at = done + TELL_BYTES
            share = min(done / upload.size_bytes, 0.99)
            Upload.objects.filter(pk=upload.pk).update(
                progress=first + (last - first) * share, lease_expires_at=reading.lease()
            )

    return tell


def _end(upload: Upload, state: Upload.State, **columns: Any) -> None:
    """
    Raises:
        Conflict: somebody else has ended it.
    """
    columns |= {"state": state, "lease_expires_at": None, "changed_at": database_now()}
    if not Upload.objects.filter(pk=upload.pk, state=State.READING).update(**columns):
        raise Conflict("The upload was ended by somebody else.")


def send_waiting() -> int:
    """Have finished uploads read whose message was lost, or whose reader was; answers how many."""
    return sum(dispatch.read_upload_now(str(pk)) for pk in reading.lost(being_read()))


def being_read() -> QuerySet[Upload]:
    return Upload.objects.filter(state=State.READING)


def sweep() -> int:
    """Delete uploads that nobody went on with, and the notes of those that ended long ago; answers how many."""
    since = database_now() - timedelta(seconds=settings.POLICY.upload_idle_seconds)
    old = Upload.objects.filter(changed_at__lt=since).exclude(state=State.READING)
    return sum(_sweep(pk) for pk in list(old.order_by("changed_at").values_list("pk", flat=True)[:SWEEP]))


def _sweep(upload_id: UUID) -> bool:
    with transaction.atomic():
        upload = Upload.objects.select_for_update().exclude(state=State.READING).filter(pk=upload_id).first()
        if upload is not None:
            drop(upload)
    return upload is not None


def drop(upload: Upload) -> None:
    """Delete an upload and what came of it; last in its transaction."""
    name = str(upload.pk)
    upload.delete()
    storage.delete("partial", name)
