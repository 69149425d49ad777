"""The network's row, and the record of events."""

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin
from marketplace.models import Challenge, Event, Network


@admin.register(Network)
class NetworkAdmin(ReadOnlyAdmin):
    list_display = ["id", "coordination_active", "switched_by", "switched_at", "last_cycle_at"]


@admin.register(Challenge)
class ChallengeAdmin(ReadOnlyAdmin):
    list_display = ["worker", "state", "n", "rounds", "rate", "reason", "started_at", "committed_at", "created_at"]
    list_filter = ["state", "created_at"]
    list_select_related = ["worker"]
    search_fields = ["worker__name"]
    ordering = ["-created_at"]


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["id", "created_at", "kind", "job", "worker", "before", "after", "actor", "reason"]
    list_filter = ["kind", "created_at"]
    list_select_related = ["job", "worker"]
    search_fields = ["job__id", "worker__name", "actor", "kind"]
    ordering = ["-id"]
