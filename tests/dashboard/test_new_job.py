"""The three steps of a new job: data, model, quote. Nothing is held before the last one is posted."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from marketplace.dashboard import new_job_draft
from marketplace.models import Dataset, Job, Transfer, database_now
from tests import factories
from tests.dashboard import cast
from tests.dashboard.test_pages import HTML, body

pytestmark = pytest.mark.django_db
TABLE = b"""price,city,area,rooms
245000,Bonn,70,2
290000,Bonn,90,
297500,Mainz,85,3
375000,Mainz,120,3
352500,Trier,105,4
"""
SAID = (
    "flats.csv",
    "5 rows",
    "Bonn",
    "245000",
    "int64",
    "float64, 1 missing",
    "city (text)",
    "rooms (1 missing cell)",
)
NEW, MODEL, QUOTE = "/dashboard/jobs/new/", "/dashboard/jobs/new/model/", "/dashboard/jobs/new/quote/"


def upload(client: Any, content: bytes = TABLE, name: str = "flats.csv") -> str:
    response = client.post(NEW, {"file": SimpleUploadedFile(name, content)}, headers=HTML)
    assert response.status_code == 302, response.content.decode()
    return response.headers["Location"]


def submit(client: Any, address: str, reward: str = "5", **more: str) -> Any:
    return client.post(address, {"reward": reward, **more}, headers=HTML)


def test_an_upload_is_shown_with_its_first_rows_and_types(client):
    html = body(client, upload(client))
    for text in (
        "flats.csv",
        "5 rows",
        "Bonn",
        "245000",
        "int64",
        "float64, 1 missing",
        "city (text)",
        "rooms (1 missing cell)",
    ):
        assert text in html, text
    assert html.count('type="checkbox"') == 4 + 1 and html.count(" checked") == 2 and " disabled" not in html


def test_what_cannot_be_a_table_is_refused_in_a_sentence_and_keeps_what_was_pasted(client):
    response = client.post(NEW, {"pasted": "1,2\n3"}, headers=HTML)
    html = response.content.decode()
    assert response.status_code == 400 and 'role="alert"' in html and "1,2" in html
    assert client.post(NEW, {"file": SimpleUploadedFile("x.exe", b"1")}, headers=HTML).status_code == 400
    assert client.post(NEW, {}, headers=HTML).status_code == 400
    assert not Dataset.objects.exists()


def test_a_job_goes_from_pasted_rows_to_its_page(client):
    # However slow the machine is, it is not silent meanwhile.
    cast.a_worker("worker_rtx", last_heartbeat_at=database_now() + timedelta(hours=1))
    cast.a_client("alice")
    pasted = client.post(NEW, {"pasted": "area\tprice\n70\t1.5\n90\t2.5\n85\t2\n"}, headers=HTML).headers["Location"]
    dataset = parse_qs(urlsplit(pasted).query)["dataset"][0]
    address = f"{QUOTE}?dataset={dataset}&c=0&c=1&target=1&client_address=alice&model_type=linear_regression"
    html = body(client, address)
    assert "worker_rtx" in html and "may see the data" in html and "Balance after" in html
    assert not Transfer.objects.filter(code="hold").exists()
    response = submit(client, address)
    job = Job.objects.get()
    assert response.headers["Location"] == f"/dashboard/jobs/{job.pk}/"
    assert (job.features, job.target, job.reward, job.dataset_id) == ([0], 1, 5_000_000, dataset)
    assert factories.run_to_end(job).state == "verified"


def test_text_and_gaps_are_left_out_unless_all_is_chosen_by_hand(client):
    cast.a_client("alice")
    dataset = parse_qs(urlsplit(upload(client)).query)["dataset"][0]
    submit(client, f"{QUOTE}?dataset={dataset}&client_address=alice&model_type=kmeans_clustering&kmeans_clustering.k=2")
    job = Job.objects.get()
    assert job.features == [0, 1] and job.params["k"] == 2  # price and area
    by_hand = f"{QUOTE}?dataset={dataset}&c=1&c=2&c=3&client_address=alice&model_type=pca_analysis"
    response = client.get(by_hand, headers=HTML)
    assert response.status_code == 400 and "has no value in column" in response.content.decode()
    assert "What it would take" in body(client, f"{by_hand}&missing=mean")


def test_a_table_that_ends_in_text_has_no_target_until_one_is_chosen(client):
    cast.a_client("alice")
    address = upload(client, b"length,width,species\n1,2,setosa\n2,3,virginica\n4,4,setosa\n")
    html = body(client, address)
    assert '<option value="" selected>choose a column</option>' in html and "text becomes a category" in html
    dataset = parse_qs(urlsplit(address).query)["dataset"][0]
    asked = f"{QUOTE}?dataset={dataset}&c=0&c=1&client_address=alice&model_type=linear_regression&target="
    response = client.get(asked, headers=HTML)
    assert response.status_code == 400 and "choose the target" in response.content.decode()
    assert "What it would take" in body(client, asked + "1")


def test_the_same_job_asked_for_again_is_one_job_until_it_is_said_to_be_another(client):
    cast.a_client("alice")
    address = f"{QUOTE}?dataset=sample&client_address=alice&model_type=kmeans_clustering"
    first = submit(client, address)
    body(client, address)  # the browser's Back
    second = submit(client, address, reward="5.0")
    assert first.headers["Location"] == second.headers["Location"] and Job.objects.count() == 1
    assert Transfer.objects.filter(code="hold").count() == 1
    page = body(client, second.headers["Location"])
    assert "submitted before" in page and "Submit it again</button>" in page
    client.post(f"{first.headers['Location']}retry/", headers=HTML)
    submit(client, address, reward="6")
    assert Job.objects.count() == 3


def test_demands_and_parameters_reach_the_job_and_the_quote_says_whom_they_keep_out(client):
    cast.a_worker("worker_rtx")
    cast.a_client("alice")
    address = (
        f"{QUOTE}?dataset=sample&client_address=alice&model_type=ridge_regression&ridge_regression.alpha=0.5"
        "&gpu_type=A100&min_memory_gib=2&deadline_hours=1"
    )
    html = body(client, address)
    assert (
        "No worker could take it now." in html
        and "1 worker has no A100." in html
        and "0<small> of 1 worker, 0 free" in html
    )
    submit(client, address)
    job = Job.objects.select_related("resource_class").get()
    assert job.params == {"alpha": 0.5} and job.resource_class.min_memory_bytes == 2 * 2**30
    assert 3500 < (job.deadline_at - job.submitted_at).total_seconds() <= 3601


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("&kmeans_clustering.k=100000", "less than or equal to 4096"),
        ("&kmeans_clustering.k=4000", "k must be at most the number of rows"),
        ("&client_address=nobody", "There is no client nobody"),
    ],
)
def test_a_wrong_parameter_is_said_beside_the_form_that_was_filled_in(client, more, said):
    cast.a_client("alice")
    response = client.get(
        f"{QUOTE}?dataset=sample&client_address=alice&model_type=kmeans_clustering{more}", headers=HTML
    )
    html = response.content.decode()
    assert response.status_code in (400, 404) and said in html and 'name="model_type"' in html


def test_too_little_money_is_said_before_and_changes_nothing(client):
    cast.a_client("alice", balance=3)
    address = f"{QUOTE}?dataset=sample&client_address=alice&model_type=kmeans_clustering&reward=50"
    assert "47 tokens too little" in body(client, address)
    response = submit(client, address, reward="50")
    assert response.status_code == 400 and 'role="alert"' in response.content.decode()
    assert not Job.objects.exists()


def test_another_ones_data_are_not_there(client, settings):
    upload(client)
    dataset = Dataset.objects.get().pk
    settings.SANDBOX = False
    client.force_login(cast.alice())
    for address in (NEW, MODEL, QUOTE):
        assert client.get(f"{address}?dataset={dataset}", headers=HTML).status_code == 404
    assert "flats.csv" not in body(client, NEW)


def test_who_may_not_submit_is_told_which_role_does(client, settings):
    settings.SANDBOX = False
    client.force_login(cast.a_user("carol", roles=("contributor",)))
    assert client.get(NEW, headers=HTML).status_code == 403


def test_a_table_with_very_many_columns_is_chosen_from_by_place(client):
    wide = ",".join(["1.5"] * 100)
    html = body(client, upload(client, f"{wide}\n{wide}\n".encode(), "wide.csv"))
    assert '<option value="0"' not in html and 'name="c"' not in html
    assert 'name="target" min="0" max="99" value="99"' in html and "And 88 more columns" in html


def test_what_is_said_of_gaps_and_scaling_reaches_the_job_and_is_asked_for_again(client):
    cast.a_worker("worker_rtx", last_heartbeat_at=database_now() + timedelta(hours=1))
    cast.a_client("alice")
    dataset = parse_qs(urlsplit(upload(client)).query)["dataset"][0]
    address = (
        f"{QUOTE}?dataset={dataset}&c=1&c=2&c=3&target=0&client_address=alice&model_type=ridge_regression"
        "&missing=mean&standardise=1"
    )
    job = Job.objects.get(pk=submit(client, address).headers["Location"].rstrip("/").rpartition("/")[2])
    assert job.matrix.recipe | {"columns": None} == {
        "columns": None, "target": "price", "categories": ["city"], "missing": "mean", "standardise": True,
        "first_level": "drop", "holdout": 0.0, "seed": 0,
    }  # fmt: skip
    page = body(client, f"/dashboard/jobs/{job.pk}/")
    assert "5 rows are fitted" in page and "city=Mainz" in page and "&quot;missing&quot;: &quot;mean&quot;" in page
    again = body(client, f"{NEW}?{new_job_draft.Draft.of(job).query}")
    assert '<option value="mean" selected>' in again and 'name="standardise" value="1" checked' in again
    assert factories.run_to_end(job).state == "verified"
    result = body(client, f"/dashboard/jobs/{job.pk}/result/")
    assert "city=Trier" in result and "fitted row" in result
