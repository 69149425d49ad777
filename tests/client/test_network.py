"""The client against a running sandbox: data, jobs, results, receipts, money."""

import threading
import uuid
from pathlib import Path

import numpy as np
import pytest

from computenet_client import (
    Dataset,
    JobEnded,
    Network,
    NotFound,
    NotReady,
    Refused,
    VerificationFailed,
    WaitTimeout,
)
from tests.client.frames import Frame
from tests.sandbox.running import Sandbox

pytestmark = pytest.mark.processes
RNG = np.random.default_rng(7)
X = RNG.normal(size=(120, 3))
Y = X @ [1.0, -2.0, 0.5] + 3.0


class Uploads:
    """Counts what is sent to a network."""

    def __init__(self, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.send = 0, network.transport.upload
        monkeypatch.setattr(network.transport, "upload", self)

    def __call__(self, *args, **given):
        self.count += 1
        return self.send(*args, **given)


@pytest.fixture
def paused(sandbox: Sandbox) -> None:
    """Nothing is assigned while the test runs."""
    Network(sandbox.address).transport.call("POST", "/network/coordination/stop", body={})
    yield
    Network(sandbox.address).transport.call("POST", "/network/coordination/start", body={})


def test_a_job_gives_its_result_as_numpy_arrays(network: Network) -> None:
    job = network.submit("linear", X, Y, reward=2).wait(60)
    result = job.result()
    np.testing.assert_allclose(result["coefficients"], [1.0, -2.0, 0.5], rtol=1e-9)
    assert result["coefficients"].dtype == np.float64 and result["predictions"].shape == (120,)
    assert result["intercept"] == pytest.approx(3.0) and result["model"] == "linear_regression"
    assert network.job(job.id).status == "verified"
    assert job.id in [each.id for each in network.jobs("verified")]


def test_many_jobs_are_submitted_in_one_request_and_their_data_sent_once(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(network, monkeypatch)
    rows = np.random.default_rng().normal(size=(60, 3))
    before = network.balance()
    jobs = network.submit_many([{"model": "kmeans", "X": rows, "k": k} for k in (2, 3, 4)], reward=1)
    assert [len(job.wait(60).result()["centroids"]) for job in jobs] == [2, 3, 4]
    assert (uploads.count, network.balance()) == (1, before - 3)
    with pytest.raises(Refused, match=r"jobs\[1\]"):
        network.submit_many([{"model": "pca", "X": rows, "n_components": n} for n in (1, 9)], reward=1)
    with pytest.raises(Refused, match="what each job pays"):
        network.submit_many([{"model": "pca", "X": rows}])
    assert network.balance() == before - 3


def test_a_result_larger_than_its_json_comes_whole(network: Network, tmp_path: Path) -> None:
    rows = RNG.normal(size=(11_000, 2))
    job = network.submit("kmeans", rows, k=np.int64(3), reward=2).wait(60)
    assert "labels" in job.info["result"]["omitted"]
    result = job.result()
    assert result["labels"].shape == (11_000,) and "omitted" not in result
    with np.load(job.save(tmp_path / "out.npz")) as saved:
        np.testing.assert_array_equal(saved["labels"], result["labels"])
    assert [path.name for path in tmp_path.glob("*out*")] == ["out.npz"]


def test_data_are_uploaded_once(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(network, monkeypatch)
    rows = np.random.default_rng().normal(size=(50, 2))  # no seed: the network must not have them yet
    first = network.upload(rows)
    assert network.upload(rows.tolist()) == first == network.upload(first)
    network.submit("pca", rows, n_components=1, reward=1).wait(60)
    another = Network(network.url, client="alice")  # it knows nothing yet, and asks
    again = Uploads(another, monkeypatch)
    assert another.upload(rows) == first
    assert (uploads.count, again.count) == (1, 0)


def test_a_file_is_sent_as_it_is_and_its_columns_are_named(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "flats.csv"
    lines = [
        "price,city,area,rooms",
        *(f"{100 * a + 7 * r},Bonn,{a},{r}" for a, r in ((70, 2), (90, 3), (85, 1), (30, 5))),
    ]
    path.write_text("\n".join(lines) + "\n")
    dataset = network.upload(path)
    assert isinstance(dataset, Dataset) and dataset.text_columns == ("city",)
    job = network.submit("linear", path, target="price", columns=["area", "rooms"], reward=1).wait(60)
    np.testing.assert_allclose(job.result()["coefficients"], [100.0, 7.0], rtol=1e-6)
    assert job.columns() == ["area", "rooms"]
    assert job.receipt(path)["status"] == "verified"


def test_a_receipt_is_checked_against_the_data(network: Network) -> None:
    job = network.submit("ridge", X, Y, alpha=0.5, reward=2.25).wait(60)
    checked = job.receipt(X, Y)["checked_here"]
    assert "Of 2.25 tokens held, 2.25 were paid and 0 returned: it adds up." in checked
    assert "The matrix that was computed on holds these data and nothing else." in checked
    with pytest.raises(VerificationFailed, match="on other data"):
        job.receipt(X, Y + 1e-9)


def test_a_frames_columns_are_chosen_by_name_and_its_text_stays_at_home(network: Network) -> None:
    flats = Frame(city=["Bonn"] * 120, price=Y, area=X[:, 0], rooms=X[:, 1], floor=X[:, 2])
    given = {"target": "price", "columns": ["floor", "area", "rooms"]}
    job = network.submit("linear", flats, reward=1, **given).wait(60)
    np.testing.assert_allclose(job.result()["coefficients"], [0.5, 1.0, -2.0], rtol=1e-9)
    assert "The data are those that the job names." in job.receipt(flats, **given)["checked_here"]
    again = network.submit("linear", flats, reward=1, target=1, columns=[4, -3, 3]).wait(60)
    np.testing.assert_allclose(again.result()["coefficients"], [0.5, 1.0, -2.0], rtol=1e-9)
    whole = Frame(area=X[:, 0], price=Y, rooms=X[:, 1], floor=X[:, 2])
    third = network.submit("linear", whole, reward=1, target="price").wait(60)
    np.testing.assert_allclose(third.result()["coefficients"], [1.0, -2.0, 0.5], rtol=1e-9)
    with pytest.raises(Refused, match="named twice, or is also the target"):
        network.submit("linear", whole, reward=1, target="price", columns=["area", "price"])
    with pytest.raises(Refused, match='Column "city" does not hold numbers'):
        network.submit("linear", flats, target="price", reward=1)


def test_the_same_idempotency_key_is_the_same_job_and_paid_once(network: Network) -> None:
    key, before = uuid.uuid4().hex, network.balance()
    jobs = {network.submit("pca", X, n_components=2, reward=3, idempotency_key=key).id for _ in range(3)}
    assert len(jobs) == 1
    assert before - network.balance() == pytest.approx(3)
    with pytest.raises(Refused, match="used for another request"):
        network.submit("pca", X, n_components=1, reward=3, idempotency_key=key)


def test_a_quote_holds_nothing_and_a_reward_left_out_is_the_suggested_one(network: Network) -> None:
    before = network.balance()
    quote = network.quote("pca", X, n_components=2)
    assert (quote["rows"], quote["features"]) == (120, 3) and quote["workers_able"] >= 1
    assert network.balance() == before
    job = network.submit("pca", X, n_components=2)
    assert job.info["reward"] > 0
    assert before - network.balance() == pytest.approx(job.info["reward"])


@pytest.mark.usefixtures("paused")
def test_waiting_ends_in_time_and_a_job_called_off_says_so(network: Network) -> None:
    before = network.balance()
    job = network.submit("pca", X, n_components=1, reward=4)
    with pytest.raises(WaitTimeout, match="is pending after 0.2 s; it goes on"):
        job.wait(0.2)
    with pytest.raises(NotReady, match="wait for it with wait"):
        job.result()
    assert job.cancel().status == "cancelled"
    with pytest.raises(JobEnded, match="was cancelled") as raised:
        job.wait(5)
    assert raised.value.info["status"] == "cancelled"
    assert network.balance() == before
    assert "Of 4 tokens held, 0 were paid and 4 returned: it adds up." in job.receipt()["checked_here"]


def test_a_job_that_fails_says_why(network: Network) -> None:
    job = network.submit("logistic", X, np.zeros(len(X)), reward=1)
    with pytest.raises(JobEnded, match="failed.*different values") as raised:
        job.wait(60)
    assert raised.value.info["fault"] == "job"


def test_what_cannot_be_done_is_refused_with_what_to_change(network: Network) -> None:
    with pytest.raises(Refused, match="k must be at least 1"):
        network.submit("kmeans", X, k=0, reward=1)
    with pytest.raises(Refused, match="has no parameter 'clusters'"):
        network.submit("kmeans", X, clusters=2, reward=1)
    with pytest.raises(Refused, match="model_type"):
        network.submit("forest", X, reward=1)
    with pytest.raises(NotFound, match="is no job's id"):
        network.job("../workers")
    with pytest.raises(NotFound):
        network.job(str(uuid.uuid4()))
    with pytest.raises(Refused, match="Say which client"):
        Network(network.url).balance()


def test_tokens_are_sent_once_however_often_the_call_is(network: Network) -> None:
    bob = Network(network.url, client=f"bob-{uuid.uuid4().hex[:8]}")
    assert bob.register(10) == 10
    key = uuid.uuid4().hex
    for _ in range(2):
        network.transfer(bob.client, 2.5, idempotency_key=key)
    assert bob.balance() == 12.5


def test_lists_come_whole_over_several_pages(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    several = [network.submit("pca", X, n_components=1, reward=1).id for _ in range(3)]
    assert len(network.jobs(most=2)) == 2
    found = [job.id for job in network.jobs(most=5000)]
    assert set(several) <= set(found) and len(set(found)) == len(found)
    assert "client_tests" in [worker["worker_id"] for worker in network.workers()]
    assert network.worker("client_tests")["stake"] > 0


def test_one_network_serves_many_threads(network: Network) -> None:
    errors = []

    def work(number: int) -> None:
        try:
            rows = np.random.default_rng(number).normal(size=(60, 2))
            result = network.submit("pca", rows, n_components=2, reward=1).wait(60).result()
            np.testing.assert_allclose(result["mean"], rows.mean(axis=0), atol=1e-12)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
