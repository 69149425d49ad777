"""Jobs: submitting, quoting, following, cancelling, and reading what came of them."""

from collections.abc import Mapping
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.response import Response

from marketplace.actions import results
from marketplace.actions.gathered import submit
from marketplace.actions.jobs import Submission, cancel, find_job, submit_many
from marketplace.actions.quotes import quote
from marketplace.api.base import Call, Listing, Missing, Nothing, Page, documented
from marketplace.api.files import send_file
from marketplace.api.permissions import seen_by
from marketplace.api.serializers.jobs import (
    STATES,
    JobSerializer,
    JobStatus,
    PendingJob,
    QuoteJob,
    SubmitJob,
    SubmitJobs,
    SubmittedJob,
    SubmittedJobs,
    VerdictSerializer,
)
from marketplace.domain.access import Scope
from marketplace.domain.errors import NotFound
from marketplace.domain.lifecycle import JobState
from marketplace.models import Job, Verdict

STATUS_NUMBERS = 10_000  # in an array of a job's status
RESULT_NUMBERS = 2_000_000  # in an array of a result as JSON: more is for the .npz


def submission(given: Mapping[str, Any]) -> Submission:
    """The action's form of what a serializer read; null says the same as leaving a field out."""
    return Submission(**{name: value for name, value in given.items() if value is not None})


def seen_jobs(user) -> QuerySet[Job]:
    return seen_by(user, Job.objects.select_related("client", "worker"), owner="client__user")


class Submit(Call):
    """Submit a job; its reward is held at once.

    Data come as a `dataset`, or inline as `data` or `input_data`. With none of them a seeded sample is made, and
    that sample is what is computed.
    """

    scope = Scope.SUBMIT
    serializer_class = SubmitJob

    @documented(SubmittedJob, missing=True, tags=["jobs"], once=True, operation_id="job_submit")
    def post(self, request):
        given = self.parsed()
        job = submit(submission=submission(given), user=self.acting_user, api_key=self.api_key)
        return Response({"success": True, "job_id": str(job.pk), "status": JobState.PENDING.value})


class Quote(Call):
    """Who could take such a job, how long it should take, what would be held and what is usually paid."""

    scope = Scope.SUBMIT
    serializer_class = QuoteJob

    @documented(OpenApiTypes.OBJECT, missing=True, tags=["jobs"], operation_id="quote")
    def post(self, request):
        return Response(quote(submission=submission(self.parsed()), user=self.acting_user))


class Status(Call):
    """How a job is, and its result once an answer was accepted.

    Arrays above 10,000 numbers are left out and named in the result's `omitted`.
    """

    @documented(JobStatus, missing=True, refused=False, tags=["jobs"], operation_id="job_status")
    def get(self, request, job_id):
        job = find_job(job_id=job_id, user=self.acting_user)
        answer = JobStatus(job, context={"request": request}).data
        if job.state == JobState.VERIFIED.value:
            answer["verdict"] = VerdictSerializer(Verdict.objects.get(assignment__job=job, outcome="accepted")).data
            answer["result"] = results.read_result(job=job, limit=STATUS_NUMBERS)
        return Response(answer)


class NpzRenderer(BaseRenderer):
    """Makes `?format=npz` and `Accept: application/x-npz` known; the file itself is streamed, refusals are JSON."""

    media_type = "application/x-npz"
    format = "npz"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if renderer_context:
            renderer_context["response"]["Content-Type"] = "application/json"
        return JSONRenderer().render(data)


class Result(Call):
    """A verified job's result, as JSON or, with `?format=npz`, as the arrays' `.npz` file."""

    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, NpzRenderer)

    @extend_schema(
        tags=["jobs"],
        operation_id="job_result",
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "application/x-npz"): OpenApiTypes.BINARY,
            (404, "application/json"): Missing,
        },
    )
    def get(self, request, job_id):
        job = find_job(job_id=job_id, user=self.acting_user)
        if job.state != JobState.VERIFIED.value:
            raise NotFound(f"The job is {job.state}; it has no result{_yet(job)}.")
        if request.accepted_renderer.format != "npz":
            return Response(results.read_result(job=job, limit=RESULT_NUMBERS))
        path = results.open_npz(job=job)
        return send_file(
            request._request, path, name=str(job.pk), content_type=NpzRenderer.media_type, filename=f"{job.pk}.npz"
        )


def _yet(job: Job) -> str:
    return " yet" if job.ended_at is None else ""


class Cancel(Call):
    """Call a job off. The reward comes back, less a worker's share where one was computing."""

    scope = Scope.SUBMIT
    serializer_class = Nothing

    @documented(SubmittedJob, missing=True, tags=["jobs"], once=True, operation_id="job_cancel")
    def post(self, request, job_id):
        self.parsed()
        operates = self.request.user.is_staff
        job = cancel(job_id=job_id, user=self.acting_user, actor=self.actor if operates else "client")
        return Response({"success": True, "job_id": str(job.pk), "status": job.state})


class JobFilter(django_filters.FilterSet):
    status = django_filters.ChoiceFilter(
        field_name="state",
        choices=[(state, state) for state in STATES],
        error_messages={"invalid_choice": f"This must be one of {', '.join(STATES)}."},
    )
    client = django_filters.CharFilter(field_name="client__address", label="A client's address.")

    class Meta:
        model = Job
        fields: list[str] = []


class Jobs(Call, Listing):
    """The jobs, newest first; or submit many at once.

    All of them are submitted, or none. Each names its `dataset`: data come to `POST /datasets` first.
    """

    scope = Scope.SUBMIT
    pagination_class = Page.of("jobs")
    filter_backends = (django_filters.rest_framework.DjangoFilterBackend,)
    filterset_class = JobFilter

    def get_queryset(self):
        return seen_jobs(self.request.user).order_by("-submitted_at", "pk")

    def get_serializer_class(self):
        return SubmitJobs if self.request.method == "POST" else JobSerializer

    @documented(JobSerializer(many=True), tags=["jobs"], operation_id="job_list")
    def get(self, request):
        return self.list(request)

    @documented(SubmittedJobs, missing=True, tags=["jobs"], once=True, operation_id="job_submit_many")
    def post(self, request):
        submissions = [submission(each) for each in self.parsed()["jobs"]]
        jobs = submit_many(submissions=submissions, user=self.acting_user, api_key=self.api_key)
        return Response({"success": True, "job_ids": [str(job.pk) for job in jobs], "status": JobState.PENDING.value})


class PendingJobs(Listing):
    """The jobs that wait for a worker, oldest first."""

    serializer_class = PendingJob
    pagination_class = Page.of("jobs")

    def get_queryset(self):
        return seen_jobs(self.request.user).filter(state=JobState.PENDING.value).order_by("submitted_at", "pk")

    @documented(PendingJob(many=True), tags=["jobs"], operation_id="job_list_pending")
    def get(self, request):
        return self.list(request)
