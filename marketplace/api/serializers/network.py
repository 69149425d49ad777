"""The network's figures and its switch, as the API says them."""

from rest_framework import serializers


class Done(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    message = serializers.CharField()


class Health(serializers.Serializer):
    status = serializers.CharField()
    coordination_active = serializers.BooleanField()
    workers = serializers.IntegerField()
    jobs = serializers.IntegerField()


class ReadyCheck(serializers.Serializer):
    ok = serializers.BooleanField()
    detail = serializers.CharField(help_text="One sentence.")


class Ready(serializers.Serializer):
    """`checks` has database, migrations, guards, beat and redis."""

    ready = serializers.BooleanField()
    checks = serializers.DictField(child=ReadyCheck())


class ContractState(serializers.Serializer):
    total_jobs = serializers.IntegerField()
    pending_jobs = serializers.IntegerField()
    total_workers = serializers.IntegerField()
    active_workers = serializers.IntegerField()
    contract_balance = serializers.FloatField(help_text="Tokens held for open jobs.")


class Performance(serializers.Serializer):
    total_jobs = serializers.IntegerField()
    completed_jobs = serializers.IntegerField()
    failed_jobs = serializers.IntegerField()
    average_completion_time = serializers.FloatField(help_text="Seconds.")
    success_rate = serializers.FloatField(help_text="Percent.")


class Stats(serializers.Serializer):
    contract_state = ContractState()
    performance = Performance()


class Index(serializers.Serializer):
    """What is here: for each group of calls, the method and path of each by name."""

    name = serializers.CharField()
    version = serializers.CharField()
    endpoints = serializers.DictField(child=serializers.DictField(child=serializers.CharField()))
