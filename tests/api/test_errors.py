"""Refusals that are not about a field: methods, media types, hosts, origins, and failures of the server's own."""

import logging
from typing import Any

import pytest
from django.test import Client

from tests.api.calls import is_refused, post

NOWHERE = "/client/a/b/balance"


def test_a_wrong_method_is_refused(client: Client) -> None:
    assert "DELETE" in is_refused(client.delete("/workers"), 405)
    assert "GET" in is_refused(client.get("/job/submit"), 405)


def test_a_wrong_media_type_is_refused_and_the_right_one_is_named(client: Client) -> None:
    form = client.post("/client/register", "client_address=alice", "application/x-www-form-urlencoded")
    assert "application/json" in is_refused(form, 415)
    assert "multipart/form-data" in is_refused(post(client, "/datasets", {}), 415)


def test_a_form_that_the_call_cannot_answer_in_is_refused(client: Client) -> None:
    is_refused(client.get("/workers", headers={"Accept": "image/png"}), 406)


def test_an_unknown_path_answers_a_program_in_json_and_a_browser_with_a_page(client: Client) -> None:
    for path in ["/nowhere", NOWHERE, "/job/not-a-uuid/status", "/client/a%00b/balance", "/worker/a%00b/status"]:
        answer = client.get(path)
        assert (answer.status_code, set(answer.json())) == (404, {"error"}), path
    assert client.get("/nowhere", headers={"Accept": "text/html"})["Content-Type"].startswith("text/html")


def test_a_foreign_host_is_refused(client: Client) -> None:
    assert "host" in is_refused(client.get("/health", headers={"Host": "evil.example"}))
    assert "host" in is_refused(client.get("/", headers={"Host": "evil.example:5000"}))


@pytest.mark.django_db
def test_another_sites_page_may_not_write_and_a_local_one_may(client: Client) -> None:
    for origin in ["https://evil.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example:80"]:
        is_refused(post(client, "/client/register", {"client_address": "eve"}, headers={"Origin": origin}), 403)
    for number, origin in enumerate(["null", "http://localhost:3000", "http://127.0.0.1:8080"]):
        body = {"client_address": f"page{number}"}
        answer = post(client, "/client/register", body, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer["Access-Control-Allow-Origin"] == origin


def test_a_preflight_from_a_page_on_the_disk_is_answered(client: Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = client.options("/job/submit", headers=asked | {"Origin": "null"})
    assert answer["Access-Control-Allow-Origin"] == "null"
    assert "content-type" in answer["Access-Control-Allow-Headers"]
    answer = client.options("/job/submit", headers=asked | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in answer


@pytest.mark.django_db
def test_an_unforeseen_failure_answers_with_an_id_that_is_in_the_log(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def breaks() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("marketplace.actions.network.stats", breaks)
    with caplog.at_level(logging.ERROR):
        sentence = is_refused(client.get("/network/stats"), 500)
    assert "secret" not in sentence
    request_id = sentence.rstrip(".").split()[-1]
    assert request_id in caplog.text and "a secret detail" in caplog.text
