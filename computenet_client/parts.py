"""Sending a large file in parts: only those that the network lacks, with a bar, and on after a cut."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from computenet_client.data import Upload
from computenet_client.errors import Refused
from computenet_client.transport import Transport

ABOVE_BYTES = 32 * 1024**2  # larger files go in parts
CONFLICT = 409
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 3.0

Tell = Callable[[str, float], None]  # what is done, and the share of it


def send(transport: Transport, file: Upload, size_bytes: int, progress: bool | None = None) -> str:
    """Send a file in parts and wait until the network has read it; answers the dataset's id.

    Parts that an earlier try brought are not sent again; what the network has by its hash is not sent at all.

    Args:
        progress: whether a bar is shown on standard error; by default where that is a terminal.

    Raises:
        Refused: with the network's sentence, also where the file cannot be read as data.
    """
    asked = {"filename": file.filename, "size_bytes": size_bytes, "sha256": file.sha256}
    upload = transport.call("POST", "/uploads", body=asked, repeat=True)
    path = f"/uploads/{upload['upload_id']}"
    with _bar(file.filename, size_bytes, progress) as tell:
        if upload["state"] == "uploading":
            _put(transport, file, path, upload, tell)
            upload = transport.call("POST", f"{path}/finish", body={}, repeat=True)
        pause = FIRST_PAUSE_SECONDS
        while upload["state"] == "reading":
            tell("reading", upload["progress"])
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            upload = transport.call("GET", path)
        tell(upload["state"], 1.0)
    if upload["state"] != "ready":
        raise Refused(upload["reason"] or "The upload was not finished; send it again.")
    return str(upload["dataset_id"])


def _put(transport: Transport, file: Upload, path: str, upload: dict[str, Any], tell: Tell) -> None:
    missing, part_bytes = upload["missing"], upload["part_bytes"]
    done = upload["parts"] - len(missing)
    for number in missing:
        file.file.seek(number * part_bytes)
        try:
            transport.put(f"{path}/parts/{number}", file.file.read(part_bytes))
        except Refused as refusal:
            if refusal.status != CONFLICT:
                raise
            return  # another process sends the same and was first to finish
        done += 1
        tell("sending", done / upload["parts"])


@contextmanager
def _bar(name: str, size_bytes: int, progress: bool | None) -> Iterator[Tell]:
    if progress is None:
        progress = sys.stderr.isatty()
    if not progress:
        yield lambda doing, share: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=size_bytes)
        yield lambda doing, share: bar.update(task, completed=share * size_bytes, description=f"{name} {doing}")
