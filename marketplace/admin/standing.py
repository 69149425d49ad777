"""Reputation, stake on its way out, and contests, which operators decide here."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from marketplace.actions import contests
from marketplace.admin.base import OperatorAdmin, ReadOnlyAdmin, tokens
from marketplace.models import Contest, ReputationChange, Unbonding

AMOUNT = tokens("amount", "amount")


@admin.register(ReputationChange)
class ReputationChangeAdmin(ReadOnlyAdmin):
    list_display = ["id", "created_at", "contributor", "before", "after", "actor", "reason"]
    list_filter = ["actor", "created_at"]
    list_select_related = ["contributor"]
    search_fields = ["contributor__name", "assignment__id", "reason"]
    ordering = ["-id"]


@admin.register(Unbonding)
class UnbondingAdmin(ReadOnlyAdmin):
    list_display = ["worker", AMOUNT, "created_at", "release_at", "released_at"]
    list_filter = ["released_at", "release_at"]
    list_select_related = ["worker"]
    search_fields = ["worker__name"]
    ordering = ["-created_at"]
    fields = ["worker", AMOUNT, "created_at", "release_at", "released_at"]
    readonly_fields = [AMOUNT]


@admin.register(Contest)
class ContestAdmin(OperatorAdmin):
    list_display = ["verdict_reason", "worker", "outcome", "note", "opened_by", "created_at", "decided_by"]
    list_filter = ["outcome", "created_at"]
    list_select_related = ["verdict__assignment__worker"]
    search_fields = ["verdict__assignment__worker__name", "verdict__assignment__id", "note"]
    ordering = ["-created_at"]
    fields = [
        "verdict",
        "worker",
        "verdict_reason",
        "evidence",
        "note",
        "opened_by",
        "created_at",
        "outcome",
        "decided_by",
        "decided_note",
        "decided_at",
    ]
    readonly_fields = ["worker", "verdict_reason", "evidence"]
    actions = ["uphold", "overturn"]

    @admin.display(description="worker", ordering="verdict__assignment__worker__name")
    def worker(self, contest: Contest) -> str:
        return contest.verdict.assignment.worker.name

    @admin.display(description="why it was rejected")
    def verdict_reason(self, contest: Contest) -> str:
        return contest.verdict.reason

    @admin.display(description="evidence")
    def evidence(self, contest: Contest) -> str:
        """What an operator runs to see it again, beside what was measured."""
        verdict = contest.verdict
        return (
            f"{verdict.method}: {verdict.measured} of at most {verdict.tolerance}; "
            f"manage.py recheck {verdict.assignment_id}"
        )

    @admin.action(description="Uphold: these rejections stand", permissions=["operate"])
    def uphold(self, request: HttpRequest, queryset: Any) -> None:
        actor = request.user.get_username()
        self.each(request, queryset, lambda row: contests.uphold(contest_id=row.pk, actor=actor), "rejection(s) upheld")

    @admin.action(description="Overturn: give stake and reputation back", permissions=["operate"])
    def overturn(self, request: HttpRequest, queryset: Any) -> None:
        actor = request.user.get_username()
        done = "rejection(s) overturned"
        self.each(request, queryset, lambda row: contests.overturn(contest_id=row.pk, actor=actor), done)
