"""Datasets, as the API says them."""

from typing import Any

from rest_framework import serializers

from marketplace.api.base import Strict
from marketplace.models import Dataset


class Upload(Strict):
    file = serializers.FileField(help_text="A .csv, .parquet, .npy or .npz file.", use_url=False)


class DatasetSerializer(serializers.Serializer):
    dataset_id = serializers.CharField(source="sha256", help_text="The SHA-256 of what was uploaded.")
    label: Any = serializers.SerializerMethodField(help_text="The file's name when you sent it.")
    format = serializers.CharField()
    rows = serializers.IntegerField()
    columns = serializers.ListField(child=serializers.CharField(), source="column_names")
    text_columns = serializers.SerializerMethodField(help_text="Columns that no job can use.")
    default_target = serializers.CharField(allow_blank=True)
    dtype = serializers.CharField()
    size_bytes = serializers.IntegerField()
    sample = serializers.BooleanField(help_text="Made by the network, where a request brought no data.")
    created_at = serializers.SerializerMethodField(help_text="When you first sent it.")

    # Somebody else may have sent the same content before: what they called it, and when, is theirs to know.
    def get_label(self, dataset: Dataset) -> str:
        return getattr(dataset, "own_label", dataset.label)

    def get_created_at(self, dataset: Dataset) -> float:
        return getattr(dataset, "own_at", dataset.created_at).timestamp()

    def get_text_columns(self, dataset: Dataset) -> list[str]:
        columns: list[dict[str, Any]] = dataset.columns
        return [column["name"] for column in columns if column["matrix_column"] is None]


class StoredDataset(DatasetSerializer):
    success = serializers.BooleanField(default=True)


class DeletedDataset(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    dataset_id = serializers.CharField()
    files_deleted = serializers.BooleanField(help_text="False where somebody else brought the same content.")
