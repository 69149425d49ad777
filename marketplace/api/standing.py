"""A contributor's standing: stakes, reputation, verdicts and contests; and every job's receipt."""

from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from marketplace.actions import contests, receipts, stakes
from marketplace.actions.workers import invite_worker
from marketplace.api.base import Call, Listing, Missing, Page, documented
from marketplace.api.files import send_file
from marketplace.api.jobs import NpzRenderer
from marketplace.api.permissions import seen_by
from marketplace.api.serializers.standing import (
    Amount,
    Contested,
    ContestVerdict,
    InvitedWorker,
    InviteWorker,
    ReceiptSerializer,
    ReputationChangeSerializer,
    Staked,
    Unstaked,
    WorkerVerdict,
)
from marketplace.domain.access import Scope
from marketplace.domain.errors import NotFound
from marketplace.models import ReputationChange, Verdict, Worker


class Invite(Call):
    """Register a worker whose first stake the treasury lends. The operator's."""

    serializer_class = InviteWorker

    @documented(InvitedWorker, missing=True, tags=["worker"], once=True, operation_id="worker_invite")
    def post(self, request):
        given = self.parsed()
        name = given.get("user")
        user = get_user_model().objects.filter(username=name).first() if name else None
        if name and user is None:
            raise NotFound(f"There is no user {name}.")
        invited = invite_worker(
            name=given["worker_id"],
            gpu_type=given["gpu_type"],
            compute_capacity=given["compute_capacity"],
            lend=given["lend"],
            contributor_user=user,
            actor=self.actor,
        )
        worker = invited.worker
        answer = {"success": True, "name": worker.name, "lent": worker.lent, "enrolment_key": invited.enrolment_key}
        return Response(InvitedWorker(answer).data)


class Stake(Call):
    """Move tokens from the contributor's wallet into the worker's stake."""

    serializer_class = Amount
    scope = Scope.CONTRIBUTE

    @documented(Staked, missing=True, tags=["worker"], once=True, operation_id="worker_stake")
    def post(self, request, name: str):
        amount = self.parsed()["amount"]
        worker = stakes.top_up(name=name, amount=amount, user=self.acting_user, api_key=self.api_key)
        return Response({"success": True, **Staked(worker).data})


class Unstake(Call):
    """Begin to take stake out. It is in the wallet at `release_at`; until then it can still be slashed."""

    serializer_class = Amount
    scope = Scope.CONTRIBUTE

    @documented(Unstaked, missing=True, tags=["worker"], once=True, operation_id="worker_unstake")
    def post(self, request, name: str):
        row = stakes.unstake(name=name, amount=self.parsed()["amount"], user=self.acting_user)
        return Response({"success": True, **Unstaked(row).data})


class ContestRejection(Call):
    """Object to a rejected answer of the worker, once, with a note for the operator who decides."""

    serializer_class = ContestVerdict
    scope = Scope.CONTRIBUTE

    @documented(Contested, missing=True, tags=["worker"], once=True, operation_id="worker_contest")
    def post(self, request, name: str):
        given = self.parsed()
        made = contests.contest(
            worker_name=name, assignment_id=given["assignment"], note=given["note"], user=self.acting_user
        )
        return Response({"success": True, **Contested(made).data})


class OfWorker(Listing):
    """A list about one worker, for its contributor and operators."""

    def get_worker(self) -> Worker:
        workers = seen_by(self.request.user, Worker.objects.all(), owner="contributor__user")
        return get_object_or_404(workers, name=self.kwargs["name"])


class Reputation(OfWorker):
    """Every change of the reputation of the worker's contributor, newest first, with its reason."""

    serializer_class = ReputationChangeSerializer
    pagination_class = Page.of("changes")

    def get_queryset(self) -> QuerySet[ReputationChange]:
        return ReputationChange.objects.filter(contributor__workers=self.get_worker())

    @documented(ReputationChangeSerializer(many=True), missing=True, tags=["worker"], operation_id="worker_reputation")
    def get(self, request, name: str):
        return self.list(request)


class Verdicts(OfWorker):
    """The verdicts on the worker's answers, newest first, with the evidence and what may be contested."""

    serializer_class = WorkerVerdict
    pagination_class = Page.of("verdicts")

    def get_queryset(self) -> QuerySet[Verdict]:
        found = Verdict.objects.filter(assignment__worker=self.get_worker())
        return found.select_related("assignment", "contest").order_by("-pk")

    @documented(WorkerVerdict(many=True), missing=True, tags=["worker"], operation_id="worker_verdicts")
    def get(self, request, name: str):
        return self.list(request)


class Receipt(Call):
    """A job's receipt: what was checked, how, what that is worth, what it cost and who was paid.

    The client sees every attempt; a contributor sees those of its own workers. With the worker's answer and the data
    it is enough to run the check again: `python -m workers.recheck`.
    """

    @documented(ReceiptSerializer, missing=True, refused=False, tags=["jobs"], operation_id="job_receipt")
    def get(self, request, job_id):
        return Response(ReceiptSerializer(receipts.receipt(job_id=job_id, user=self.acting_user)).data)


class Answer(Call):
    """A worker's own answer, as the `.npz` archive that it wrote back, for its contributor and operators."""

    renderer_classes = (JSONRenderer, NpzRenderer)

    @extend_schema(
        tags=["worker"],
        operation_id="assignment_answer",
        responses={(200, "application/x-npz"): OpenApiTypes.BINARY, (404, "application/json"): Missing},
    )
    def get(self, request, assignment_id):
        path, sha256 = receipts.answer_file(assignment_id=assignment_id, user=self.acting_user)
        return send_file(
            request._request, path, name=sha256, content_type=NpzRenderer.media_type, filename=f"{assignment_id}.npz"
        )
