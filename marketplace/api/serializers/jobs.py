"""Jobs, as the API takes and says them."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from marketplace.actions.audiences import receivers_of
from marketplace.actions.matrices import layout_of
from marketplace.api.base import Strict
from marketplace.api.fields import AnyJSON, Column, Flag, Number, Parameters, Text, Tokens, UnixTime, WholeNumber
from marketplace.domain.lifecycle import JobState
from marketplace.domain.recipes import FIRST_LEVEL, MAX_HOLDOUT, MAX_SEED, MISSING
from marketplace.models import Job
from workers.catalog import MODELS

MAX_COLUMNS = 10_000
MAX_JOBS = 500  # in one request
STATES = [state.value for state in JobState]


class Requirements(Strict):
    gpu_type = Text(max_length=64, required=False)
    min_memory_bytes = WholeNumber(required=False)
    min_compute_capacity = Number(required=False, min_value=0, help_text="TFLOPS.")


class Receivers(Strict):
    """Who may receive the data; with neither, any worker."""

    pools = serializers.ListField(child=Text(max_length=64), required=False, max_length=100)
    contributors = serializers.ListField(child=Text(max_length=64), required=False, max_length=100)


class Recipe(Strict):
    """How the table becomes the matrix that is fitted. Texts among its columns become categories."""

    missing = serializers.ChoiceField(
        choices=MISSING, required=False,
        error_messages={"invalid_choice": f"This must be one of {', '.join(MISSING)}."},
        help_text="Rows with gaps: refuse them (the default), drop them, or fill numbers with the column's mean.",
    )  # fmt: skip
    standardise = Flag(required=False, help_text="Fit numbers with mean 0 and deviation 1.")
    categories = serializers.ListField(
        child=Text(max_length=200), required=False, max_length=MAX_COLUMNS,
        help_text="Numeric columns that are categories too.",
    )  # fmt: skip
    first_level = serializers.ChoiceField(
        choices=FIRST_LEVEL, required=False,
        error_messages={"invalid_choice": f"This must be one of {', '.join(FIRST_LEVEL)}."},
        help_text="A category's first level: drop it (for regressions) or keep it (for the others).",
    )  # fmt: skip
    holdout = Number(
        required=False, min_value=0, max_value=MAX_HOLDOUT,
        help_text="The share of the rows that is kept out of the fit."
    )  # fmt: skip
    seed = WholeNumber(required=False, max_value=MAX_SEED, help_text="Draws the rows that are kept out.")


class Submission(Strict):
    """What to fit on which data. Data come as `dataset`, or inline; with none, a seeded sample is computed on."""

    client_address = Text(max_length=64)
    model_type = serializers.ChoiceField(
        choices=sorted(MODELS),
        error_messages={"invalid_choice": f"This must be one of {', '.join(sorted(MODELS))}."},
    )
    dataset = Text(max_length=64, required=False, allow_null=True, help_text="From `POST /datasets`.")
    data: Any = AnyJSON(required=False, allow_null=True, help_text='Rows of numbers, or `{"X": rows, "y": numbers}`.')
    input_data = Text(required=False, allow_null=True, help_text="An `.npy` file in base64.")
    params = Parameters(required=False, help_text="`k`, `n_components` and the model's others.")
    target = Column(required=False, allow_null=True, help_text="What a regression predicts; the last if left out.")
    columns = serializers.ListField(
        child=Column(), required=False, allow_null=True, allow_empty=False, max_length=MAX_COLUMNS,
        help_text="Which columns to use; all others if left out.",
    )  # fmt: skip
    recipe = Recipe(required=False, allow_null=True, help_text="Categories, gaps, scaling, rows kept out.")
    requirements = Requirements(required=False)
    receivers = Receivers(
        required=False, allow_null=True, help_text="Whose workers alone may receive the data, by pool or contributor."
    )
    deadline_seconds = Number(required=False, allow_null=True)


class SubmitJob(Submission):
    reward = Tokens(help_text="Tokens, held until the job ends.")

    example = {"client_address": "alice", "model_type": "linear_regression", "reward": 50}


class SubmitJobs(Strict):
    jobs = serializers.ListField(child=SubmitJob(), allow_empty=False, max_length=MAX_JOBS)

    example = {"jobs": [{**SubmitJob.example, "dataset": "…"}]}


class QuoteJob(Submission):
    reward = Tokens(required=False, allow_null=True)

    example = {"client_address": "alice", "model_type": "linear_regression"}


class SubmittedJob(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    job_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=STATES)


class SubmittedJobs(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    job_ids = serializers.ListField(child=serializers.UUIDField(), help_text="In the order of the request's jobs.")
    status = serializers.ChoiceField(choices=STATES)


class JobSerializer(serializers.Serializer):
    job_id = serializers.UUIDField(source="id")
    client = serializers.CharField(source="client.address")
    model_type = serializers.CharField()
    status = serializers.ChoiceField(choices=STATES, source="state")
    reward = Tokens()
    worker = serializers.CharField(source="worker.name", allow_null=True, default=None)
    submitted_at = UnixTime()


class PendingJob(serializers.Serializer):
    job_id = serializers.UUIDField(source="id")
    model_type = serializers.CharField()
    reward = Tokens()
    timestamp = UnixTime(source="submitted_at")


class VerdictSerializer(serializers.Serializer):
    """What checking the paid answer found."""

    outcome = serializers.CharField()
    method = serializers.CharField()
    reason = serializers.CharField()
    bound = serializers.CharField(help_text="What the check is worth.")
    error_chance = serializers.FloatField(help_text="The stated chance that a wrong answer passes.")


@extend_schema_field(OpenApiTypes.OBJECT)
class ResultField(serializers.Field):
    """A result's fields, as the model has them; see `GET /job/{job_id}/result`."""

    def to_representation(self, value: dict[str, object]) -> dict[str, object]:
        return value


class JobStatus(JobSerializer):
    completion_time = UnixTime(source="ended_at", allow_null=True)
    dataset = serializers.CharField(source="dataset_id")
    columns = serializers.SerializerMethodField(help_text="The table's columns that are used, by name.")
    target = serializers.SerializerMethodField(help_text="The column that a regression predicts.")
    recipe = serializers.SerializerMethodField(
        help_text="What was made of them; null where they are fitted as they are."
    )
    params = Parameters()
    preparing = serializers.FloatField(
        allow_null=True, help_text="How far making its matrix is, 0 to 1, while it waits for that; null otherwise."
    )
    attempt = serializers.IntegerField(help_text="How many workers have had it.")
    max_attempts = serializers.IntegerField()
    deadline_at = UnixTime()
    quoted_seconds = serializers.FloatField()
    reason = serializers.CharField(allow_blank=True, help_text="Why it failed, was cancelled or waits again.")
    receivers = serializers.SerializerMethodField(help_text="Who alone may receive the data; null for any worker.")
    fault = serializers.CharField(allow_blank=True, help_text="job, worker or system, where it failed.")
    verdict = VerdictSerializer(required=False, help_text="Once an answer was accepted.")
    result = ResultField(required=False, help_text="Once an answer was accepted; large arrays are in `omitted`.")

    @extend_schema_field(Receivers(allow_null=True))
    def get_receivers(self, job: Job) -> dict[str, list[str]] | None:
        found = receivers_of(job.resource_class.audience)
        return found.as_json() if found else None

    def get_columns(self, job: Job) -> list[str]:
        return list(layout_of(job).recipe.columns)

    def get_target(self, job: Job) -> str | None:
        return layout_of(job).recipe.target

    @extend_schema_field({"type": "object", "nullable": True})
    def get_recipe(self, job: Job) -> dict[str, Any] | None:
        return job.matrix.recipe if job.matrix else None
