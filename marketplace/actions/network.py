"""Figures of the whole network."""

from typing import Any

from django.conf import settings
from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Q, Sum

from marketplace.domain.ledger import AccountKind
from marketplace.domain.lifecycle import ENDED
from marketplace.domain.money import to_tokens
from marketplace.models import Account, Job, Network, Worker


def stats() -> dict[str, Any]:
    """The seed's figures. `contract_balance` is what is held in escrow, in tokens; times are in seconds."""
    states = dict(Job.objects.values_list("state").annotate(count=Count("pk")).order_by())
    taken = ExpressionWrapper(F("ended_at") - F("submitted_at"), output_field=DurationField())
    average = Job.objects.filter(state="verified").aggregate(average=Avg(taken))["average"]
    workers = Worker.objects.aggregate(total=Count("pk"), active=Count("pk", filter=Q(is_active=True)))
    held = dict(
        Account.objects.filter(kind__in=[AccountKind.ESCROW.value, AccountKind.STAKE.value])
        .values_list("kind")
        .annotate(total=Sum("balance"))
        .order_by()
    )
    total, completed, failed = sum(states.values()), states.get("verified", 0), states.get("failed", 0)
    return {
        "contract_state": {
            "total_jobs": total,
            "pending_jobs": states.get("pending", 0),
            "total_workers": workers["total"],
            "active_workers": workers["active"],
            "contract_balance": to_tokens(held.get(AccountKind.ESCROW.value, 0)),
            "staked": to_tokens(held.get(AccountKind.STAKE.value, 0)),
        },
        "performance": {
            "total_jobs": total,
            "completed_jobs": completed,
            "failed_jobs": failed,
            "cancelled_jobs": states.get("cancelled", 0),
            "average_completion_time": average.total_seconds() if average else 0.0,
            "success_rate": round(100.0 * completed / (completed + failed), 2) if completed + failed else 0.0,
        },
    }


def health() -> dict[str, Any]:
    """The seed's health: whether jobs are assigned by themselves, and how many workers and jobs there are."""
    active = Network.objects.values_list("coordination_active", flat=True).get(pk=1)
    return {
        "status": "healthy",
        "coordination_active": active,
        "workers": Worker.objects.count(),
        "jobs": Job.objects.count(),
        "open_jobs": Job.objects.exclude(state__in=[state.value for state in ENDED]).count(),
        "sandbox": settings.SANDBOX,
    }
