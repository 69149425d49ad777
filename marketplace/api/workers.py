"""Workers: registering one, its status, the list."""

from django.db.models import OuterRef, QuerySet, Subquery, UUIDField
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from marketplace.actions.workers import register_worker
from marketplace.api.base import Call, Listing, Page, documented
from marketplace.api.permissions import seen_by
from marketplace.api.serializers.workers import RegisteredWorker, RegisterWorker, WorkerSerializer, WorkerStatus
from marketplace.domain.access import Scope
from marketplace.domain.lifecycle import AssignmentState
from marketplace.models import Assignment, Worker, database_now

IN_HAND = [AssignmentState.DISPATCHED.value, AssignmentState.STARTED.value]


def with_current_job() -> QuerySet[Worker]:
    in_hand = Assignment.objects.filter(worker=OuterRef("pk"), state__in=IN_HAND)
    return Worker.objects.select_related("contributor__wallet", "stake", "host").annotate(
        current_job=Subquery(in_hand.values("job_id")[:1], output_field=UUIDField())
    )


class Register(Call):
    """Register a worker with a stake. In the sandbox the stake, and 100 tokens beside it, are given to it."""

    scope = Scope.CONTRIBUTE
    serializer_class = RegisterWorker

    @documented(RegisteredWorker, tags=["worker"], once=True, operation_id="worker_register")
    def post(self, request):
        given = self.parsed()
        registered = register_worker(
            name=given["worker_id"],
            gpu_type=given["gpu_type"],
            compute_capacity=given["compute_capacity"],
            stake_amount=given["stake_amount"],
            user=self.acting_user,
            api_key=self.api_key,
        )
        answer = {
            "success": True,
            "worker_id": registered.worker.name,
            "balance": registered.worker.contributor.wallet.balance,
            "enrolment_key": registered.enrolment_key,
        }
        return Response(RegisteredWorker(answer).data)


class Status(Call):
    """How a worker is, what it has at stake and what its contributor's wallet holds."""

    @documented(WorkerStatus, missing=True, refused=False, tags=["worker"], operation_id="worker_status")
    def get(self, request, name: str):
        workers = seen_by(request.user, with_current_job(), owner="contributor__user")
        worker = get_object_or_404(workers, name=name)
        return Response(WorkerStatus(worker, context={"now": database_now()}).data)


class Workers(Listing):
    """The workers, by name."""

    queryset = Worker.objects.select_related("contributor", "host").order_by("name")
    serializer_class = WorkerSerializer
    pagination_class = Page.of("workers")

    def get_serializer_context(self):
        return dict(super().get_serializer_context()) | {"now": database_now()}

    @documented(WorkerSerializer(many=True), tags=["worker"], operation_id="worker_list")
    def get(self, request):
        return self.list(request)
