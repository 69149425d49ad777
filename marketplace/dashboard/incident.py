"""The operator's page for an incident: one form a deed, and what came of it."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from marketplace.actions import incidents, payouts, reverification
from marketplace.dashboard.access import Viewer, actor_name, page, require_scope
from marketplace.domain.access import Scope
from marketplace.domain.errors import Refused
from marketplace.domain.words import counted
from marketplace.models import Contributor, HeldVerdict, Network, Reverification, Worker

SHOWN = 50  # rows of a list; `manage.py incident` prints them all
MOST_REASON = 500


def show(request: HttpRequest, viewer: Viewer, **found: Any) -> HttpResponse:
    checks = Reverification.objects.select_related("assignment__verdict", "assignment__job", "assignment__worker")
    context = {
        "viewer": viewer,
        "here": request.path,
        "network": Network.objects.get(pk=1),
        "held": HeldVerdict.objects.filter(settled_at=None).count(),
        "checks": checks[:SHOWN],
        "contributors": Contributor.objects.order_by("name").values_list("name", flat=True)[:500],
        "enrolled": Worker.objects.exclude(secret_sha256="").order_by("name").values_list("name", flat=True)[:500],
        "shown": SHOWN,
        **found,
    }
    return render(request, "dashboard/incident.html", context)


@page
def incident(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    require_scope(viewer, Scope.OPERATE)
    name = request.GET.get("contributor", "")
    if not name:
        return show(request, viewer)
    try:
        return show(request, viewer, touched=incidents.touched(incidents.find_contributor(name)))
    except Refused as refusal:
        raise Http404(str(refusal)) from None


@page
def act(request: HttpRequest, viewer: Viewer, verb: str) -> HttpResponseBase:
    """Do one deed. What must be shown once (keys) is the answer itself; anything else is a redirect."""
    require_scope(viewer, Scope.OPERATE)
    if request.method != "POST":
        return redirect("incident")
    actor, reason = actor_name(request), request.POST.get("reason", "").strip()[:MOST_REASON]
    try:
        if verb == "rotate":
            keys = incidents.rotate_secrets(actor=actor, worker_name=_worker(request))
            return show(request, viewer, keys=keys)
        if verb in ("suspend", "reinstate", "reverify"):
            return _to_contributor(request, verb, actor, reason)
        messages.success(request, _to_network(verb, actor, reason))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("incident")


def _worker(request: HttpRequest) -> str:
    """The worker that a form names; "" for all, which has to be said in so many words.

    Raises:
        Refused: neither.
    """
    name = request.POST.get("worker", "").strip()
    if not name and request.POST.get("all") != "yes":
        raise Refused("Choose a worker, or tick that it is to be all of them.")
    return name


def _to_network(verb: str, actor: str, reason: str) -> str:
    if verb == "freeze":
        payouts.freeze(actor=actor, reason=reason)
        return "Payouts are frozen."
    if verb == "thaw":
        settled = counted(payouts.thaw(actor=actor), "verdict that waited is,verdicts that waited are")
        return f"Payouts are thawed; {settled} settled now."
    if verb == "drain":
        incidents.drain_all(draining=True, actor=actor, reason=reason)
        return "No machine is given anything new."
    if verb == "undrain":
        incidents.drain_all(draining=False, actor=actor, reason=reason)
        return "Machines are given work again."
    raise Http404("There is no such deed.")


def _to_contributor(request: HttpRequest, verb: str, actor: str, reason: str) -> HttpResponseBase:
    contributor = incidents.find_contributor(request.POST.get("contributor", ""))
    if verb == "suspend":
        incidents.suspend_contributor(contributor=contributor, actor=actor, reason=reason or "an incident")
        messages.success(request, f"{contributor.name} is suspended; below is all that its workers touched.")
    elif verb == "reinstate":
        incidents.reinstate_contributor(contributor=contributor, actor=actor, reason=reason)
        messages.success(request, f"{contributor.name} is reinstated.")
    else:
        text = request.POST.get("count", "")
        count = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        asked = reverification.ask(contributor=contributor, count=count, actor=actor)
        messages.success(request, f"Checking {counted(len(asked), 'answer')} of {contributor.name} again.")
    return redirect(f"{reverse('incident')}?{urlencode({'contributor': contributor.name})}")
