"""What one is told of, and how: a part of one's account."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from marketplace.actions import notices
from marketplace.dashboard.access import strict
from marketplace.dashboard.forms import PlainForm
from marketplace.domain.errors import Refused
from marketplace.models import Notice, NoticeChoice
from marketplace.models.notices import OPERATORS, Kind

SHOWN = 20


class NotifyForm(PlainForm):
    prefix = "notify"

    kinds = forms.MultipleChoiceField(label="Tell me when", widget=forms.CheckboxSelectMultiple, required=False)
    by_email = forms.BooleanField(label="By e-mail", required=False)
    webhook_url = forms.CharField(label="By a webhook to", required=False, max_length=500)

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(kind.value, kind.label) for kind in Kind if user.is_staff or kind not in OPERATORS]
        self.fields["kinds"].choices = choices  # type: ignore[attr-defined]
        hosts = ", ".join(settings.WEBHOOK_HOSTS) or "none yet"
        self.fields["webhook_url"].help_text = f"https:// and a host that the operator lists: {hosts}."
        address = notices.address_of(user)
        self.fields["by_email"].help_text = f"To {address}." if address else "Confirm your e-mail address first."


def show(request: HttpRequest, form: NotifyForm, *, status: int = 200, secret: str = "") -> HttpResponse:
    user: Any = request.user
    sent = Notice.objects.filter(user=user).exclude(lines=[])[:SHOWN]
    context = {"form": form, "secret": secret, "notices": sent}
    return render(request, "account/notifications.html", context, status=status)


@strict
@login_required
def notifications(request: HttpRequest) -> HttpResponse:
    """The page; and keeping the choice, whose webhook's secret is in the answer itself and kept nowhere."""
    user: Any = request.user
    if request.method != "POST":
        row = NoticeChoice.objects.filter(user=user).first() or NoticeChoice()
        known = {"kinds": row.kinds, "by_email": row.by_email, "webhook_url": row.webhook_url}
        return show(request, NotifyForm(user=user, initial=known))
    form = NotifyForm(request.POST, user=user)
    if not form.is_valid():
        return show(request, form, status=400)
    try:
        secret = notices.choose(user=user, **form.cleaned_data)
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return show(request, form, status=refusal.status)
    if secret:
        return show(request, form, secret=secret)
    messages.success(request, "Your choice is kept.")
    return redirect("notifications")
