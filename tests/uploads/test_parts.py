"""Large files in parts: they survive cuts, are sent once, and nothing hostile comes of them."""

import dataclasses
import fcntl
import hashlib
import io
import os
import resource
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser

from marketplace import storage
from marketplace.actions import reading, uploads
from marketplace.api.body_limit import limit_of
from marketplace.domain.errors import NoRoom, Refused
from marketplace.models import Dataset, DatasetOwner, Upload, UploadPart, database_now
from tests import factories as make
from tests.actions.stored import files
from tests.api.calls import is_refused, post
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
TABLE = b"a,b,c\n" + b"".join(f"{i},{i * i},{(i * 7919) % 1000}.5\n".encode() for i in range(400))
PART = 1000
LARGE_BYTES = int(os.environ.get("UPLOADS_LARGE_BYTES", 24 * 1024**2))  # 3 GB with UPLOADS_LARGE_BYTES=3000000000
MOST_GROWTH_BYTES = 150 * 1024**2


@pytest.fixture(autouse=True)
def small_parts(settings: Any) -> Iterator[None]:
    settings.UPLOAD_PART_BYTES = PART
    yield


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def announce(http: Browser, content: bytes = TABLE, **more: Any) -> Any:
    body = {"filename": "large.csv", "size_bytes": len(content), "sha256": sha256(content)} | more
    return post(http, "/uploads", body)


def put(http: Browser, upload_id: str, number: int, content: bytes) -> Any:
    return http.put(f"/uploads/{upload_id}/parts/{number}", content, content_type="application/octet-stream")


def part(content: bytes, number: int) -> bytes:
    return content[number * PART : (number + 1) * PART]


def sent(http: Browser, content: bytes = TABLE, **more: Any) -> str:
    """All of a file, announced, put and finished; answers the upload's id."""
    found = announce(http, content, **more).json()
    for number in found["missing"]:
        assert put(http, found["upload_id"], number, part(content, number)).status_code == 200
    finished = post(http, f"/uploads/{found['upload_id']}/finish")
    assert finished.status_code == 202 and finished.json()["state"] == "reading"
    return found["upload_id"]


def status(http: Browser, upload_id: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/uploads/{upload_id}").json()
    return found


def test_a_file_that_is_cut_five_times_arrives_and_is_the_dataset_that_one_upload_makes(client: Browser) -> None:
    found = announce(client).json()
    upload_id, parts = found["upload_id"], found["parts"]
    assert found["state"] == "uploading" and parts == -(-len(TABLE) // PART) > 6
    assert found["missing"] == list(range(parts))
    order = sorted(range(parts), key=lambda number: (number * 5) % parts)  # in any order
    for cut in range(5):
        for number in order[cut::5]:
            assert put(client, upload_id, number, part(TABLE, number)).status_code == 200
        # The connection breaks; the client announces the same again, and is told what is missing.
        again = announce(client).json()
        assert again["upload_id"] == upload_id
        assert again["missing"] == sorted(set(range(parts)) - {n for c in range(cut + 1) for n in order[c::5]})
    assert put(client, upload_id, 0, part(TABLE, 0)).status_code == 200  # once more is no harm
    assert post(client, f"/uploads/{upload_id}/finish").status_code == 202
    assert post(client, f"/uploads/{upload_id}/finish").status_code == 202
    assert Dataset.objects.count() == 0
    assert uploads.read(upload_id=UUID(upload_id)) == "ready"
    assert uploads.read(upload_id=UUID(upload_id)) == ""  # its message came twice
    done = status(client, upload_id)
    assert (done["state"], done["progress"], done["missing"]) == ("ready", 1.0, [])
    dataset = Dataset.objects.get(pk=done["dataset_id"])
    assert (dataset.pk, dataset.rows, dataset.column_names) == (sha256(TABLE), 400, ["a", "b", "c"])
    assert storage.path("uploads", dataset.pk).read_bytes() == TABLE
    assert storage.path("matrices", dataset.matrix_sha256).is_file()
    assert not storage.path("partial", upload_id).exists()


def test_what_is_known_by_its_hash_is_not_sent_again_and_is_no_way_to_anothers_data(
    client: Browser, settings: Any
) -> None:
    carol, bob = cast.a_user("carol"), cast.bob()
    settings.SANDBOX = False
    client.force_login(carol)
    uploads.read(upload_id=UUID(sent(client)))
    again = announce(client).json()
    assert (again["state"], again["dataset_id"], again["missing"]) == ("ready", sha256(TABLE), [])
    client.force_login(bob)
    his = announce(client).json()
    assert (his["state"], his["dataset_id"]) == ("uploading", None)  # to know a name is no right to the data
    for number in his["missing"]:
        put(client, his["upload_id"], number, part(TABLE, number))
    post(client, f"/uploads/{his['upload_id']}/finish")
    assert uploads.read(upload_id=UUID(his["upload_id"])) == "ready"
    assert set(DatasetOwner.objects.values_list("user__username", flat=True)) == {"carol", "bob"}


def test_anothers_upload_is_not_there(client: Browser, settings: Any) -> None:
    carol, bob = cast.a_user("carol"), cast.bob()
    settings.SANDBOX = False
    client.force_login(carol)
    upload_id = announce(client).json()["upload_id"]
    client.force_login(bob)
    assert client.get(f"/uploads/{upload_id}").status_code == 404
    assert put(client, upload_id, 0, part(TABLE, 0)).status_code == 404
    assert post(client, f"/uploads/{upload_id}/finish").status_code == 404
    assert not UploadPart.objects.exists()


@pytest.mark.parametrize(
    ("number", "content", "sentence"),
    [
        (0, b"x" * (PART + 1), "Part 0 has 1,000 bytes"),  # it would run into the next
        (0, b"x" * (PART - 1), "Part 0 has 1,000 bytes"),
        (0, b"", "Part 0 has 1,000 bytes"),
        (9, b"x" * PART, "there is no part 9"),
        (2, b"x" * PART, "Part 2 has 500 bytes"),  # the last
    ],
)
def test_parts_that_overlap_or_are_too_many_are_refused_and_write_nothing(
    client: Browser, number: int, content: bytes, sentence: str
) -> None:
    announced = b"y" * 2500
    upload_id = announce(client, announced).json()["upload_id"]
    assert sentence in is_refused(put(client, upload_id, number, content))
    assert storage.path("partial", upload_id).read_bytes() == b"\0" * 2500
    assert status(client, upload_id)["missing"] == [0, 1, 2]


def test_a_length_that_lies_writes_nothing_beyond_its_part(client: Browser) -> None:
    upload_id = announce(client, b"y" * 2500).json()["upload_id"]

    class Lying:
        """Says 1,000 bytes and brings them twice."""

        def __init__(self) -> None:
            self.left = [b"x" * PART, b"z" * PART]

        def read(self, size: int) -> bytes:
            return self.left.pop(0) if self.left else b""

    with pytest.raises(Refused, match="no more and no fewer"):
        uploads.put(upload_id=UUID(upload_id), number=0, size_bytes=PART, body=Lying(), user=None)  # type: ignore[arg-type]
    assert storage.path("partial", upload_id).read_bytes()[PART:] == b"\0" * 1500
    assert status(client, upload_id)["missing"] == [0, 1, 2]


class Slow(io.BytesIO):
    """A part whose writer is at it while something else happens."""

    meanwhile: Callable[[], None]

    def read(self, size: int | None = -1, /) -> bytes:
        self.meanwhile()
        return super().read(size)


def test_who_still_writes_a_part_changes_nothing_that_was_read(client: Browser) -> None:
    upload = UUID(announce(client, TABLE[:PART]).json()["upload_id"])
    slow, said = Slow(TABLE[:PART].replace(b"1", b"2")), list[str]()

    def meanwhile() -> None:
        slow.meanwhile = lambda: None
        put(client, str(upload), 0, TABLE[:PART])
        post(client, f"/uploads/{upload}/finish")
        said.append(uploads.read(upload_id=upload))

    slow.meanwhile = meanwhile
    with pytest.raises(Refused, match="takes no more parts"):
        uploads.put(upload_id=upload, number=0, size_bytes=PART, body=slow, user=None)
    assert said == [""]  # left to a later cycle
    assert uploads.read(upload_id=upload) == "refused"
    assert status(client, str(upload))["reason"].startswith("The file that came has another SHA-256")


def test_who_opened_a_part_before_it_was_read_and_writes_after_is_refused(client: Browser, monkeypatch) -> None:
    upload, flock = UUID(announce(client, TABLE[:PART]).json()["upload_id"]), fcntl.flock

    def late(*given: Any) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        put(client, str(upload), 0, TABLE[:PART])
        post(client, f"/uploads/{upload}/finish")
        assert uploads.read(upload_id=upload) == "ready"
        flock(*given)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(Refused, match="takes no more parts"):
        uploads.put(upload_id=upload, number=0, size_bytes=PART, body=io.BytesIO(b"x" * PART), user=None)
    assert storage.path("uploads", sha256(TABLE[:PART])).read_bytes() == TABLE[:PART]


def test_finishing_with_gaps_says_which_and_changes_nothing(client: Browser) -> None:
    upload_id = announce(client).json()["upload_id"]
    put(client, upload_id, 0, part(TABLE, 0))
    sentence = is_refused(post(client, f"/uploads/{upload_id}/finish"), 409)
    assert "the first is part 1" in sentence and status(client, upload_id)["state"] == "uploading"


@pytest.mark.parametrize(
    ("content", "more", "sentence"),
    [
        (TABLE, {"sha256": "0" * 64}, "another SHA-256 than was announced"),
        (b"a,b\nx,y\nz,w\n" * 200, {}, "."),
        (b"\x93NUMPY" + b"\0" * 3000, {"filename": "large.npy"}, "."),
    ],
)
def test_what_is_wrong_is_refused_in_a_sentence_and_leaves_no_file(
    client: Browser, content: bytes, more: dict[str, Any], sentence: str
) -> None:
    before = files()
    upload_id = sent(client, content, **more)
    assert uploads.read(upload_id=UUID(upload_id)) == "refused"
    found = status(client, upload_id)
    assert found["state"] == "refused" and sentence in found["reason"] and found["dataset_id"] is None
    assert files() == before and not Dataset.objects.exists()
    assert is_refused(put(client, upload_id, 0, part(content, 0)), 409)


def test_what_cannot_be_announced(client: Browser, settings: Any) -> None:
    settings.MAX_DATASET_BYTES = 10_000
    for more in ({"size_bytes": 10_001}, {"size_bytes": 0}, {"filename": "large.exe"}, {"sha256": "A" * 64}):
        is_refused(announce(client, **more))
    assert not Upload.objects.exists()
    settings.MAX_DATASET_BYTES = 10**9
    for number in range(uploads.MAX_OPEN):
        assert announce(client, sha256=f"{number:064x}").status_code == 200
    assert "the most" in is_refused(announce(client, sha256="f" * 64))


def test_open_uploads_count_for_ones_share_of_the_disk_and_a_full_disk_refuses_them(settings: Any) -> None:
    user = User.objects.create_user("hoarder")
    settings.POLICY = dataclasses.replace(settings.POLICY, storage_bytes_per_user=10_000)
    uploads.create(filename="a.csv", size_bytes=6_000, sha256="a" * 64, user=user)
    with pytest.raises(Refused, match="your 10,000 bytes"):
        uploads.create(filename="b.csv", size_bytes=6_000, sha256="b" * 64, user=user)
    upload = uploads.create(filename="c.csv", size_bytes=2_000, sha256="c" * 64, user=user)
    settings.POLICY = dataclasses.replace(settings.POLICY, disk_reserve_bytes=2**62)
    with pytest.raises(NoRoom):
        uploads.create(filename="d.csv", size_bytes=10, sha256="d" * 64, user=user)
    with pytest.raises(NoRoom):
        uploads.put(upload_id=upload.pk, number=0, size_bytes=PART, body=io.BytesIO(b"x" * PART), user=user)
    assert not UploadPart.objects.exists()


def long_ago(upload_id: str) -> None:
    found = Upload.objects.get(pk=upload_id)
    Upload.objects.filter(pk=upload_id).update(changed_at=found.changed_at - timedelta(days=2))


def test_abandoned_uploads_are_swept_with_their_files_and_others_are_not(client: Browser) -> None:
    before = files()
    abandoned, going = announce(client).json()["upload_id"], announce(client, TABLE + b"1,2,3\n").json()["upload_id"]
    put(client, abandoned, 0, part(TABLE, 0))
    reading = sent(client, TABLE + b"4,5,6\n")
    for upload_id in (abandoned, reading):
        long_ago(upload_id)
    assert uploads.sweep() == 1
    assert set(Upload.objects.values_list("pk", flat=True)) == {UUID(going), UUID(reading)}
    assert {path.name for path in files() - before} == {going, reading}


def test_a_reading_that_was_broken_off_is_taken_up_again_and_at_last_given_up(
    client: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = sent(client)
    calls: list[str] = []
    monkeypatch.setattr("marketplace.dispatch._send", lambda name, args, **more: calls.append(args[0]) or True)
    monkeypatch.setattr("marketplace.broker.waiting", lambda queue: 0)
    assert not make.is_due("uploads") and uploads.send_waiting() == 0  # its first message is young
    long_ago(upload_id)
    assert make.is_due("uploads") and uploads.send_waiting() == 1 and calls == [upload_id]

    def breaks(*args: Any, **more: Any) -> None:
        raise RuntimeError("the reader was killed")

    with monkeypatch.context() as broken:
        broken.setattr("marketplace.actions.uploads.read_file", breaks)
        for left in (2, 1, 0):
            assert uploads.read(upload_id=UUID(upload_id)) == ("reading" if left else "refused")
            assert uploads.read(upload_id=UUID(upload_id)) == ""  # the lease is another's
            Upload.objects.filter(pk=upload_id, state="reading").update(lease_expires_at=now_less(1))
    assert "its operator finds why" in status(client, upload_id)["reason"]


def now_less(seconds: float) -> Any:
    return database_now() - timedelta(seconds=seconds)


def test_a_part_may_be_as_large_as_parts_are_and_another_body_may_not(settings: Any) -> None:
    settings.UPLOAD_PART_BYTES = 8 * 1024**2
    headers = {b"content-type": b"application/octet-stream"}
    place = f"/uploads/{UUID(int=0)}/parts/17"
    assert limit_of({"method": "PUT", "path": place}, headers) > 8 * 1024**2
    for method, path in (("POST", place), ("PUT", f"{place}/x"), ("PUT", f"/uploads/{UUID(int=0)}")):
        assert limit_of({"method": method, "path": path}, headers) == settings.MAX_BODY_BYTES


def test_a_large_file_is_hashed_and_read_in_blocks_and_tells_how_far_it_is(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Small here; UPLOADS_LARGE_BYTES=3000000000 makes it 3 GB, read with the same memory."""
    settings.UPLOAD_PART_BYTES = 16 * 1024**2
    block = b"1.2345678901234567,22.345678901234567,333.45678901234567,4.4567890123456789\n" * 10_000
    digest = hashlib.sha256(b"a,b,c,d\n")
    with (tmp_path / "large.csv").open("w+b") as file:
        file.write(b"a,b,c,d\n")
        while (size := file.tell()) < LARGE_BYTES:
            file.write(block)
            digest.update(block)
        upload = uploads.create(filename="large.csv", size_bytes=size, sha256=digest.hexdigest(), user=None)
        file.seek(0)
        for number in range(upload.parts):
            body = file.read(upload.part_bytes)
            uploads.put(upload_id=upload.pk, number=number, size_bytes=len(body), body=io.BytesIO(body), user=None)
    (tmp_path / "large.csv").unlink()
    uploads.finish(upload_id=upload.pk, user=None)
    told: list[float] = []
    update = uploads._teller

    def teller(*args: Any) -> Any:
        tell = update(*args)

        def watched(done: int) -> None:
            tell(done)
            told.append(Upload.objects.values_list("progress", flat=True).get(pk=upload.pk))

        return watched

    monkeypatch.setattr(uploads, "_teller", teller)
    monkeypatch.setattr(uploads, "TELL_BYTES", size // 8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert uploads.read(upload_id=upload.pk) == "ready"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert told == sorted(told) and len(set(told)) > 8 and told[-1] > uploads.HASHED
    assert grown < MOST_GROWTH_BYTES, f"{grown:,} bytes"


def test_what_is_deleted_while_it_is_read_leaves_nothing(client: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    before, upload_id, read_file = files(), sent(client), uploads.read_file

    def dropped(*args: Any, **more: Any) -> Any:
        found = read_file(*args, **more)
        uploads.drop(Upload.objects.get())
        return found

    monkeypatch.setattr(uploads, "read_file", dropped)
    assert uploads.read(upload_id=UUID(upload_id)) == ""
    assert not Dataset.objects.exists() and not Upload.objects.exists() and files() == before


def test_a_file_that_ends_its_reader_again_and_again_is_refused(client: Browser) -> None:
    upload_id = sent(client)
    Upload.objects.update(tries=reading.MAX_TRIES)
    assert uploads.read(upload_id=UUID(upload_id)) == "refused"
    assert status(client, upload_id)["reason"] == uploads.BROKEN
    assert not storage.path("partial", upload_id).exists()


def test_the_pages_form_announces_with_its_own_token_and_another_sites_page_cannot(settings: Any) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(cast.a_user("carol"))
    settings.SANDBOX = False
    page = browser.get("/dashboard/jobs/new/").content.decode()
    assert f'data-parts-above="{4 * PART}"' in page and "dashboard/upload.js" in page
    token = page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
    assert announce(browser).status_code == 403
    browser.defaults["HTTP_X_CSRFTOKEN"] = token
    assert announce(browser).json()["state"] == "uploading"
