"""What people and generators read of the API: the browsable pages, the schema, the offline documentation."""

import json
import re
from io import StringIO

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from drf_spectacular.validation import validate_schema

from computenet import api_reference
from marketplace.api.urls import urlpatterns
from tests.api.calls import register_client, register_worker, submit_job
from tests.sandbox.running import ROOT

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.django_db
def test_every_call_of_people_has_a_browsable_page(client: Client) -> None:
    register_client(client)
    register_worker(client)
    job_id = submit_job(client).json()["job_id"]
    for path in ["/workers", "/clients", "/jobs", "/jobs/pending", "/datasets", "/network/stats", "/health",
                 "/client/alice/balance", "/worker/rtx_01/status", f"/job/{job_id}/status"]:  # fmt: skip
        answer = client.get(path, headers=HTML)
        assert (answer.status_code, answer["Content-Type"]) == (200, "text/html; charset=utf-8"), path
    lists = client.get("/jobs?limit=1", headers=HTML).content.decode()
    assert job_id in lists


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "example"),
    [
        ("/worker/register", "worker_rtx4090_01"),
        ("/client/register", "alice"),
        ("/job/submit", "linear_regression"),
        ("/quote", "linear_regression"),
    ],
)
def test_a_page_of_a_call_that_writes_has_a_form_filled_with_an_example(
    client: Client, path: str, example: str
) -> None:
    page = client.get(path, headers=HTML).content.decode()
    forms = re.findall(r'<textarea[^>]*name="_content"[^>]*>(.*?)</textarea>', page, re.DOTALL)
    assert len(forms) == 1 and example in forms[0]
    assert client.get("/datasets", headers=HTML).content.decode().count('type="file"') == 1


@pytest.mark.django_db
def test_a_browsable_page_shows_a_refusal_too(client: Client) -> None:
    answer = client.post("/client/register", "{}", content_type="application/json", headers=HTML)
    assert answer.status_code == 400
    assert "This field is required" in answer.content.decode()


@pytest.mark.django_db
def test_the_front_door_gives_a_browser_the_dashboard(client: Client) -> None:
    answer = client.get("/", headers=HTML)
    assert answer.status_code == 200 and answer["Content-Type"].startswith("text/html")
    assert "Accept" in answer["Vary"] and b"</html>" in answer.content


def schema() -> dict[str, dict[str, dict[str, object]]]:
    out = StringIO()
    call_command("spectacular", "--fail-on-warn", stdout=out)
    return yaml.safe_load(out.getvalue())


def test_the_schema_is_valid_and_names_every_call() -> None:
    found = schema()
    validate_schema(found)
    routes = {re.sub(r"<(\w+:)?(\w+)>", r"{\2}", f"/{each.pattern}") for each in urlpatterns}
    assert routes - {"/docs/", "/schema/"} <= set(found["paths"])
    assert "/" in found["paths"]


def test_the_page_of_the_api_is_what_the_schema_makes_of_it() -> None:
    out = StringIO()
    call_command("spectacular", "--format", "openapi-json", stdout=out)
    found = json.loads(out.getvalue())
    made = api_reference.page(found)
    assert (ROOT / "docs" / "api.md").read_text() == made, "Make it anew: make docs"
    assert made.count("\n### `") == sum(map(len, found["paths"].values()))


def test_amounts_are_numbers_in_the_schema() -> None:
    components = schema()["components"]["schemas"]
    assert components["Client"]["properties"]["balance"]["type"] == "number"  # type: ignore[index]
    assert components["SubmitJob"]["properties"]["reward"]["type"] == "number"  # type: ignore[index]


def test_the_documentation_needs_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/docs/").content.decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded and all(each.startswith(("/", "data:")) and not each.startswith("//") for each in loaded)
    for each in loaded:
        if each.startswith("/"):
            assert b"".join(client.get(each)), each
    assert client.get("/schema/").status_code == 200


@pytest.mark.django_db
def test_browsable_pages_need_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/workers", headers=HTML).content.decode()
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]+)"', page)
    assert loaded and all(each.startswith("/") and not each.startswith("//") for each in loaded)
