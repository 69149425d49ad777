"""Verdicts that wait for a thaw, and answers that were checked again."""

from typing import Any

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin
from marketplace.models import HeldVerdict, Reverification


@admin.register(HeldVerdict)
class HeldVerdictAdmin(ReadOnlyAdmin):
    list_display = ["verdict", "held_at", "settled_at"]
    list_filter = ["held_at", "settled_at"]
    list_select_related = ["verdict"]
    search_fields = ["verdict__assignment__id", "verdict__assignment__job__id"]
    ordering = ["-id"]


@admin.register(Reverification)
class ReverificationAdmin(ReadOnlyAdmin):
    list_display = ["assignment", "before", "outcome", "method", "measured", "tolerance", "actor", "checked_at"]
    list_filter = ["outcome", "asked_at"]
    list_select_related = ["assignment__verdict"]
    search_fields = ["assignment__id", "assignment__job__id", "assignment__worker__name", "actor"]
    ordering = ["-id"]

    @admin.display(description="before")
    def before(self, row: Any) -> str:
        return row.before
