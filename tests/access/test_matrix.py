"""Who gets in where: every route and socket against everybody who may come, as `docs/access.md` says it.

The routes are walked in the URL configuration, so that a new one without a row in the document fails here.
"""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.db import connection, transaction

from marketplace.api.permissions import needed_scopes
from marketplace.dashboard import consumers
from marketplace.dashboard.routing import websocket
from tests.access import routes, world
from tests.dashboard.sockets import Socket

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "access.md"
ROW = re.compile(r"^\| `(\w+) ([^`]+)` \| (.+) \|$", re.MULTILINE)
COLUMNS = ("scope", *world.PERSONAS)


def matrix() -> dict[tuple[str, str], dict[str, str]]:
    """The document's table: (method, route) → what its columns say."""
    rows = {}
    for method, route, cells in ROW.findall(DOCUMENT.read_text()):
        values = [cell.strip() for cell in cells.split(" | ")]
        assert len(values) == len(COLUMNS), f"{method} {route} has {len(values)} cells."
        assert (method, route) not in rows, f"{method} {route} has two rows."
        rows[method, route] = dict(zip(COLUMNS, values, strict=True))
    return rows


@pytest.fixture
def closed(db: None, settings: Any) -> world.World:
    settings.CORS_ALLOWED_ORIGIN_REGEXES = []
    # Throttles count each test by itself.
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "matrix"}}
    cache.clear()
    settings.FAUCET_TOKENS, settings.FAUCET_DAILY_CAP = 5, 50
    return world.build(settings)


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    said = {call for call in matrix() if call[0] != "SOCKET"}
    there = set(routes.calls())
    assert not there - said, f"docs/access.md says nothing of {sorted(there - said)}"
    assert not said - there, f"docs/access.md speaks of {sorted(said - there)}, which is not there"


@pytest.mark.parametrize("persona", world.PERSONAS)
def test_everybody_gets_what_the_document_says(closed: world.World, persona: str) -> None:
    http, wrong = world.browser(closed.senders[persona]), []
    for (method, route), cells in matrix().items():
        if method == "SOCKET":
            continue
        with transaction.atomic():  # each request finds the world as it was
            found = routes.call(http, closed, method, route)
            transaction.set_rollback(True)
        if found != cells[persona]:
            wrong.append(f"{method} {route}: {found}, not {cells[persona]}")
    assert not wrong, "\n".join(wrong)


def test_each_calls_scope_is_what_the_document_says() -> None:
    views = {route: getattr(view, "cls", None) for route, view in routes.walk()}
    wrong = []
    for (method, route), cells in matrix().items():
        view = views.get(route)
        scoped = view is not None and any(each.__name__ == "Scoped" for each in view.permission_classes)
        said = ", ".join(sorted(needed_scopes(view, method))) if scoped else "–"
        if said != cells["scope"] and method != "SOCKET":
            wrong.append(f"{method} {route} needs {said}, not {cells['scope']}")
    assert not wrong, "\n".join(wrong)


def test_a_key_without_its_calls_scope_is_refused_and_one_with_it_is_not(closed: world.World) -> None:
    """Every scope by itself, at every call that has one."""
    rows = [(call, cells["scope"].split(", ")) for call, cells in matrix().items() if cells["scope"] != "–"]
    for scope in world.Scope:
        made = world.keys.make_key(user=closed.olga, name=scope.value, scopes=[scope.value])
        http = world.browser({"headers": {"Authorization": f"Bearer {made.secret}"}})
        for (method, route), needed in rows:
            with transaction.atomic():
                # A key makes no key that is stronger than itself.
                more = {"scopes": [scope.value]} if (method, route) == ("POST", "/keys") else {}
                found = routes.call(http, closed, method, route, **more)
                transaction.set_rollback(True)
            assert (found == "403") == (scope.value not in needed), f"{scope} at {method} {route}: {found}"


def test_the_admin_is_the_operators(closed: world.World) -> None:
    found = {route for route, _ in routes.walk() if route.startswith("/admin/")}
    assert len(found) > 100
    plain = ["/admin/", "/admin/password_change/", "/admin/jsi18n/", "/admin/marketplace/"]
    for model in admin.site._registry:
        of_it = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        plain += [of_it + end for end in ("", "add/", "1/change/", "1/delete/", "1/history/")]
    for persona in world.PERSONAS:
        http = world.browser(closed.senders[persona])
        for url in plain:
            response = http.get(url)
            at_the_door = response.status_code == 302 and "/login/" in response.headers["Location"]
            assert at_the_door != (persona == "operator"), f"{persona} at {url}: {response.status_code}"


def test_every_action_of_the_admin_asks_for_the_right_to_it() -> None:
    for model, shown in admin.site._registry.items():
        for action in shown.actions:
            name = action if isinstance(action, str) else action.__name__
            method = getattr(shown, name, None)
            if model._meta.app_label == "marketplace":
                assert getattr(method, "allowed_permissions", None) == ["operate"], f"{model.__name__}.{name}"


CLOSED = {4403: "4403", 4404: "4404", None: "open"}


def test_everybody_hears_on_sockets_what_the_document_says(committed_db: str, settings: Any) -> None:
    made = world.build(settings)
    said = {route: cells for (method, route), cells in matrix().items() if method == "SOCKET"}
    known = [each.pattern for each in websocket.inner.inner.inner.routes]
    there = {f"/{pattern}" for pattern in known if str(pattern)}
    assert set(said) == there, f"docs/access.md speaks of {sorted(said)} and there are {sorted(there)}"

    async def close_code(route: str, user: Any) -> int | None:
        consumer = next(each.callback for each in websocket.inner.inner.inner.routes if f"/{each.pattern}" == route)
        names = {"job_id": made.verified.pk, "name": "alices_gpu"}
        kwargs = {name: value for name, value in names.items() if f":{name}>" in route}
        socket = Socket(consumer, routes.address(made, "GET", route), user=user, url_route={"kwargs": kwargs})
        await socket.open()
        message = await socket.output()
        await socket.close()
        return message.get("code") if message["type"] == "websocket.close" else None

    async def scene() -> list[str]:
        wrong = []
        for route, cells in said.items():
            for persona in world.PERSONAS:
                # Sockets know log-ins alone: a key or a machine's secret is nobody there.
                user = made.senders[persona].get("user", AnonymousUser())
                found = CLOSED.get(await close_code(route, user), "?")
                if found != cells[persona]:
                    wrong.append(f"{route} for {persona}: {found}, not {cells[persona]}")
        return wrong

    assert consumers.CLOSE_FORBIDDEN == 4403 and consumers.CLOSE_NOT_FOUND == 4404
    wrong = asyncio.run(scene())
    assert not wrong, "\n".join(wrong)


def test_a_dump_of_the_database_opens_no_door(closed: world.World) -> None:
    """Nothing that opens a door is in any row; and nothing that is in a row opens one."""
    http = world.browser({"user": closed.alice})
    cookie = http.cookies["sessionid"].value
    assert http.get("/keys").status_code == 200
    values = {value for rows in _dump().values() for row in rows for value in row if isinstance(value, str)}
    for secret in [*closed.secrets, cookie]:
        assert not [value for value in values if secret in value], "a secret is kept as it is"
    stranger = world.browser({})
    short = [value for value in values if 20 <= len(value) <= 200 and value.isascii() and value.isprintable()]
    assert len(short) > 30
    for value in short:
        assert world.keys.open_with(value) is None
        assert not world.invitations.is_open(value)
        stranger.cookies["sessionid"] = value
        assert "_auth_user_id" not in stranger.session
        for machine in world.Worker.objects.all():
            headers = {"Authorization": f"Worker {machine.pk}.{value}"}
            assert stranger.post("/worker/heartbeat", {}, headers=headers).status_code == 401


def _dump() -> dict[str, list[tuple]]:
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            found[table] = cursor.fetchall()
    return found
