"""Who receives data: those that the dataset or the job names, and nobody else; and nobody receives a name."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from marketplace.actions import audiences, coordination, datasets, jobs, quotes
from marketplace.actions.submissions import Submission, submission_of
from marketplace.dashboard.waiting import why_it_waits
from marketplace.domain.errors import Conflict, Refused
from marketplace.models import Assignment, Job, Worker
from tests import factories
from tests.api.calls import is_refused, post
from tests.dashboard import cast
from tests.privacy.machines import enrolled

pytestmark = pytest.mark.django_db
TABLE = b"secret_age,secret_income,secret_rent\n31,2900,910\n44,4100,1200\n52,3900,1100\n29,2100,700\n61,5100,1500\n"
NAMES = (b"secret_", b"confidential", b"carols_lab", b"carol")


@pytest.fixture
def carol(db: None) -> User:
    cast.a_client("carols_lab", user := User.objects.create_user("carol", password="x" * 20))
    return user


@pytest.fixture
def dataset(carol: User) -> str:
    file = SimpleUploadedFile("confidential.csv", TABLE)
    return datasets.store_upload(stream=file, filename="confidential.csv", user=carol).pk


def asked(dataset: str, **more: Any) -> Submission:
    return Submission(client_address="carols_lab", model_type="linear_regression", reward=20, dataset=dataset, **more)


def given_to(job: Job) -> list[str]:
    coordination.assign_pending()
    return list(job.assignments.values_list("worker__name", flat=True))


def test_a_job_goes_to_a_worker_of_its_pool_and_waits_where_there_is_none(carol: User, dataset: str) -> None:
    factories.make_worker("outside")
    audiences.change_pool(name="lab", actor="olga")
    job = jobs.submit(submission=asked(dataset, receivers={"pools": ["lab"]}), user=carol)
    assert given_to(job) == []
    assert any("not among those that may receive the data: outside" in each for each in why_it_waits(job, []))
    factories.make_worker("inside")
    audiences.change_pool(name="lab", add=["inside"], actor="olga")
    assert given_to(job) == ["inside"]


def test_a_job_goes_to_the_contributor_that_it_names(carol: User, dataset: str) -> None:
    factories.make_worker("of_bob", user=cast.bob())
    factories.make_worker("of_alice", user=cast.alice())
    job = jobs.submit(submission=asked(dataset, receivers={"contributors": ["alice"]}), user=carol)
    assert given_to(job) == ["of_alice"]
    assert submission_of(job).receivers == {"pools": [], "contributors": ["alice"]}


def test_what_a_dataset_names_holds_for_its_jobs_and_a_job_may_only_name_fewer(carol: User, dataset: str) -> None:
    for name in ("lab", "cellar", "street"):
        audiences.change_pool(name=name, actor="olga")
    audiences.restrict(sha256=dataset, receivers={"pools": ["lab", "cellar"]}, user=carol)
    with pytest.raises(Refused, match="the job names street beside them"):
        jobs.submit(submission=asked(dataset, receivers={"pools": ["lab", "street"]}), user=carol)
    job = jobs.submit(submission=asked(dataset), user=carol)
    assert str(audiences.receivers_of(job.resource_class.audience)).count("pool") == 2
    with pytest.raises(Conflict, match="An open job uses this dataset"):
        audiences.restrict(sha256=dataset, receivers={}, user=carol)
    # An operator who did not bring it does not get around what was said.
    olga = cast.olga()
    by_operator = jobs.submit(submission=asked(dataset), user=olga)
    assert by_operator.resource_class == job.resource_class


def test_a_quote_says_whose_machines_may_receive_the_data(carol: User, dataset: str) -> None:
    factories.make_worker("of_bob", user=cast.bob())
    factories.make_worker("of_alice", user=cast.alice())
    audiences.change_pool(name="lab", add=["of_bob"], actor="olga")
    narrow = quotes.quote(submission=asked(dataset, receivers={"pools": ["lab"]}), user=carol)
    assert narrow["workers"] == ["of_bob"] and narrow["receivers"] == {"pools": ["lab"], "contributors": []}
    assert narrow["may_receive"].endswith("workers of the pool lab; nobody else's. Today these are machines of bob.")
    assert narrow["excluded"] == {"is not among those that may receive the data": 1}
    wide = quotes.quote(submission=asked(dataset), user=carol)
    assert wide["receivers"] is None and wide["may_receive"].endswith("Today these are machines of alice, bob.")


def test_a_pool_or_contributor_that_is_not_there_is_refused(carol: User, dataset: str) -> None:
    for receivers, sentence in (
        ({"pools": ["lab"]}, "There is no pool 'lab'."),
        ({"contributors": ["eve"]}, "There is no contributor 'eve'."),
        ({"people": ["eve"], "pools": ["lab"]}, "receivers has no field 'people'"),
        ({"pool": ["lab"]}, "receivers has no field 'pool'"),
        ({"pools": "lab"}, "receivers.pools must be a list of names"),
    ):
        with pytest.raises(Refused, match=sentence):
            jobs.submit(submission=asked(dataset, receivers=receivers), user=carol)
    assert not Job.objects.exists()


def wire(answer: Any) -> bytes:
    """All that an answer puts on the wire: its head and its body."""
    head = "".join(f"{name}: {value}\n" for name, value in answer.items()).encode()
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return head + body


def test_a_worker_outside_the_pool_never_receives_a_byte(carol: User, dataset: str) -> None:
    """Whatever it asks for, before and after it is taken out of the pool that it had the job by."""
    outside, inside = enrolled("outside"), enrolled("inside")
    audiences.change_pool(name="lab", add=["inside"], actor="olga")
    job = jobs.submit(submission=asked(dataset, receivers={"pools": ["lab"]}), user=carol)
    assert given_to(job) == ["inside"]
    assignment = Assignment.objects.select_related("job__dataset").get(job=job)
    matrix = job.dataset.matrix_sha256
    outside.heartbeat()
    for answer in (outside.start(assignment), outside.download(matrix), outside.download(dataset)):
        assert answer.status_code == 404 and matrix.encode() not in wire(answer)
    assert inside.start(assignment).status_code == 200
    assert b"NUMPY" in wire(inside.download(matrix))
    audiences.change_pool(name="lab", remove=["inside"], actor="olga")
    for headers in ({}, {"Range": "bytes=100-"}):
        refused = inside.download(matrix, **headers)
        assert refused.status_code == 404 and not refused.streaming


def test_without_log_in_a_job_names_receivers_and_a_dataset_says_why_it_cannot(client: Client) -> None:
    sha256 = datasets.store_upload(stream=io.BytesIO(TABLE), filename="free.csv", user=None).pk
    audiences.change_pool(name="lab", actor="olga")
    answer = post(client, f"/datasets/{sha256}/receivers", {"pools": ["lab"]})
    assert 'name them with each job, in its "receivers"' in is_refused(answer)
    factories.make_client()
    assert factories.make_job(dataset=sha256, receivers={"pools": ["lab"]}).resource_class.audience is not None


def fetched(machine: Any, job: Job) -> Assignment:
    """`machine` has the job in hand, and its matrix."""
    (name,) = given_to(job)
    assignment = Assignment.objects.get(job=job)
    assert machine.start(assignment).status_code == 200, name
    assert wire(machine.download(job.data.matrix_sha256))
    return assignment


def to_drop(machine: Any, **more: Any) -> list[str]:
    found: list[str] = machine.heartbeat(**more).json().get("drop", [])
    return found


def test_a_worker_taken_out_of_a_pool_is_asked_to_drop_what_it_may_not_receive_any_more(
    carol: User, dataset: str
) -> None:
    machine = enrolled("inside")
    for name in ("lab", "cellar"):
        audiences.change_pool(name=name, add=["inside"], actor="olga")
    job = jobs.submit(submission=asked(dataset, receivers={"pools": ["lab", "cellar"]}), user=carol)
    assignment = fetched(machine, job)
    audiences.change_pool(name="cellar", remove=["inside"], actor="olga")
    assert to_drop(machine) == []  # the lab's it may still have
    audiences.change_pool(name="lab", remove=["inside"], actor="olga")
    beat = {"assignment": str(assignment.pk), "fence": 1, "progress": 0.5, "note": ""}
    assert machine.heartbeat(beat).json().get("drop", []) == []  # it computes on it
    jobs.cancel(job_id=job.pk, user=carol, actor="client")
    matrix = job.data.matrix_sha256
    assert to_drop(machine) == [matrix] == to_drop(machine)
    assert to_drop(machine, dropped=[matrix]) == [] == to_drop(machine)


def test_a_dataset_that_names_fewer_is_dropped_by_the_others(carol: User, dataset: str) -> None:
    machine = enrolled("gpu")
    job = jobs.submit(submission=asked(dataset), user=carol)
    fetched(machine, job)
    jobs.cancel(job_id=job.pk, user=carol, actor="client")
    audiences.change_pool(name="lab", add=["gpu"], actor="olga")
    audiences.change_pool(name="cellar", actor="olga")
    audiences.restrict(sha256=dataset, receivers={"pools": ["lab"]}, user=carol)
    assert to_drop(machine) == []
    audiences.restrict(sha256=dataset, receivers={"pools": ["cellar"]}, user=carol)
    assert to_drop(machine) == [job.data.matrix_sha256]


def test_a_worker_taken_out_between_the_choice_and_the_start_learns_nothing(carol: User, dataset: str) -> None:
    machine = enrolled("inside")
    audiences.change_pool(name="lab", add=["inside"], actor="olga")
    job = jobs.submit(submission=asked(dataset, receivers={"pools": ["lab"]}), user=carol)
    assert given_to(job) == ["inside"]
    audiences.change_pool(name="lab", remove=["inside"], actor="olga")
    answer = machine.start(Assignment.objects.get(job=job))
    assert answer.status_code == 409 and job.dataset.matrix_sha256.encode() not in wire(answer)
    job.refresh_from_db()
    assert job.state == "pending" and given_to(job) == ["inside"] and job.attempt == 1


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every message that goes to a machine's list."""
    found: list[Any] = []
    monkeypatch.setattr("marketplace.dispatch._send", lambda *args, **more: found.append((args, more)) or True)
    yield found


def test_no_byte_that_a_worker_receives_names_a_file_a_column_or_a_client(
    carol: User, dataset: str, sent: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    """Messages, heartbeats' replies, the specification, the matrix, refusals: through a job's whole life."""
    machine = enrolled("gpu")
    job = jobs.submit(submission=asked(dataset, target="secret_rent"), user=carol)
    with django_capture_on_commit_callbacks(execute=True):
        assert given_to(job) == ["gpu"]
    assignment = Assignment.objects.select_related("job__dataset").get(job=job)
    answers = [machine.heartbeat(), started := machine.start(assignment)]
    answers += [
        machine.start(assignment),
        machine.heartbeat({"assignment": str(assignment.pk), "fence": 1, "progress": 0.5, "note": "half"}),
    ]
    specification = started.json()
    answers += [machine.download(specification["matrix"]["sha256"]), machine.download(dataset)]
    answer = machine.compute(specification)
    answers += [machine.hand_in(assignment, answer), machine.hand_in(assignment, b"another")]
    answers += [machine.heartbeat(), machine.start(assignment)]
    assert [answer.status_code for answer in answers] == [200, 200, 409, 200, 200, 404, 200, 409, 200, 409]
    messages = json.dumps(sent, default=str).encode()
    assert str(assignment.pk).encode() in messages
    for each in (messages, *map(wire, answers)):
        found = [name for name in (*NAMES, dataset.encode()) if name in each]
        assert not found, (found, each[:500])


def test_pools_are_an_operators_to_change_and_everybodys_to_name(client: Any) -> None:
    factories.make_worker("gpu")
    assert post(client, "/pools/lab", {"add": ["gpu"]}).json() == {"success": True, "name": "lab", "workers": ["gpu"]}
    assert client.get("/pools").json()["pools"] == [{"name": "lab", "workers": ["gpu"]}]
    refused = post(client, "/pools/lab", {"add": ["nobody"]})
    assert refused.status_code == 400 and "nobody" in refused.json()["error"]
    assert Worker.objects.get(pools__name="lab").name == "gpu"


def test_the_pages_say_who_reads_the_data(client: Any, carol: User, dataset: str) -> None:
    client.force_login(carol)
    audiences.change_pool(name="lab", actor="olga")
    address = f"dataset={dataset}&model_type=kmeans_clustering&client_address=carols_lab&pools=lab"
    model = client.get(f"/dashboard/jobs/new/model/?{address}").content.decode()
    assert "The owner of the machine that computes can read the matrix" in model and "keeps nothing secret" in model
    quote = client.get(f"/dashboard/jobs/new/quote/?{address}").content.decode()
    assert "workers of the pool lab; nobody else" in quote and "can read the numbers" in quote
    client.post(f"/dashboard/jobs/new/quote/?{address}", {"reward": "20"})
    job = Job.objects.get()
    assert "only workers of the pool lab; nobody else" in client.get(f"/dashboard/jobs/{job.pk}/").content.decode()
