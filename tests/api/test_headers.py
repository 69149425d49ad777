"""What every answer carries, and how often one may ask: content policy, request ids, throttles."""

import logging
import re
import secrets
from ipaddress import IPv4Address
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client, RequestFactory, override_settings
from redis.exceptions import ConnectionError as RedisGone

from marketplace.api.requests import is_loopback
from marketplace.api.throttles import address_of, seconds_to_wait
from marketplace.cache import JSONSerializer
from tests import factories as make
from tests.api.calls import is_refused, post
from tests.factories import random_name

HTML = {"Accept": "text/html"}
PAGES = ["/", "/dashboard/", "/docs/", "/docs/?script=", "/workers", "/admin/login/", "/nowhere"]


def new_address() -> str:
    """An address that nobody has called from in this minute."""
    return str(IPv4Address(0x0A000000 + secrets.randbelow(2**24)))


# The content policy


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_no_page_may_run_an_inline_script_or_ask_another_host(client: Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    directives = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert directives["script-src"] == "'self'" and directives["default-src"] == "'self'"
    assert directives["object-src"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
    assert directives["form-action"] == "'self'"
    assert "http" not in answer["Content-Security-Policy"]


INLINE = re.compile(r"<script(?![^>]*\b(src=|type=\"(application/json|text/template)))|\son\w+=|javascript:", re.I)
ELSEWHERE = re.compile(r"<(?:script|link|img|iframe|form)[^>]*?(?:src|href|action)=[\"']?(?:https?:)?//", re.I)


@pytest.mark.django_db
def test_our_pages_have_no_inline_script_or_style_and_ask_nobody_else(client: Client) -> None:
    make.make_client()
    make.make_worker()
    job = make.run_to_end(make.make_job())
    for path in ["/", f"/dashboard/jobs/{job.pk}/", "/dashboard/workers/rtx4090/", "/nowhere"]:
        answer = client.get(path, headers=HTML)
        html = answer.content.decode()
        assert not INLINE.search(html) and not ELSEWHERE.search(html), path
        assert "<style" not in html and " style=" not in html, path
        assert "style-src 'self';" in answer["Content-Security-Policy"] + ";"


@pytest.mark.django_db
def test_the_pages_of_others_have_no_inline_script_either(admin_client: Client) -> None:
    make.make_client()
    paths = ["/docs/", "/workers", "/client/register", "/admin/", "/admin/marketplace/client/"]
    for path in paths:
        html = admin_client.get(path, headers=HTML).content.decode()
        assert len(html) > 500, path
        assert not INLINE.search(html), (path, INLINE.search(html))
        assert not re.search(r"<(?:script|link|img)[^>]*?(?:src|href)=[\"']?(?:https?:)?//", html), path


@pytest.mark.django_db
def test_cookies_and_frames(client: Client) -> None:
    answer = client.get("/dashboard/", headers=HTML)
    assert answer["X-Frame-Options"] == "DENY" and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"


# Throttles


def limited(**limits: int) -> Any:
    return override_settings(THROTTLES={"address": 10**6, "user": 10**6} | limits)


@pytest.mark.django_db
def test_an_address_that_calls_too_often_waits_and_is_told_how_long(client: Client) -> None:
    here = {"REMOTE_ADDR": new_address()}
    with limited(address=3):
        assert [client.get("/health", **here).status_code for _ in range(3)] == [200, 200, 200]
        refused = client.get("/network/stats", **here)
        is_refused(refused, 429)
        assert 1 <= int(refused["Retry-After"]) <= 60
        page = client.get("/dashboard/", headers=HTML, **here)
        assert page.status_code == 429 and b"That was too often" in page.content and page["Retry-After"]
        assert client.get("/health", REMOTE_ADDR=new_address()).status_code == 200


@pytest.mark.django_db
def test_a_user_that_calls_too_often_waits_wherever_it_calls_from(client: Client) -> None:
    user = get_user_model().objects.create_user(random_name(), is_staff=True, id=secrets.randbelow(2**31))
    client.force_login(user)
    with limited(user=2):
        for _ in range(2):
            assert client.get("/workers", REMOTE_ADDR=new_address()).status_code == 200
        refused = client.get("/workers", REMOTE_ADDR=new_address())
        is_refused(refused, 429)
        assert 1 <= int(refused["Retry-After"]) <= 61
        assert client.get("/dashboard/", headers=HTML, REMOTE_ADDR=new_address()).status_code == 429
        assert Client().get("/workers").status_code == 200


@pytest.mark.django_db
def test_machines_beat_as_often_as_they_like(client: Client) -> None:
    here = {"REMOTE_ADDR": new_address()}
    with limited(address=1):
        for _ in range(5):
            answer = post(client, "/worker/heartbeat", {}, headers={"Authorization": "Worker x.y"}, **here)
            assert answer.status_code == 401
        assert client.get("/health", **here).status_code == 200
        assert client.get("/health", **here).status_code == 429


def test_nobody_waits_while_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object) -> int:
        raise RedisGone("refused")

    monkeypatch.setattr("marketplace.api.throttles.count", away)
    with limited(address=0):
        assert seconds_to_wait("address", "127.0.0.1") == 0


def test_an_ipv6_household_is_one_address() -> None:
    def of(address: str) -> str:
        return address_of(RequestFactory().get("/", REMOTE_ADDR=address))

    assert of("2001:db8:1:2:aaaa::1") == of("2001:db8:1:2:bbbb::2") != of("2001:db8:1:3::1")
    assert of("10.0.0.1") != of("10.0.0.2") and of("::ffff:10.0.0.1") != of("::ffff:10.0.0.2")


def test_the_cache_holds_json_and_never_a_pickle() -> None:
    cache.set("a", {"b": [1, "c"]})
    assert cache.get("a") == {"b": [1, "c"]}
    with pytest.raises(TypeError):
        cache.set("a", object())
    with pytest.raises(ValueError):
        JSONSerializer().loads(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94.")


# The log-in


@pytest.mark.django_db
def test_five_wrong_passwords_lock_one_address_out_of_one_account() -> None:
    get_user_model().objects.create_user("locked", password="a long right password")

    def log_in(password: str, **more: Any) -> Any:
        return Client().post("/login/", {"login": "locked", "username": "locked", "password": password}, **more)

    for _ in range(5):
        refused = log_in("wrong")
    assert refused.status_code == 429 and int(refused["Retry-After"]) == 900
    assert log_in("a long right password").status_code == 429
    assert log_in("a long right password", REMOTE_ADDR=new_address()).status_code == 302


# The loopback


def test_what_counts_as_loopback() -> None:
    assert all(
        is_loopback(host) for host in ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"]
    )
    assert not any(is_loopback(host) for host in ["0.0.0.0", "::", "10.0.0.1", "8.8.8.8", "evil.localhost.org", ""])


# Request ids, seen from inside


@pytest.mark.django_db
def test_a_failure_names_the_id_that_its_log_lines_carry(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def breaks() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("marketplace.actions.network.stats", breaks)
    with caplog.at_level(logging.ERROR):
        sentence = is_refused(client.get("/network/stats", headers={"X-Request-ID": "from-the-proxy-1"}), 500)
    assert "from-the-proxy-1" in sentence and "from-the-proxy-1" in caplog.text
