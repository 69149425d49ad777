"""Rows, constraints and queryset filters."""

from marketplace.models.challenge import Challenge
from marketplace.models.client import Client, IdempotencyKey
from marketplace.models.clock import DatabaseNow, database_now
from marketplace.models.dataset import Dataset
from marketplace.models.job import Assignment, Job, ResourceClass, Result, Verdict
from marketplace.models.ledger import Account, Transfer
from marketplace.models.network import Event, Network
from marketplace.models.standing import Contest, ReputationChange, Unbonding
from marketplace.models.worker import Contributor, EnrolmentKey, Worker

__all__ = [
    "Account",
    "Assignment",
    "Challenge",
    "Client",
    "Contest",
    "Contributor",
    "DatabaseNow",
    "Dataset",
    "EnrolmentKey",
    "Event",
    "IdempotencyKey",
    "Job",
    "Network",
    "ReputationChange",
    "ResourceClass",
    "Result",
    "Transfer",
    "Unbonding",
    "Verdict",
    "Worker",
    "database_now",
]
