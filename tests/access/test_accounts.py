"""Accounts: signing up, logging in and out, lock-out, a new password, single sign-on."""

import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialToken
from axes.models import AccessAttempt
from django.conf import global_settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from marketplace.actions import invitations
from marketplace.models import Event, Invitation, database_now, roles_of
from tests.access import identity_provider
from tests.api.calls import is_refused, post
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough secret 42"
HTML = {"Accept": "text/html"}


@pytest.fixture(autouse=True)
def closed(settings: Any) -> None:
    settings.SANDBOX = False
    settings.SIGNUP = "invitation"
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "accounts"}}
    cache.clear()


def sign_up(http: Client, code: str = "", name: str = "carol", **more: Any) -> Any:
    form = {"username": name, "email": f"{name}@example.org", "password1": PASSWORD, "password2": PASSWORD}
    return http.post("/accounts/signup/", form | {"invitation": code} | more)


def log_in(http: Client, name: str, password: str = "correct horse battery") -> Any:
    return http.post("/login/", {"login": name, "password": password})


def is_in(http: Client) -> bool:
    return http.get("/account/").status_code == 200


# signing up


def test_passwords_are_hashed_as_django_recommends(settings: Any) -> None:
    assert settings.PASSWORD_HASHERS == global_settings.PASSWORD_HASHERS


def test_an_invitation_lets_one_person_in_with_its_roles(client: Client) -> None:
    code = invitations.invite(roles=["client", "contributor"], actor="olga", note="Carol").code
    page = client.get(f"/accounts/signup/?code={code}").content.decode()
    assert code in page
    assert sign_up(client, code).status_code == 302
    carol = User.objects.get()
    assert roles_of(carol) == {"client", "contributor"} and not carol.is_staff and is_in(client)
    used = Invitation.objects.get()
    assert used.used_by == carol and used.used_at is not None
    assert Event.objects.filter(kind="account.roles", actor="olga").count() == 1
    again = sign_up(Client(), code, "dave").content.decode()
    assert invitations.UNUSABLE in again and User.objects.count() == 1


def test_without_an_invitation_or_with_a_wrong_or_old_one_nobody_signs_up() -> None:
    old = invitations.invite(roles=["client"], actor="olga")
    Invitation.objects.filter(pk=old.invitation.pk).delete()
    row = old.invitation
    row.expires_at = database_now() - timedelta(seconds=1)
    row.save(force_insert=True)
    for code in ("", "guess", old.code):
        assert sign_up(Client(), code).status_code == 200
    assert not User.objects.exists()


def test_an_account_that_lost_the_race_for_its_invitation_is_not_made(monkeypatch: Any) -> None:
    code = invitations.invite(roles=["client"], actor="olga").code
    other = cast.a_user("other", roles=())
    monkeypatch.setattr(invitations, "is_open", lambda code: True)  # as it was when the form was checked
    invitations.accept(code=code, user=other)
    response = sign_up(Client(), code)
    assert response.status_code == 400 and invitations.UNUSABLE in response.content.decode()
    assert not User.objects.filter(username="carol").exists()


def test_an_invited_operator_has_every_right(client: Client) -> None:
    sign_up(client, invitations.invite(roles=["operator"], actor="olga").code)
    assert User.objects.get().is_superuser
    assert client.get("/admin/marketplace/job/").status_code == 200


def test_closed_means_closed(settings: Any, client: Client) -> None:
    settings.SIGNUP = "closed"
    code = invitations.invite(roles=["client"], actor="olga").code
    assert "Nobody can sign up here" in client.get("/accounts/signup/").content.decode()
    assert "Nobody can sign up here" in sign_up(client, code).content.decode()
    assert not User.objects.exists()
    assert "Sign up" not in client.get("/login/").content.decode()


def test_open_gives_the_roles_that_are_set_and_wants_the_address_confirmed(
    settings: Any, client: Client, mailoutbox: list[Any]
) -> None:
    settings.SIGNUP, settings.SIGNUP_ROLES, settings.ACCOUNT_EMAIL_VERIFICATION = "open", ["client"], "mandatory"
    sign_up(client)
    assert roles_of(User.objects.get()) == {"client"} and not is_in(client)
    link = re.search(r"https?://\S+/accounts/confirm-email/\S+", mailoutbox[0].body)[0]
    assert client.get(urlsplit(link).path).status_code == 200 and not EmailAddress.objects.get().verified
    client.post(urlsplit(link).path)
    assert EmailAddress.objects.get().verified
    log_in(client, "carol", PASSWORD)
    assert is_in(client)


@pytest.mark.parametrize("name", ["../etc", "a b", "-x", "ä", "x" * 65, "a\nb"])
def test_a_name_that_no_wallet_could_have_is_refused(name: str) -> None:
    sign_up(Client(), invitations.invite(roles=["client"], actor="olga").code, name, email="c@example.org")
    assert not User.objects.exists()


def test_inviting_on_the_command_line_by_api_and_on_the_page(client: Client) -> None:
    out = StringIO()
    call_command("invite", "client", "contributor", "--note", "Alice", stdout=out)
    code = out.getvalue().strip().split("?code=")[1]
    assert invitations.is_open(code)
    with pytest.raises(CommandError, match="days must be"):
        call_command("invite", "client", "--days", "0")
    client.force_login(cast.olga(), backend="django.contrib.auth.backends.ModelBackend")
    made = post(client, "/invitations", {"roles": ["client"], "note": "Bob"}).json()
    assert invitations.is_open(made["code"]) and made["url"].endswith(f"/accounts/signup/?code={made['code']}")
    assert "code" not in client.get("/invitations").json()["invitations"][0]
    html = client.post("/account/invitations/", {"invite-roles": ["client"], "invite-days": "3"}).content.decode()
    assert invitations.is_open(re.search(r"\?code=([\w-]+)", html)[1])
    is_refused(post(client, "/invitations", {"roles": ["king"]}))


# logging in and out


def test_logging_in_and_out(client: Client) -> None:
    cast.alice()
    assert "Log in" in client.get("/login/").content.decode()
    assert log_in(client, "alice").status_code == 302 and is_in(client)
    assert client.post("/logout/").status_code == 302 and not is_in(client)
    assert not Session.objects.exists()


def test_a_session_is_kept_under_its_keys_digest(client: Client) -> None:
    cast.alice()
    log_in(client, "alice")
    kept, cookie = Session.objects.get().session_key, client.cookies["sessionid"].value
    assert kept != cookie
    thief = Client()
    thief.cookies["sessionid"] = kept
    assert not is_in(thief)
    thief.cookies["sessionid"] = cookie
    assert is_in(thief)


def test_wrong_passwords_lock_the_name_for_that_address_and_no_other(client: Client, settings: Any) -> None:
    cast.alice()
    cast.bob()
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        assert log_in(client, "alice", "wrong").status_code == 200
    locked = log_in(client, "alice", "wrong")
    assert locked.status_code == 429 and "Wait before you log in" in locked.content.decode()
    assert log_in(client, "alice").status_code == 429 and not is_in(client)
    form = {"username": "alice", "password": "correct horse battery"}
    assert client.post("/admin/login/", form).status_code == 429
    assert log_in(Client(), "bob").status_code == 302
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert log_in(elsewhere, "alice").status_code == 302 and is_in(elsewhere)
    assert "wrong" not in str(list(AccessAttempt.objects.values()))
    AccessAttempt.objects.update(attempt_time=database_now() - settings.AXES_COOLOFF_TIME - timedelta(seconds=1))
    assert log_in(client, "alice").status_code == 302 and is_in(client)


def test_a_new_password_comes_by_e_mail(client: Client, mailoutbox: list[Any]) -> None:
    alice = cast.a_user("alice", email="alice@example.org")
    client.post("/accounts/password/reset/", {"email": "alice@example.org"})
    link = urlsplit(re.search(r"https?://\S+/accounts/password/reset/key/\S+", mailoutbox[0].body)[0]).path
    form_at = client.get(link).headers["Location"]
    client.post(form_at, {"password1": PASSWORD, "password2": PASSWORD})
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert "already been used" in Client().get(link).content.decode()


def test_who_has_no_account_is_not_told_so(client: Client, mailoutbox: list[Any]) -> None:
    response = client.post("/accounts/password/reset/", {"email": "nobody@example.org"})
    assert response.status_code == 302 and len(mailoutbox) == 1
    assert "/password/reset/key/" not in mailoutbox[0].body


@pytest.mark.parametrize(
    "path", ["/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/inactive/", "/account/"]
)
def test_account_pages_keep_the_pages_policy(client: Client, path: str) -> None:
    client.force_login(
        cast.olga(), backend="django.contrib.auth.backends.ModelBackend"
    ) if path == "/account/" else None
    response = client.get(path, headers=HTML)
    html = response.content.decode()
    assert response.status_code == 200 and "Content-Security-Policy" in response.headers
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=", html)
    assert "no-store" in response.headers["Cache-Control"]


def test_roles_say_what_an_account_may_do(client: Client) -> None:
    visitor, renter = cast.a_user("visitor", roles=()), cast.a_user("renter", roles=("client",))
    client.force_login(visitor, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/jobs").status_code == 200
    assert "role client" in is_refused(post(client, "/client/register", {"client_address": "x"}), 403)
    page = client.get("/dashboard/", headers=HTML).content.decode()
    assert "Register client" not in page and "Register worker" not in page
    assert client.post("/dashboard/clients/", {"client-client_address": "x"}, headers=HTML).status_code == 403
    client.force_login(renter, backend="django.contrib.auth.backends.ModelBackend")
    assert post(client, "/client/register", {"client_address": "x"}).status_code == 200
    page = client.get("/dashboard/", headers=HTML).content.decode()
    assert "Register client" in page and "Register worker" not in page


# single sign-on


@pytest.fixture
def provider(settings: Any) -> Iterator[identity_provider.Provider]:
    with identity_provider.running() as running:
        app = {"provider_id": "sso", "name": "The Lab", "client_id": "computenet", "secret": "s"}
        app["settings"] = {"server_url": running.url}
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
        settings.ROOT_URLCONF = "tests.access.sso_urls"
        yield running


def through_the_provider(http: Client) -> Any:
    """What a browser does: to the provider, and back with a code."""
    there = urlsplit(http.get("/accounts/oidc/sso/login/").headers["Location"])
    asked = parse_qs(there.query)
    assert asked["code_challenge_method"] == ["S256"] and there.path == "/authorize"
    return http.get("/accounts/oidc/sso/login/callback/", {"code": "c", "state": asked["state"][0]})


def test_single_sign_on_makes_an_account_with_an_invitation_and_logs_in_after(
    client: Client, provider: identity_provider.Provider
) -> None:
    assert "Log in with The Lab" in client.get("/login/").content.decode()
    assert through_the_provider(client).headers["Location"] == "/accounts/3rdparty/signup/"
    assert provider.asked[0]["code_verifier"]
    form = {"username": "carol", "email": "carol@example.org"}
    client.post("/accounts/3rdparty/signup/", form | {"invitation": ""})
    assert not User.objects.exists()
    code = invitations.invite(roles=["client"], actor="olga").code
    client.post("/accounts/3rdparty/signup/", form | {"invitation": code})
    assert roles_of(User.objects.get()) == {"client"} and is_in(client)
    assert not SocialToken.objects.exists()  # what the provider gave is not kept
    later = Client()
    through_the_provider(later)
    assert is_in(later) and User.objects.count() == 1


def test_a_callback_that_nobody_asked_for_logs_nobody_in(client: Client, provider: identity_provider.Provider) -> None:
    response = client.get("/accounts/oidc/sso/login/callback/", {"code": "c", "state": "forged"})
    assert response.status_code in (200, 401) and not is_in(client) and not provider.asked
