"""Datasets: uploading one, looking at one, the list."""

from django.conf import settings
from django.db.models import F, FilteredRelation, Q, QuerySet
from rest_framework.generics import ListAPIView, get_object_or_404
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response

from marketplace.actions import deletion
from marketplace.actions.datasets import require_room, store_upload
from marketplace.api.base import Call, Page, documented
from marketplace.api.serializers.datasets import DatasetSerializer, DeletedDataset, StoredDataset, Upload
from marketplace.domain.access import Scope
from marketplace.models import Dataset


def seen_datasets(user) -> QuerySet[Dataset]:
    """Those whose content `user` brought, each under its own label; all in the sandbox and for an operator."""
    here = Dataset.objects.filter(deleted_at=None)
    if settings.SANDBOX or user.is_staff:
        return here
    mine = FilteredRelation("owners", condition=Q(owners__user=user.pk))
    own = {"own_label": F("mine__label"), "own_at": F("mine__created_at")}
    return here.annotate(mine=mine).filter(mine__isnull=False).annotate(**own)


class Datasets(Call, ListAPIView):
    """The datasets, newest first; and uploading one, a `.csv` (with or without a header), `.npy` or `.npz` file.

    A dataset is named by the SHA-256 of its file, so that the same file again is the same dataset.
    """

    scope = Scope.SUBMIT
    parser_classes = (MultiPartParser,)
    serializer_class = Upload
    pagination_class = Page.of("datasets")

    def before_body(self, request, length: int) -> None:
        require_room(user=request.user if request.user.is_authenticated else None, size_bytes=length)

    def get_queryset(self):
        return seen_datasets(self.request.user).order_by("-created_at", "pk")

    @documented(DatasetSerializer(many=True), tags=["datasets"], operation_id="dataset_list")
    def get(self, request):
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(DatasetSerializer(page, many=True).data)

    @documented(StoredDataset, tags=["datasets"], operation_id="dataset_upload")
    def post(self, request):
        file = self.parsed()["file"]
        dataset = store_upload(stream=file.file, filename=file.name, user=self.acting_user)
        seen = seen_datasets(request.user).get(pk=dataset.pk)
        return Response({"success": True, **DatasetSerializer(seen).data})


class DeleteDataset(Call):
    """Delete your data: your right to them, and, where nobody else brought the same, their files and names too.

    Refused while a job or a contest needs them. Machines that got a copy are asked to drop it at their next heartbeat.
    """

    scope = Scope.SUBMIT

    @documented(DeletedDataset, missing=True, tags=["datasets"], once=True, operation_id="dataset_delete")
    def post(self, request, dataset_id: str):
        self.parsed()
        gone = deletion.delete_dataset(sha256=dataset_id, user=self.acting_user, actor=self.actor)
        return Response({"success": True, "dataset_id": dataset_id, "files_deleted": gone})


class OneDataset(Call):
    """A dataset's shape and columns."""

    @documented(DatasetSerializer, missing=True, refused=False, tags=["datasets"], operation_id="dataset_detail")
    def get(self, request, dataset_id: str):
        dataset = get_object_or_404(seen_datasets(request.user), pk=dataset_id)
        return Response(DatasetSerializer(dataset).data)
