"""The network's row, and the record of events."""

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin, tokens
from marketplace.models import Challenge, Event, Network, Tally

HELD = tokens("held", "held")


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


@admin.register(Tally)
class TallyAdmin(ReadOnlyAdmin):
    list_display = ["counted_to", "jobs", "verified", "failed", "cancelled", "workers", "active_workers", HELD]
    list_filter = ["counted_to"]
    ordering = ["-counted_to"]
