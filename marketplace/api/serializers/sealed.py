"""The sealed log, as the API says it: all as it was hashed and signed, times as text, amounts in micro-tokens."""

from typing import Any

from rest_framework import serializers


class CheckpointSerializer(serializers.Serializer):
    size = serializers.IntegerField(help_text="How many leaves it covers.")
    root: Any = serializers.CharField(help_text="Of the Merkle tree (RFC 6962), in hexadecimal.")
    created_at = serializers.CharField()
    public_key = serializers.CharField(help_text="Ed25519, in hexadecimal.")
    signature = serializers.CharField(help_text="Ed25519, in hexadecimal.")


class Consistency(serializers.Serializer):
    size = serializers.IntegerField()
    path = serializers.ListField(child=serializers.CharField(), help_text="Hashes, as RFC 6962 orders them.")


class LogState(serializers.Serializer):
    checkpoint = CheckpointSerializer(allow_null=True)
    consistency = Consistency(required=False, help_text="With `extends`: what shows that those leaves are the first.")


class ProvedRow(serializers.Serializer):
    number = serializers.IntegerField(help_text="Of the leaf.")
    leaf = serializers.DictField(help_text="The row as it was sealed.")
    proof = serializers.ListField(child=serializers.CharField(), help_text="Hashes, from the leaf up to the root.")
    private = serializers.DictField(allow_null=True, help_text="What the leaf's digest stands for.")
    salt = serializers.CharField(allow_null=True, help_text="What it was salted with, in hexadecimal.")


class Proofs(serializers.Serializer):
    checkpoint = CheckpointSerializer(allow_null=True)
    rows = ProvedRow(many=True)


class ProofsPage(Proofs):
    count = serializers.IntegerField(help_text="How many rows there are in all under this checkpoint.")
