"""Pools, and who may receive a dataset, as the API says them."""

from rest_framework import serializers

from marketplace.api.base import Strict
from marketplace.api.fields import Text
from marketplace.api.serializers.jobs import Receivers
from marketplace.models import Pool

MAX_CHANGED = 1000


class ChangePool(Strict):
    add = serializers.ListField(child=Text(max_length=64), required=False, max_length=MAX_CHANGED)
    remove = serializers.ListField(child=Text(max_length=64), required=False, max_length=MAX_CHANGED)

    example = {"add": ["gpu-1"], "remove": []}


class PoolSerializer(serializers.Serializer):
    name = serializers.CharField()
    workers = serializers.SerializerMethodField(help_text="Their names.")

    def get_workers(self, pool: Pool) -> list[str]:
        return sorted(worker.name for worker in pool.workers.all())


class ChangedPool(PoolSerializer):
    success = serializers.BooleanField(default=True)


class Restricted(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    dataset_id = serializers.CharField()
    receivers = Receivers(allow_null=True, help_text="Who alone may receive it; null for any worker.")
