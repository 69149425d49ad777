"""The token, as the API says it."""

from rest_framework import serializers

from marketplace.api.base import Strict
from marketplace.api.fields import Text, Tokens


class Token(serializers.Serializer):
    name = serializers.CharField()
    symbol = serializers.CharField()
    decimals = serializers.IntegerField()
    total_supply = Tokens()


class TokenBalance(serializers.Serializer):
    name = serializers.CharField()
    balance = Tokens()


OWN = "A wallet of yours; needed where you have several, and in the sandbox."


class MakeTransfer(Strict):
    to = Text(max_length=64)
    amount = Tokens()

    example = {"from": "alice", "to": "bob", "amount": 5}


# `from` is no name that Python's classes can hold.
MakeTransfer._declared_fields["from"] = Text(max_length=64, required=False, help_text=OWN)


class Transferred(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    to = serializers.CharField()
    amount = Tokens()
    balance = Tokens(help_text="What the wallet holds that it came out of, where it is yours.", required=False)


class MakeAllowance(Strict):
    owner = Text(max_length=64, required=False, help_text=OWN)
    spender = Text(max_length=64)
    amount = Tokens(help_text="In the place of what was allowed before.")

    example = {"owner": "alice", "spender": "bob", "amount": 20}


class AllowanceAnswer(serializers.Serializer):
    owner = serializers.CharField()
    spender = serializers.CharField()
    allowance = Tokens()


class Approved(AllowanceAnswer):
    success = serializers.BooleanField(default=True)


class MakeTransferFrom(Strict):
    to = Text(max_length=64)
    amount = Tokens()
    spender = Text(max_length=64, required=False, help_text=OWN)

    example = {"from": "alice", "to": "bob", "amount": 5, "spender": "bob"}


MakeTransferFrom._declared_fields["from"] = Text(max_length=64, help_text="Whose tokens they are.")


class TransferredFrom(serializers.Serializer):
    success = serializers.BooleanField(default=True)
    to = serializers.CharField()
    amount = Tokens()
    allowance = Tokens(help_text="What is left of it.")


class DrawFromFaucet(Strict):
    to = Text(max_length=64, help_text="A client of yours.")

    example = {"to": "alice"}
