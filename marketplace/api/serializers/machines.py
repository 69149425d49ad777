"""What a contributor's machine sends and gets: `workers.protocol`, checked."""

from rest_framework import serializers

from marketplace.api.base import Strict
from marketplace.api.fields import Flag, Number, Text, WholeNumber

MAX_SLOTS = 64
MAX_BEATS = 256


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
    fence = WholeNumber(max_value=32_767)
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


class FailureRequest(Strict):
    fence = WholeNumber(max_value=32_767)
    fault = serializers.ChoiceField(choices=["job", "worker", "system"])
    error = Text(max_length=2000, allow_blank=True)
