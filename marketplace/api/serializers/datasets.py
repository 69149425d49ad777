"""Datasets, as the API says them."""

from typing import Any

from rest_framework import serializers

from marketplace.api.base import Strict
from marketplace.api.fields import UnixTime
from marketplace.models import Dataset


class Upload(Strict):
    file = serializers.FileField(help_text="A .csv, .npy or .npz file.", use_url=False)


class DatasetSerializer(serializers.Serializer):
    dataset_id = serializers.CharField(source="sha256", help_text="The SHA-256 of what was uploaded.")
    label: Any = serializers.CharField(help_text="The file's name when it came.")
    format = serializers.CharField()
    rows = serializers.IntegerField()
    columns = serializers.ListField(child=serializers.CharField(), source="column_names")
    text_columns = serializers.SerializerMethodField(help_text="Columns that no job can use.")
    default_target = serializers.CharField(allow_blank=True)
    dtype = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sample = serializers.BooleanField(help_text="Made by the network, where a request brought no data.")
    created_at = UnixTime()

    def get_text_columns(self, dataset: Dataset) -> list[str]:
        columns: list[dict[str, Any]] = dataset.columns
        return [column["name"] for column in columns if column["matrix_column"] is None]


class StoredDataset(DatasetSerializer):
    success = serializers.BooleanField(default=True)
