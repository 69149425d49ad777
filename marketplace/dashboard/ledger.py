"""All transfers, as far as one may see them, and whether the books add up."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from marketplace.actions import books, tokens
from marketplace.dashboard import statement
from marketplace.dashboard.access import Viewer, actor_name, page, require_operator
from marketplace.dashboard.wallet import wallets_of
from marketplace.domain.errors import Refused
from marketplace.models import Account, BooksCheck

KINDS = ("wallet", "escrow", "stake", "unbonding", "treasury")


def _asked(request: HttpRequest, viewer: Viewer) -> tuple[list[int] | None, dict[str, Any]]:
    """Whose transfers, and of which code: all of them to who sees all, else those of one's own wallets."""
    filters: dict[str, Any] = {}
    if (code := request.GET.get("code", "")) in statement.WORDS:
        filters["code"] = code
    accounts: list[int] | None = None
    if not viewer.sees_all:
        accounts = list(wallets_of(viewer).order_by("pk").values_list("pk", flat=True)[:8])
    if name := request.GET.get("account", "").strip()[:100]:
        named = set(Account.objects.filter(name=name).values_list("pk", flat=True))
        accounts = sorted(named if accounts is None else named.intersection(accounts))
    return accounts, filters


@page
def ledger(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    accounts, filters = _asked(request, viewer)
    checked = books.newest()
    context = {
        "viewer": viewer,
        "sheet": statement.sheet(accounts, statement.number_of(request.GET.get("before")), **filters),
        "code": filters.get("code", ""),
        "codes": statement.WORDS,
        "account": request.GET.get("account", ""),
        "query": urlencode({name: request.GET[name] for name in ("code", "account") if request.GET.get(name)}),
        "issued": -checked.by_kind.get("issuance", 0) if checked else tokens.total_supply(),
        "checked": checked,
        "checking": BooksCheck.objects.filter(checked_at=None).exists(),
        "kinds": [(kind, checked.by_kind.get(kind, 0)) for kind in KINDS] if checked else [],
    }
    return render(request, "dashboard/ledger.html", context)


@page
def ledger_csv(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    accounts, filters = _asked(request, viewer)
    before = statement.number_of(request.GET.get("before"))
    return statement.file("ledger.csv", accounts, before, **filters)


@page
def check_books(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    require_operator(viewer)
    if request.method == "POST":
        try:
            books.ask(actor=actor_name(request))
            messages.success(request, "The books are being checked; the answer comes to this page.")
        except Refused as refusal:
            messages.error(request, str(refusal))
    return redirect("ledger")
