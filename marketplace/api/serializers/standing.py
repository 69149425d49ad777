"""Stakes, reputation, verdicts, contests and receipts, as the API says them."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.actions.contests import MAX_NOTE
from marketplace.actions.receipts import catalogue_version
from marketplace.api.base import Strict
from marketplace.api.fields import Number, Parameters, Text, Tokens, UnixTime
from marketplace.api.serializers.machines import MatrixSerializer
from marketplace.models import Assignment, Contest, Job, Result, Transfer, Verdict


class Amount(Strict):
    amount = Tokens(help_text="Tokens.")

    example = {"amount": 50}


class InviteWorker(Strict):
    worker_id = Text(max_length=64)
    gpu_type = Text(max_length=64)
    compute_capacity = Number(help_text="TFLOPS.")
    lend = Tokens(help_text="Tokens of stake that the treasury lends.")
    user = Text(max_length=150, required=False, allow_null=True, help_text="The contributor's user name, if any.")

    example = {"worker_id": "newcomer_01", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "lend": 100}


class InvitedWorker(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    worker_id = serializers.CharField(source="name")
    lent = Tokens()
    enrolment_key = serializers.CharField(help_text="Enrols the worker's machine, once. It is not shown again.")


class Staked(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    worker_id = serializers.CharField(source="name")
    stake = Tokens(source="stake.balance")
    balance = Tokens(source="contributor.wallet.balance")


class Unstaked(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    worker_id = serializers.CharField(source="worker.name")
    amount = Tokens()
    release_at = UnixTime(help_text="When it reaches the wallet, less what is slashed until then.")


class ContestVerdict(Strict):
    assignment = serializers.UUIDField()
    note = Text(max_length=MAX_NOTE, help_text="Why the answer was right.")

    example = {"assignment": "00000000-0000-4000-8000-000000000000", "note": "The check passes on my machine."}


class ContestSerializer(serializers.Serializer):
    outcome = serializers.ChoiceField(choices=Contest.Outcome.choices)
    note = serializers.CharField()
    opened_at = UnixTime(source="created_at")
    decided_by = serializers.CharField(allow_blank=True)
    decided_note = serializers.CharField(allow_blank=True)
    decided_at = UnixTime(allow_null=True)


class Contested(ContestSerializer):
    success = serializers.BooleanField(default=True)


class ReputationChangeSerializer(serializers.Serializer):
    before = serializers.FloatField()
    after = serializers.FloatField()
    reason = serializers.CharField()
    actor = serializers.CharField()
    assignment = serializers.UUIDField(source="assignment_id", allow_null=True)
    at = UnixTime(source="created_at")


class Evidence(serializers.Serializer):
    """A verdict with all that it rests on."""

    outcome = serializers.CharField()
    method = serializers.CharField()
    reason = serializers.CharField()
    measured = serializers.FloatField(allow_null=True, help_text="In the unit that `method` states.")
    tolerance = serializers.FloatField(allow_null=True, help_text="At most this accepts.")
    bound = serializers.CharField(allow_blank=True, help_text="What an accepted answer is worth.")
    error_chance = serializers.FloatField(help_text="The stated chance that a wrong answer passes.")
    detail = serializers.DictField(child=serializers.FloatField(allow_null=True))
    seed = serializers.CharField(help_text="Hex; the verifier's randomness, drawn after the answer was in.")
    seconds = serializers.FloatField(help_text="What checking took.")
    created_at = UnixTime()


class WorkerVerdict(Evidence):
    assignment = serializers.UUIDField(source="assignment_id")
    job_id = serializers.UUIDField(source="assignment.job_id")
    contestable_until = serializers.SerializerMethodField()
    contest = serializers.SerializerMethodField()

    @extend_schema_field({"type": "number", "nullable": True})
    def get_contestable_until(self, verdict: Verdict) -> float | None:
        """Until when a rejection may be contested; null for what cannot be, or was."""
        if verdict.outcome != "rejected" or hasattr(verdict, "contest"):
            return None
        until: datetime = verdict.created_at + timedelta(seconds=settings.POLICY.contest_seconds)
        return until.timestamp()

    @extend_schema_field(ContestSerializer(allow_null=True))
    def get_contest(self, verdict: Verdict) -> Any:
        return ContestSerializer(verdict.contest).data if hasattr(verdict, "contest") else None


class AnswerSerializer(serializers.Serializer):
    """What a worker wrote back."""

    sha256 = serializers.CharField(allow_blank=True, help_text="Of the answer's archive; empty for a claim.")
    size_bytes = serializers.IntegerField()
    claim = serializers.CharField(allow_blank=True, help_text="The sentence that blames the data, if it does.")
    seconds = serializers.FloatField(help_text="What the worker says that computing took.")
    received_at = UnixTime()


class Entry(serializers.Serializer):
    """A transfer, by the kinds of its accounts."""

    code = serializers.CharField()
    amount = Tokens()
    source: Any = serializers.CharField(source="source.kind")
    destination = serializers.CharField(source="destination.kind")
    at = UnixTime(source="created_at")


class Attempt(serializers.Serializer):
    assignment = serializers.UUIDField(source="id")
    attempt = serializers.IntegerField(source="fence")
    worker = serializers.CharField(source="worker.name")
    state = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    answer = serializers.SerializerMethodField(help_text="Null until there is one.")
    verdict = serializers.SerializerMethodField(help_text="Null until there is one.")
    contest = serializers.SerializerMethodField(help_text="Null where nobody contested.")
    transfers = serializers.SerializerMethodField(help_text="What was paid, slashed, repaid and given back.")

    @extend_schema_field(AnswerSerializer(allow_null=True))
    def get_answer(self, assignment: Assignment) -> Any:
        found: Result | None = getattr(assignment, "result", None)
        return AnswerSerializer(found).data if found else None

    @extend_schema_field(Evidence(allow_null=True))
    def get_verdict(self, assignment: Assignment) -> Any:
        found: Verdict | None = getattr(assignment, "verdict", None)
        return Evidence(found).data if found else None

    @extend_schema_field(ContestSerializer(allow_null=True))
    def get_contest(self, assignment: Assignment) -> Any:
        found = getattr(getattr(assignment, "verdict", None), "contest", None)
        return ContestSerializer(found).data if found else None

    @extend_schema_field(Entry(many=True))
    def get_transfers(self, assignment: Assignment) -> Any:
        transfers: list[Transfer] = self.context["transfers"][assignment.pk]
        return Entry(transfers, many=True).data


class ReceiptSerializer(serializers.Serializer):
    """All that running a job's checks again takes, and what came of each attempt."""

    job_id = serializers.UUIDField(source="job.id")
    status = serializers.CharField(source="job.state")
    model = serializers.CharField(source="job.model_type")
    version = serializers.SerializerMethodField(help_text="Of the model in the catalogue that checks here.")
    params = Parameters(source="job.params")
    features = serializers.ListField(child=serializers.IntegerField(), source="job.fitted_columns")
    target = serializers.IntegerField(source="job.fitted_target", allow_null=True)
    seed = serializers.IntegerField(source="job.seed")
    matrix = serializers.SerializerMethodField()
    reward = Tokens(source="job.reward")
    attempts = serializers.SerializerMethodField()
    transfers = Entry(many=True, help_text="Those of the job as a whole.")

    @extend_schema_field(OpenApiTypes.INT)
    def get_version(self, found: dict[str, Any]) -> int:
        return catalogue_version(found["job"])

    @extend_schema_field(MatrixSerializer)
    def get_matrix(self, found: dict[str, Any]) -> dict[str, Any]:
        job: Job = found["job"]
        data = job.data
        return {
            "sha256": data.matrix_sha256,
            "size_bytes": data.matrix_bytes,
            "rows": data.rows,
            "columns": data.matrix_columns,
        }

    @extend_schema_field(Attempt(many=True))
    def get_attempts(self, found: dict[str, Any]) -> Any:
        transfers = {assignment.pk: entries for assignment, entries in found["attempts"]}
        assignments = [assignment for assignment, _ in found["attempts"]]
        return Attempt(assignments, many=True, context={"transfers": transfers}).data
