"""Clients, as the API says them."""

from rest_framework import serializers

from marketplace.api.base import Strict
from marketplace.api.fields import Text, Tokens


class RegisterClient(Strict):
    client_address = Text(max_length=64)
    initial_balance = Tokens(required=False, allow_null=True, help_text="Tokens; 1000 if left out. Sandbox only.")

    example = {"client_address": "alice", "initial_balance": 1000}


class ClientSerializer(serializers.Serializer):
    client_address = serializers.CharField(source="address")
    balance = Tokens(source="wallet.balance")


class RegisteredClient(ClientSerializer):
    success = serializers.BooleanField(default=True)
