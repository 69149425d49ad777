"""What a contributor's machine sends and gets: `workers.protocol`, checked."""

import re
from typing import Any

from rest_framework import serializers

from marketplace.api.base import Strict
from marketplace.api.fields import Flag, Number, Text, WholeNumber
from workers.protocol import MOST_TOGETHER, TOGETHER_ANSWER_BYTES

MAX_SLOTS = 64
MAX_BEATS = 256
MAX_FENCE = 32_767
SHA256 = re.compile(r"[0-9a-f]{64}")


class Digest(Text):
    """A SHA-256."""

    def __init__(self) -> None:
        super().__init__(max_length=64, help_text="64 lower-case hex digits.")

    def to_internal_value(self, data: object) -> str:
        text = super().to_internal_value(data)
        if not SHA256.fullmatch(text):
            raise serializers.ValidationError("This must be a SHA-256, 64 lower-case hex digits.")
        return text


class Device(Strict):
    gpu_type = Text(max_length=64)
    name = Text(max_length=200)
    memory_bytes = WholeNumber()
    backend = serializers.ChoiceField(choices=["numpy", "torch", "cupy"])
    simulated = Flag()


class EnrolRequest(Strict):
    enrolment_key = Text(max_length=100, allow_blank=True)
    protocol = WholeNumber(max_value=30_000)
    catalog = serializers.DictField(child=WholeNumber(max_value=30_000), help_text="Model → version.")
    device = Device()
    slots = WholeNumber(min_value=1, max_value=MAX_SLOTS)
    hostname = Text(max_length=255, allow_blank=True)
    transport = serializers.ChoiceField(choices=["redis", "https"], required=False)


class EnrolReply(serializers.Serializer):
    worker = serializers.UUIDField()
    worker_id = serializers.CharField()
    secret = serializers.CharField()
    queue = serializers.CharField()
    broker_url = serializers.CharField()
    heartbeat_seconds = serializers.FloatField()
    transport = serializers.ChoiceField(choices=["redis", "https"], required=False)


class Beat(Strict):
    assignment = serializers.UUIDField()
    fence = WholeNumber(max_value=MAX_FENCE)
    progress = Number(min_value=0, max_value=1)
    note = Text(max_length=2000, allow_blank=True)

    def validate_assignment(self, value) -> str:
        return str(value)


class HeartbeatRequest(Strict):
    assignments = serializers.ListField(child=Beat(), max_length=MAX_BEATS)
    load = Number(min_value=0, max_value=1, allow_null=True)
    memory_free_bytes = WholeNumber(allow_null=True)
    temperature_celsius = Number(min_value=-300, max_value=10_000, allow_null=True)
    aside = Text(max_length=200, allow_blank=True, required=False)
    dropped = serializers.ListField(child=Text(max_length=64), required=False, max_length=MAX_BEATS)


class HeartbeatReply(serializers.Serializer):
    cancel = serializers.ListField(child=serializers.UUIDField())
    drain = serializers.BooleanField()
    heartbeat_seconds = serializers.FloatField()
    take = serializers.ListField(child=serializers.UUIDField(), required=False)
    upgrade = serializers.CharField(required=False)
    challenge = serializers.UUIDField(required=False)
    together = serializers.IntegerField(required=False)


class MatrixSerializer(serializers.Serializer):
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()
    rows = serializers.IntegerField()
    columns = serializers.IntegerField()


class LimitsSerializer(serializers.Serializer):
    seconds = serializers.FloatField()
    memory_bytes = serializers.IntegerField()


class SpecificationReply(serializers.Serializer):
    assignment = serializers.UUIDField()
    fence = serializers.IntegerField()
    model = serializers.CharField()
    params = serializers.DictField()
    seed = serializers.IntegerField()
    matrix = MatrixSerializer()
    features = serializers.ListField(child=serializers.IntegerField())
    target = serializers.IntegerField(allow_null=True)
    limits = LimitsSerializer()
    heartbeat_seconds = serializers.FloatField()
    stand_in = serializers.CharField(required=False)


def _each_once(assignments: list[Any]) -> None:
    """
    Raises:
        ValidationError
    """
    if len(set(assignments)) != len(assignments):
        raise serializers.ValidationError("This may name an assignment once.")


class StartsRequest(Strict):
    assignments = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MOST_TOGETHER)

    def validate_assignments(self, value: list[Any]) -> list[Any]:
        _each_once(value)
        return value


class StartOutcome(serializers.Serializer):
    status = serializers.IntegerField(help_text="What the call for this one alone would answer with.")
    specification = SpecificationReply(required=False)
    error = serializers.CharField(required=False)


class StartsReply(serializers.Serializer):
    assignments = serializers.ListField(child=StartOutcome())


class AnswerNote(Strict):
    assignment = serializers.UUIDField()
    fence = WholeNumber(max_value=MAX_FENCE)
    sha256: Any = Digest()
    seconds = Number(min_value=0, max_value=1e9)
    size_bytes = WholeNumber(max_value=TOGETHER_ANSWER_BYTES)


class AnswersLine(Strict):
    answers = serializers.ListField(child=AnswerNote(), min_length=1, max_length=MOST_TOGETHER)

    def validate_answers(self, value: list[Any]) -> list[Any]:
        _each_once([note["assignment"] for note in value])
        return value


class AnswerOutcome(serializers.Serializer):
    status = serializers.IntegerField(help_text="What the call for this one alone would answer with.")
    error = serializers.CharField(required=False)


class AnswersReply(serializers.Serializer):
    answers = serializers.ListField(child=AnswerOutcome())


class FailureRequest(Strict):
    fence = WholeNumber(max_value=MAX_FENCE)
    fault = serializers.ChoiceField(choices=["job", "worker", "system"])
    error = Text(max_length=2000, allow_blank=True)
