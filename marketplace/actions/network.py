"""Figures of the whole network."""

from typing import Any

from django.conf import settings

from marketplace.actions import tallies
from marketplace.domain.lifecycle import ENDED
from marketplace.domain.money import to_tokens
from marketplace.models import Job, Network, Worker


def stats() -> dict[str, Any]:
    """The seed's figures. `contract_balance` is what is held in escrow, in tokens; times are in seconds."""
    jobs, waiting, workers = tallies.counts(tallies.newest()), tallies.open_jobs(), tallies.workers()
    done = jobs.verified + jobs.failed
    return {
        "contract_state": {
            "total_jobs": jobs.jobs,
            "pending_jobs": waiting["pending"],
            "total_workers": workers["total"],
            "active_workers": workers["active"],
            "contract_balance": to_tokens(waiting["held"]),
            "staked": to_tokens(workers["staked"]),
        },
        "performance": {
            "total_jobs": jobs.jobs,
            "completed_jobs": jobs.verified,
            "failed_jobs": jobs.failed,
            "cancelled_jobs": jobs.cancelled,
            "average_completion_time": jobs.verified_seconds / jobs.verified if jobs.verified else 0.0,
            "success_rate": round(100.0 * jobs.verified / done, 2) if done else 0.0,
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
