"""Uploads in parts, as the API takes and says them."""

from rest_framework import serializers

from marketplace.actions.uploads import missing
from marketplace.api.base import Strict
from marketplace.api.fields import Text, WholeNumber
from marketplace.models import Upload


class CreateUpload(Strict):
    filename = Text(max_length=255)
    size_bytes = WholeNumber(min_value=1)
    sha256 = serializers.RegexField(
        r"^[0-9a-f]{64}\Z", help_text="Of the whole file, in hexadecimal; the dataset's name from then on."
    )

    example = {"filename": "flats.csv", "size_bytes": 100_000_000, "sha256": "0" * 64}


class PartedUploadSerializer(serializers.Serializer):
    upload_id = serializers.UUIDField(source="id")
    state = serializers.ChoiceField(choices=Upload.State.values)
    size_bytes = serializers.IntegerField()
    part_bytes = serializers.IntegerField(help_text="Of every part but the last, which has what is left.")
    parts = serializers.IntegerField(help_text="Numbered from 0.")
    missing = serializers.SerializerMethodField(help_text="The parts that did not come yet.")
    progress = serializers.FloatField(help_text="Of the reading, 0 to 1.")
    reason = serializers.CharField(allow_blank=True, help_text="Why it was refused.")
    dataset_id = serializers.CharField(allow_null=True, help_text="Once it is ready.")

    def get_missing(self, upload: Upload) -> list[int]:
        return missing(upload)
