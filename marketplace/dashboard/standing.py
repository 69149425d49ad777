"""What a worker's page does with its stake and its rejections."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from marketplace.actions import contests, pauses, stakes
from marketplace.actions.contests import MAX_NOTE
from marketplace.dashboard.access import Viewer, acting_user, actor_name
from marketplace.dashboard.writes import posted
from marketplace.domain.access import Scope
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.money import in_words


class AmountForm(forms.Form):
    amount = forms.DecimalField()


class ContestForm(forms.Form):
    assignment = forms.UUIDField()
    note = forms.CharField(max_length=MAX_NOTE)


def _do(request: HttpRequest, name: str, form: forms.Form, act: Callable[[dict[str, Any]], str]) -> HttpResponse:
    """Act on what was typed, say what came of it, and show the worker's page again."""
    try:
        if not form.is_valid():
            raise Refused(next(f"{field}: {errors[0]}" for field, errors in form.errors.items()))
        messages.success(request, act(form.cleaned_data))
    except NotFound as refusal:
        raise Http404(str(refusal)) from None
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("worker", name=name)


@posted(Scope.CONTRIBUTE)
def top_up(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    def act(given: dict[str, Any]) -> str:
        worker = stakes.top_up(name=name, amount=given["amount"], user=acting_user(request))
        return f"{name} has {in_words(worker.stake.balance)} at stake now."

    return _do(request, name, AmountForm(request.POST), act)


@posted(Scope.CONTRIBUTE)
def unstake(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    def act(given: dict[str, Any]) -> str:
        row = stakes.unstake(name=name, amount=given["amount"], user=acting_user(request))
        return f"{in_words(row.amount)} on the way out until {row.release_at:%Y-%m-%d %H:%M} UTC."

    return _do(request, name, AmountForm(request.POST), act)


class PauseForm(forms.Form):
    paused = forms.BooleanField(required=False)
    hand_back = forms.BooleanField(required=False)


class HoursForm(forms.Form):
    schedule = forms.CharField(max_length=200, required=False)
    time_zone = forms.CharField(max_length=64)


@posted(Scope.CONTRIBUTE)
def pause(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    def act(given: dict[str, Any]) -> str:
        paused, back = given["paused"] or given["hand_back"], given["hand_back"]
        pauses.set_paused(
            name=name, paused=paused, user=acting_user(request), actor=actor_name(request), hand_back=back
        )
        if back:
            return f"{name} is paused, and others get what it had."
        return f"{name} is paused; it finishes what it has." if paused else f"{name} takes jobs again."

    return _do(request, name, PauseForm(request.POST), act)


@posted(Scope.CONTRIBUTE)
def hours(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    def act(given: dict[str, Any]) -> str:
        worker = pauses.set_schedule(name=name, user=acting_user(request), actor=actor_name(request), **given)
        return f"{name} takes jobs {f'at {worker.schedule}, {worker.time_zone}' if worker.schedule else 'always'}."

    return _do(request, name, HoursForm(request.POST), act)


@posted(Scope.CONTRIBUTE)
def contest(request: HttpRequest, viewer: Viewer, name: str) -> HttpResponse:
    def act(given: dict[str, Any]) -> str:
        contests.contest(
            worker_name=name, assignment_id=given["assignment"], note=given["note"], user=acting_user(request)
        )
        return "The rejection is contested; an operator decides."

    return _do(request, name, ContestForm(request.POST), act)
