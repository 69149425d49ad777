"""Rows, constraints and queryset filters."""

from marketplace.models.client import Client, IdempotencyKey
from marketplace.models.clock import DatabaseNow, database_now
from marketplace.models.dataset import Dataset
from marketplace.models.job import Assignment, Job, ResourceClass, Result, Verdict
from marketplace.models.ledger import Account, Transfer
from marketplace.models.network import Event, Network
from marketplace.models.worker import Contributor, EnrolmentKey, Worker

__all__ = [
    "Account",
    "Assignment",
    "Client",
    "Contributor",
    "DatabaseNow",
    "Dataset",
    "EnrolmentKey",
    "Event",
    "IdempotencyKey",
    "Job",
    "Network",
    "ResourceClass",
    "Result",
    "Transfer",
    "Verdict",
    "Worker",
    "database_now",
]
