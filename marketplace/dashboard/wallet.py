"""One's money: what is there, what is held or at stake, every transfer, and who else may take of it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from marketplace.actions import tokens
from marketplace.actions.once import canonical, once
from marketplace.dashboard import statement
from marketplace.dashboard.access import Viewer, acting_user, actor_name, page
from marketplace.dashboard.forms import PlainForm
from marketplace.domain.access import Scope
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.money import in_digits, in_words
from marketplace.models import Account, Job, Worker

LISTED = 100  # wallets to choose from; another is found by its name


class AmountForm(PlainForm):
    amount = forms.DecimalField(label="Amount (tokens)", min_value=0, widget=forms.NumberInput({"step": "any"}))


class TransferForm(AmountForm):
    prefix = "transfer"

    to = forms.CharField(label="To", max_length=64, help_text="The name of a client or a contributor.")
    once = forms.CharField(widget=forms.HiddenInput, max_length=64)
    field_order = ["to", "amount"]


class ApproveForm(AmountForm):
    prefix = "approve"

    spender = forms.CharField(label="Who may take", max_length=64, help_text="The name of another wallet.")
    field_order = ["spender", "amount"]


class TakeForm(AmountForm):
    prefix = "take"

    owner = forms.CharField(label="From", max_length=64, help_text="A wallet that allows it.")
    field_order = ["owner", "amount"]


@dataclass(frozen=True)
class Sums:
    """Micro-tokens of one wallet and of what belongs to it."""

    available: int
    held: int
    staked: int
    unbonding: int


def wallets_of(viewer: Viewer) -> QuerySet[Account]:
    if viewer.sees_all:
        return Account.objects.filter(kind="wallet")
    mine = tokens.wallets_of(viewer.user_id)
    return Account.objects.filter(pk__in=mine.values("pk"))


def sums(wallet: Account) -> Sums:
    held = Job.objects.filter(client__wallet=wallet, ended_at=None).aggregate(sum=Sum("reward"))["sum"]
    workers = Worker.objects.filter(contributor__wallet=wallet)
    at_stake = workers.aggregate(staked=Sum("stake__balance"), unbonding=Sum("unbonding__balance"))
    return Sums(wallet.balance, held or 0, at_stake["staked"] or 0, at_stake["unbonding"] or 0)


@dataclass(frozen=True)
class Choice:
    """The names of the wallets that one may choose from, first clients'; `more` where there are more than these."""

    clients: list[str]
    contributors: list[str]
    more: bool

    @property
    def names(self) -> list[str]:
        return self.clients + self.contributors


def choice(viewer: Viewer) -> Choice:
    found = list(wallets_of(viewer).order_by("name").values_list("name", "client")[: LISTED + 1])
    clients = [name for name, client in found[:LISTED] if client is not None]
    contributors = [name for name, client in found[:LISTED] if client is None]
    return Choice(clients, contributors, len(found) > LISTED)


def chosen(request: HttpRequest, viewer: Viewer) -> tuple[Account | None, Choice]:
    """The wallet that the address names, or the first, and what one may choose from.

    Raises:
        Http404: there is no such wallet among those that the viewer may see.
    """
    offered = choice(viewer)
    name = request.GET.get("name") or next(iter(offered.names), None)
    wallet = wallets_of(viewer).filter(name=name).first()
    if wallet is None and request.GET.get("name"):
        raise Http404("There is no such wallet among those that you may see.")
    return wallet, offered


def show(request: HttpRequest, viewer: Viewer, *, status: int = 200, **refused: PlainForm) -> HttpResponse:
    wallet, offered = chosen(request, viewer)
    context: dict[str, Any] = {"wallet": wallet, "offered": offered, "live": "", "viewer": viewer}
    if wallet is not None:
        may_move = settings.SANDBOX or tokens.wallets_of(request.user.pk).filter(pk=wallet.pk).exists()
        context |= {
            "sums": sums(wallet),
            "sheet": statement.of_wallet(wallet, statement.number_of(request.GET.get("before"))),
            "given": wallet.allowances_given.filter(amount__gt=0).select_related("spender").order_by("spender__name"),
            "had": wallet.allowances_held.filter(amount__gt=0).select_related("owner").order_by("owner__name"),
            "may_move": may_move and bool(viewer.scopes & {Scope.SUBMIT, Scope.CONTRIBUTE}),
            "query": urlencode({"name": wallet.name}),
            "transfer_form": TransferForm(initial={"once": uuid.uuid4().hex}),
            "approve_form": ApproveForm(),
            "take_form": TakeForm(),
        }
    return render(request, "dashboard/wallet.html", context | refused, status=status)


@page
def wallet(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    return show(request, viewer)


@page
def wallet_csv(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    found, _ = chosen(request, viewer)
    if found is None:
        raise Http404("There is no wallet yet.")
    before = statement.number_of(request.GET.get("before"))
    return statement.wallet_file(found, before)


def _act(
    request: HttpRequest, viewer: Viewer, name: str, form: PlainForm, act: Callable[[Account, dict[str, Any]], str]
) -> HttpResponse:
    """Do what the form says with the wallet of the address, and show the wallet again."""
    if request.method != "POST":
        return redirect("wallet")
    if form.is_valid():
        try:
            source = tokens.own_wallet(name=request.GET.get("name"), user=acting_user(request), field="name")
            messages.success(request, act(source, form.cleaned_data))
            return redirect(f"{reverse('wallet')}?{urlencode({'name': source.name})}")
        except NotFound as refusal:
            if not wallets_of(viewer).filter(name=request.GET.get("name", "")).exists():
                raise Http404(str(refusal)) from None
            form.add_error(None, str(refusal))
        except Refused as refusal:
            form.add_error(None, str(refusal))
    return show(request, viewer, status=400, **{name: form})


@page
def transfer(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    def act(source: Account, given: dict[str, Any]) -> str:
        def send() -> bytes:
            return str(tokens.transfer(source=source, to=given["to"], amount=given["amount"]).amount).encode()

        asked = canonical("transfer", source.name, given["to"], str(given["amount"]))
        sent, _ = once(user=acting_user(request), key=f"page:{given['once']}", request=asked, act=send)
        return f"{in_words(int(sent))} went from {source.name} to {given['to']}."

    return _act(request, viewer, "transfer_form", TransferForm(request.POST), act)


@page
def approve(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Allow another wallet to take; nothing ends it."""

    def act(source: Account, given: dict[str, Any]) -> str:
        allowed = tokens.approve(
            owner=source, spender=given["spender"], amount=given["amount"], actor=actor_name(request)
        )
        if not allowed.amount:
            return f"{given['spender']} may take nothing of {source.name} any more."
        return f"{given['spender']} may take up to {in_words(allowed.amount)} of {source.name}."

    return _act(request, viewer, "approve_form", ApproveForm(request.POST), act)


@page
def take(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Take what another wallet allows."""

    def act(spender: Account, given: dict[str, Any]) -> str:
        made, left = tokens.transfer_from(
            owner=given["owner"], spender=spender, to=spender.name, amount=given["amount"]
        )
        taken = f"{in_words(made.amount)} came from {given['owner']}"
        return f"{taken}; {in_digits(left)} more may be taken."

    return _act(request, viewer, "take_form", TakeForm(request.POST), act)
