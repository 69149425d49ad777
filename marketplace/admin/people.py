"""Clients, contributors, workers and the keys that enrol machines."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from marketplace import filters
from marketplace.actions import audiences, grants, incidents, workers
from marketplace.admin.base import OperatorAdmin, ReadOnlyAdmin, tokens
from marketplace.models import Audience, Client, Contributor, EnrolmentKey, IdempotencyKey, MatrixCopy, Pool, Worker

BALANCE = tokens("wallet__balance", "balance")


class AmountActionForm(ActionForm):
    """What an action that gives something asks beside the rows."""

    amount = forms.DecimalField(label="Tokens", required=False, min_value=0)


class PoolActionForm(ActionForm):
    """Which pool the chosen workers go into or leave."""

    pool = forms.CharField(label="Pool", required=False, max_length=64)


@admin.register(Client)
class ClientAdmin(OperatorAdmin):
    list_display = ["address", "user", BALANCE, "created_at"]
    list_select_related = ["user", "wallet"]
    search_fields = ["address", "user__username"]
    ordering = ["address"]
    list_filter = ["created_at"]
    fields = ["address", "user", "wallet", BALANCE, "virtual_finish", "created_at"]
    readonly_fields = [BALANCE]
    action_form = AmountActionForm
    actions = ["grant"]

    @admin.action(description="Grant so many tokens to each, out of the treasury", permissions=["operate"])
    def grant(self, request: HttpRequest, queryset: Any) -> None:
        actor = request.user.get_username()
        try:
            amount = AmountActionForm.base_fields["amount"].clean(request.POST.get("amount"))
        except ValidationError as error:
            self.message_user(request, f"Tokens: {error.messages[0]}", messages.ERROR)
            return

        def act(client: Client) -> None:
            grants.make_grant(to=client.address, amount=amount, period="once", actor=actor)

        self.each(request, queryset, act, f"client(s) granted {amount} tokens")


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(ReadOnlyAdmin):
    list_display = ["key", "user", "created_at"]
    list_select_related = ["user"]
    search_fields = ["key", "user__username"]
    ordering = ["-created_at"]


@admin.register(Contributor)
class ContributorAdmin(OperatorAdmin):
    list_display = ["name", "user", "reputation", "verified", "rejected", BALANCE, "suspended_at"]
    list_filter = ["suspended_at", "created_at"]
    actions = ["suspend", "reinstate"]
    list_select_related = ["user", "wallet"]
    search_fields = ["name", "user__username"]
    ordering = ["name"]

    @admin.action(description="Suspend: their workers leave the market", permissions=["operate"])
    def suspend(self, request: HttpRequest, queryset: Any) -> None:
        actor = request.user.get_username()

        def act(contributor: Contributor) -> None:
            incidents.suspend_contributor(contributor=contributor, actor=actor, reason="in the admin")

        self.each(request, queryset.filter(suspended_at=None), act, "contributor(s) suspended")

    @admin.action(description="Reinstate these contributors", permissions=["operate"])
    def reinstate(self, request: HttpRequest, queryset: Any) -> None:
        actor = request.user.get_username()

        def act(contributor: Contributor) -> None:
            incidents.reinstate_contributor(contributor=contributor, actor=actor, reason="in the admin")

        self.each(request, queryset.exclude(suspended_at=None), act, "contributor(s) reinstated")


@admin.register(Worker)
class WorkerAdmin(OperatorAdmin):
    list_display = [
        "name",
        "contributor",
        "gpu_type",
        "compute_capacity",
        "measured_rate",
        "claim_doubted",
        "memory",
        "reputation",
        "jobs_completed",
        tokens("stake__balance", "stake"),
        "is_active",
        "draining",
        "last_heartbeat_at",
    ]
    list_filter = ["is_active", "claim_doubted", "draining", "standby", "gpu_type"]
    list_select_related = ["contributor", "stake"]
    search_fields = ["name", "contributor__name", "gpu_type"]
    ordering = ["name"]
    # Digests of secrets are nobody's to read.
    exclude = ["secret_sha256", "broker_secret_sha256"]
    action_form = PoolActionForm
    actions = ["suspend", "reinstate", "put_into_pool", "take_out_of_pool"]

    @admin.display(description="memory", ordering="memory_bytes")
    def memory(self, worker: Worker) -> str:
        return filters.size(worker.memory_bytes)

    @admin.display(description="reputation", ordering="contributor__reputation")
    def reputation(self, worker: Worker) -> float:
        return worker.contributor.reputation

    @admin.action(description="Suspend: nothing new for these workers", permissions=["operate"])
    def suspend(self, request: HttpRequest, queryset: Any) -> None:
        self._set_active(request, queryset, active=False)

    @admin.action(description="Reinstate these workers", permissions=["operate"])
    def reinstate(self, request: HttpRequest, queryset: Any) -> None:
        self._set_active(request, queryset, active=True)

    def _set_active(self, request: HttpRequest, queryset: Any, *, active: bool) -> None:
        actor = request.user.get_username()
        done = f"worker(s) {'reinstated' if active else 'suspended'}"

        def act(worker: Worker) -> None:
            workers.set_active(worker=worker, active=active, actor=actor, reason="in the admin")

        self.each(request, queryset.filter(is_active=not active), act, done)

    @admin.action(description="Put into the pool named here; a new name makes one", permissions=["operate"])
    def put_into_pool(self, request: HttpRequest, queryset: Any) -> None:
        self._change_pool(request, queryset, "add", "worker(s) put into the pool")

    @admin.action(description="Take out of the pool named here", permissions=["operate"])
    def take_out_of_pool(self, request: HttpRequest, queryset: Any) -> None:
        self._change_pool(request, queryset, "remove", "worker(s) taken out of the pool")

    def _change_pool(self, request: HttpRequest, queryset: Any, way: str, done: str) -> None:
        name, actor = request.POST.get("pool", ""), request.user.get_username()

        def act(worker: Worker) -> None:
            audiences.change_pool(name=name, actor=actor, **{way: [worker.name]})

        self.each(request, queryset, act, done)


@admin.register(Pool)
class PoolAdmin(ReadOnlyAdmin):
    list_display = ["name", "created_at"]
    search_fields = ["name", "workers__name"]
    ordering = ["name"]


@admin.register(Audience)
class AudienceAdmin(ReadOnlyAdmin):
    list_display = ["id", "key"]
    ordering = ["id"]


@admin.register(MatrixCopy)
class MatrixCopyAdmin(ReadOnlyAdmin):
    list_display = ["matrix_sha256", "machine", "to_drop", "created_at"]
    list_filter = ["to_drop"]
    list_select_related = ["machine"]
    search_fields = ["matrix_sha256", "machine__name"]
    ordering = ["-created_at"]


@admin.register(EnrolmentKey)
class EnrolmentKeyAdmin(ReadOnlyAdmin):
    list_display = ["worker", "created_at", "expires_at", "used_at"]
    list_filter = ["used_at"]
    list_select_related = ["worker"]
    search_fields = ["worker__name"]
    ordering = ["-created_at"]
    exclude = ["sha256"]
