"""Datasets, jobs, attempts, and what came of them."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from marketplace import filters
from marketplace.actions import jobs
from marketplace.admin.base import OperatorAdmin, ReadOnlyAdmin, tokens
from marketplace.models import Assignment, Dataset, Job, Matrix, ResourceClass, Result, Upload, UploadPart, Verdict

REWARD, IN_ESCROW = tokens("reward", "reward"), tokens("escrow__balance", "in escrow")


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["sha256_start", "label", "format", "size", "rows", "dtype", "sample", "uploaded_by", "created_at"]
    list_filter = ["format", "sample", "created_at"]
    list_select_related = ["uploaded_by"]
    search_fields = ["sha256", "label", "uploaded_by__username"]
    ordering = ["-created_at"]

    @admin.display(description="sha256", ordering="sha256")
    def sha256_start(self, dataset: Dataset) -> str:
        return dataset.sha256[:12]

    @admin.display(description="size", ordering="size_bytes")
    def size(self, dataset: Dataset) -> str:
        return filters.size(dataset.size_bytes)


@admin.register(Matrix)
class MatrixAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "rows", "held_out", "dropped", "matrix_columns", "size", "created_at"]
    list_select_related = ["dataset"]
    search_fields = ["dataset__sha256", "matrix_sha256"]
    ordering = ["-created_at"]

    @admin.display(description="size", ordering="matrix_bytes")
    def size(self, matrix: Matrix) -> str:
        return filters.size(matrix.matrix_bytes)


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["id", "label", "state", "progress", "size_bytes", "user", "created_at"]
    list_filter = ["state", "created_at"]
    list_select_related = ["user"]
    search_fields = ["id", "label", "user__username"]
    ordering = ["-created_at"]


@admin.register(UploadPart)
class UploadPartAdmin(ReadOnlyAdmin):
    list_display = ["upload", "number"]
    list_select_related = ["upload"]
    search_fields = ["upload__id"]
    ordering = ["-id"]


@admin.register(ResourceClass)
class ResourceClassAdmin(ReadOnlyAdmin):
    list_display = ["id", "gpu_tag", "min_memory_bytes", "min_compute_capacity"]
    search_fields = ["gpu_tag"]
    ordering = ["id"]


@admin.register(Job)
class JobAdmin(OperatorAdmin):
    list_display = [
        "id",
        "state",
        "client",
        "model_type",
        "worker",
        "attempt",
        REWARD,
        "submitted_at",
        "ended_at",
    ]
    list_filter = ["state", "model_type", "fault", "submitted_at"]
    list_select_related = ["client", "worker"]
    search_fields = ["id", "client__address", "worker__name"]
    ordering = ["-submitted_at"]
    fields = [
        "id",
        "client",
        "model_type",
        "dataset",
        "params",
        "features",
        "target",
        "seed",
        "resource_class",
        REWARD,
        IN_ESCROW,
        "state",
        "attempt",
        "max_attempts",
        "worker",
        "fault",
        "reason",
        "scalars",
        "quoted_seconds",
        "virtual_start",
        "submitted_at",
        "deadline_at",
        "ended_at",
    ]
    readonly_fields = [REWARD, IN_ESCROW]
    actions = ["cancel"]

    @admin.action(description="Cancel these jobs, and give the rewards back", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: Any) -> None:
        actor = request.user.get_username()
        self.each(
            request,
            queryset,
            lambda job: jobs.cancel(job_id=job.pk, user=request.user, actor=actor),
            "job(s) cancelled",
        )


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ["id", "job", "fence", "worker", "state", "progress", "fault", "created_at", "ended_at"]
    list_filter = ["state", "fault", "created_at"]
    list_select_related = ["job", "worker"]
    search_fields = ["id", "job__id", "worker__name"]
    ordering = ["-created_at"]


@admin.register(Result)
class ResultAdmin(ReadOnlyAdmin):
    list_display = ["assignment", "sha256_start", "size", "seconds", "checked", "check_tries", "received_at"]
    list_filter = ["checked", "received_at"]
    list_select_related = ["assignment"]
    search_fields = ["sha256", "assignment__id"]
    ordering = ["-received_at"]

    @admin.display(description="sha256", ordering="sha256")
    def sha256_start(self, result: Result) -> str:
        return result.sha256[:12]

    @admin.display(description="size", ordering="size_bytes")
    def size(self, result: Result) -> str:
        return filters.size(result.size_bytes)


@admin.register(Verdict)
class VerdictAdmin(ReadOnlyAdmin):
    list_display = ["assignment", "outcome", "method", "measured", "tolerance", "error_chance", "seconds", "created_at"]
    list_filter = ["outcome", "fault", "method", "created_at"]
    list_select_related = ["assignment"]
    search_fields = ["assignment__id", "assignment__job__id", "reason"]
    ordering = ["-created_at"]
