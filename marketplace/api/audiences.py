"""Who may receive data: an operator's pools of workers, and what a dataset names."""

from rest_framework.response import Response

from marketplace.actions.audiences import change_pool, restrict
from marketplace.api.base import Call, Page, documented
from marketplace.api.serializers.audiences import ChangedPool, ChangePool, PoolSerializer, Restricted
from marketplace.api.serializers.jobs import Receivers
from marketplace.domain.access import Scope
from marketplace.models import Pool


class Pools(Call):
    """The pools, by name, each with its workers; datasets and jobs may name them as those that receive the data."""

    pagination_class = Page.of("pools")

    @documented(PoolSerializer(many=True), tags=["pools"], operation_id="pool_list")
    def get(self, request):
        page = self.paginate_queryset(Pool.objects.prefetch_related("workers"))
        return self.get_paginated_response(PoolSerializer(page, many=True).data)


class ChangeOnePool(Call):
    """Put workers into a pool and take others out. A pool that there is not yet is made."""

    scope = Scope.OPERATE
    serializer_class = ChangePool

    @documented(ChangedPool, tags=["pools"], once=True, operation_id="pool_change")
    def post(self, request, name: str):
        pool = change_pool(name=name, actor=self.actor, **self.parsed())
        return Response({"success": True, **PoolSerializer(pool).data})


class DatasetReceivers(Call):
    """Say whose workers alone may receive your dataset from now on, by pool or contributor; nothing for any worker.

    Without log-in, as in the sandbox, a dataset is nobody's: name them with each job, in its `receivers`.
    """

    scope = Scope.SUBMIT
    serializer_class = Receivers

    @documented(Restricted, missing=True, tags=["datasets"], once=True, operation_id="dataset_receivers")
    def post(self, request, dataset_id: str):
        found = restrict(sha256=dataset_id, receivers=self.parsed(), user=self.acting_user)
        return Response({"success": True, "dataset_id": dataset_id, "receivers": found.as_json() if found else None})
