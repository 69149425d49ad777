"""Rows, constraints and queryset filters."""

from marketplace.models.access import (
    Allowance,
    ApiKey,
    DatasetOwner,
    Grant,
    Invitation,
    roles_in,
    roles_of,
    scopes_of_user,
)
from marketplace.models.among import Among
from marketplace.models.audience import Audience, Pool, may_receive
from marketplace.models.books import BooksCheck
from marketplace.models.challenge import Challenge
from marketplace.models.client import Client
from marketplace.models.clock import DatabaseNow, database_now
from marketplace.models.compiled import Compiled
from marketplace.models.dataset import Dataset
from marketplace.models.each import insert_all, update_each
from marketplace.models.incident import HeldVerdict, Reverification
from marketplace.models.job import Assignment, Job, ResourceClass, Result, Verdict
from marketplace.models.ledger import Account, Transfer
from marketplace.models.matrix import Matrix
from marketplace.models.network import Event, Network
from marketplace.models.notices import Notice, NoticeChoice, NoticeScan
from marketplace.models.once import IdempotencyKey
from marketplace.models.sealed import Checkpoint, Leaf, LeafSalt, TreeNode, Unsealed
from marketplace.models.standing import Contest, ReputationChange, Unbonding
from marketplace.models.tally import Tally
from marketplace.models.upload import Upload, UploadPart
from marketplace.models.worker import Contributor, EnrolmentKey, MatrixCopy, Worker, heard_since

__all__ = [
    "Account",
    "Allowance",
    "Among",
    "ApiKey",
    "Assignment",
    "Audience",
    "BooksCheck",
    "Challenge",
    "Checkpoint",
    "Client",
    "Compiled",
    "Contest",
    "Contributor",
    "DatabaseNow",
    "Dataset",
    "DatasetOwner",
    "EnrolmentKey",
    "Event",
    "Grant",
    "HeldVerdict",
    "IdempotencyKey",
    "Invitation",
    "Job",
    "Leaf",
    "LeafSalt",
    "Matrix",
    "MatrixCopy",
    "Network",
    "Notice",
    "NoticeChoice",
    "NoticeScan",
    "Pool",
    "ReputationChange",
    "ResourceClass",
    "Result",
    "Reverification",
    "Tally",
    "Transfer",
    "TreeNode",
    "Unbonding",
    "Unsealed",
    "Upload",
    "UploadPart",
    "Verdict",
    "Worker",
    "database_now",
    "heard_since",
    "may_receive",
    "roles_in",
    "roles_of",
    "scopes_of_user",
    "insert_all",
    "update_each",
]
