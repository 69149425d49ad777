"""Workers, as the API says them."""

from django.conf import settings
from rest_framework import serializers

from marketplace.actions.versions import advice
from marketplace.api.base import Strict
from marketplace.api.fields import Number, Text, Tokens
from marketplace.models import Worker


class RegisterWorker(Strict):
    worker_id = Text(max_length=64)
    gpu_type = Text(max_length=64)
    compute_capacity = Number(help_text="TFLOPS.")
    stake_amount = Tokens(help_text="Tokens put at risk.")

    example = {"worker_id": "worker_rtx4090_01", "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150}


class RegisteredWorker(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    worker_id = serializers.CharField()
    balance = Tokens(help_text="What is left beside the stake.")
    enrolment_key = serializers.CharField(help_text="Enrols the worker's machine, once. It is not shown again.")


class WorkerSerializer(serializers.Serializer):
    """A row of the list. The view's context brings `now`, the database's clock."""

    worker_id = serializers.CharField(source="name")
    gpu_type = serializers.CharField()
    compute_capacity = serializers.FloatField(help_text="TFLOPS, as claimed.")
    measured_rate = serializers.FloatField(allow_null=True, help_text="TFLOPS of matrix products that it has shown.")
    claim_doubted = serializers.BooleanField(help_text="It did not show a fair part of what it claims.")
    reputation = serializers.FloatField(source="contributor.reputation")
    jobs_completed = serializers.IntegerField()
    is_active = serializers.BooleanField()
    is_online = serializers.SerializerMethodField(help_text="Its machine has been heard from lately.")

    def get_is_online(self, worker: Worker) -> bool:
        return worker.is_online(self.context["now"], settings.POLICY.silent_after_seconds)


class WorkerStatus(WorkerSerializer):
    stake = Tokens(source="stake.balance")
    current_job = serializers.UUIDField(allow_null=True)
    paused = serializers.BooleanField(source="draining", help_text="It takes nothing new until it is resumed.")
    schedule = serializers.CharField(help_text="When it takes jobs; empty for always.")
    time_zone = serializers.CharField(help_text="By whose clock the schedule is.")
    aside = serializers.CharField(help_text="Why its machine stands aside; empty where it does not.")
    balance = Tokens(source="contributor.wallet.balance")
    upgrade = serializers.SerializerMethodField(
        help_text="What to do about a machine of another version than the network's; empty for one of its own."
    )

    def get_upgrade(self, worker: Worker) -> str:
        return advice(worker)


class PauseWorker(Strict):
    hand_back = serializers.BooleanField(default=False, help_text="Give what it computes to others at once.")

    example = {"hand_back": False}


class ScheduleWorker(Strict):
    schedule = Text(max_length=200, allow_blank=True, help_text="Hours by day; empty for always.")
    time_zone = Text(max_length=64, default="UTC", help_text="By whose clock.")

    example = {"schedule": "mon-fri 18:00-08:00, sat-sun 00:00-24:00", "time_zone": "Europe/Berlin"}


class OwnersWish(serializers.Serializer):
    """What holds for a worker now."""

    success = serializers.BooleanField(default=True)
    worker_id = serializers.CharField(source="name")
    paused = serializers.BooleanField(source="draining")
    schedule = serializers.CharField()
    time_zone = serializers.CharField()
