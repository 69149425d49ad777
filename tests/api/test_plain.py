"""What programs and machines call passes less middleware than pages do, and is answered as with all of it."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from marketplace.actions.keys import make_key
from marketplace.api.plain import ROUTES
from tests import factories as make
from tests.api.calls import post, register_client

pytestmark = pytest.mark.django_db

CALLS = [
    ("GET", "/health"),
    ("GET", "/jobs"),
    ("GET", "/client/alice/balance"),
    ("GET", "/client/nobody/balance"),
    ("OPTIONS", "/jobs"),
    ("DELETE", "/jobs"),
    ("POST", "/job/submit"),
    ("POST", "/worker/heartbeat"),
    ("GET", "/schema/"),
    ("GET", "/nowhere"),
    ("GET", "/job/no-uuid/status"),
]


def is_plain(answer: Any) -> bool:
    return not hasattr(answer.wsgi_request, "session")


def told(answer: Any) -> tuple[int, dict[str, Any]]:
    """Status and headers; lists in headers have no order."""
    lists = {"Vary": ", ", "Content-Security-Policy": "; "}
    headers = {name: sorted(value.split(lists[name])) if name in lists else value for name, value in answer.items()}
    return answer.status_code, headers


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("secure", [False, True])
def test_a_call_is_answered_alike_with_and_without_what_is_for_browsers(method: str, path: str, secure: bool) -> None:
    register_client(Client())
    with override_settings(SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=60):
        short, full = (
            Client().generic(method, path, "{}", "application/json", secure=secure, **cookies)
            for cookies in ({}, {"HTTP_COOKIE": "theme=dark"})
        )
    assert (told(short), short.content) == (told(full), full.content)
    if secure:
        assert is_plain(short) == (path not in ("/schema/", "/nowhere", "/job/no-uuid/status"))
        assert not is_plain(full)


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "text/html"},
        {"Accept": "TEXT/HTML"},
        {"Accept": "text/*"},
        {"Accept": "application/xhtml+xml"},
        {"Origin": "http://localhost"},
        {"Cookie": "a=b"},
    ],
)
def test_what_a_browser_may_have_sent_passes_all_middleware(headers: dict[str, str]) -> None:
    assert not is_plain(Client().get("/health", headers=headers))


@pytest.mark.parametrize("query", ["format=api", "form%61t=%61pi"])
def test_the_browsable_form_passes_all_middleware_for_it_needs_the_secret_of_forms(query: str) -> None:
    assert not is_plain(Client().get(f"/health?{query}"))


def test_a_foreign_host_is_refused_in_the_short_way_too() -> None:
    refused = Client().get("/health", headers={"Host": "evil.example"})
    assert refused.status_code == 400 and "Content-Security-Policy" in refused


def test_every_call_of_the_api_has_the_short_way() -> None:
    assert {"health", "jobs", "job", "worker", "assignment", "dataset", "token"} <= set(ROUTES)
    assert is_plain(post(Client(), "/token/transfer", {}))


def test_a_call_with_a_key_takes_one_statement_for_the_key_its_user_and_roles(django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("alice")
    make.make_client("bob")
    secret = make_key(user=user, name="k", scopes=["read"]).secret
    for statements in (3, 2):  # the first is noted as the key's use of this minute
        with CaptureQueriesContext(connection) as captured:
            answer = Client().get("/token/balance/bob", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 200, answer.content
        assert len(captured) == statements, [each["sql"] for each in captured]
