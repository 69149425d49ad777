"""Keys, invitations and grants, as the API says them."""

from rest_framework import serializers

from marketplace.actions import invitations, keys
from marketplace.api.base import Strict
from marketplace.api.fields import Text, Tokens, UnixTime, WholeNumber
from marketplace.domain.access import Role, Scope
from marketplace.models import Grant


class MakeKey(Strict):
    name = Text(max_length=64, help_text="What you call it.")
    scopes = serializers.ListField(
        child=Text(max_length=20), max_length=len(Scope), help_text=f"Some of {', '.join(Scope)}."
    )
    days = WholeNumber(required=False, min_value=1, max_value=keys.MAX_DAYS, help_text="90 if left out.")
    spending_limit = Tokens(required=False, allow_null=True, help_text="Tokens in all; no limit if left out.")

    example = {"name": "my laptop", "scopes": ["read", "submit"], "days": 90, "spending_limit": 100}


class KeySerializer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    spending_limit = Tokens(allow_null=True)
    spent = Tokens()
    created_at = UnixTime()
    expires_at = UnixTime()
    revoked_at = UnixTime(allow_null=True)
    last_used_at = UnixTime(allow_null=True)


class MadeKey(KeySerializer):
    success = serializers.BooleanField(default=True)
    key = serializers.CharField(help_text="Shown now and never again.")


class Revoked(KeySerializer):
    success = serializers.BooleanField(default=True)


class MakeInvitation(Strict):
    roles = serializers.ListField(
        child=Text(max_length=20), max_length=len(Role), help_text=f"Some of {', '.join(Role)}."
    )
    note = Text(required=False, max_length=200, allow_blank=True, help_text="For whom it is.")
    days = WholeNumber(required=False, min_value=1, max_value=invitations.MAX_DAYS, help_text="7 if left out.")

    example = {"roles": ["client"], "note": "Alice of the lab"}


class InvitationSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    roles = serializers.ListField(child=serializers.CharField())
    note = serializers.CharField(allow_blank=True)
    created_by = serializers.CharField()
    created_at = UnixTime()
    expires_at = UnixTime()
    used_at = UnixTime(allow_null=True)


class MadeInvitation(InvitationSerializer):
    success = serializers.BooleanField(default=True)
    code = serializers.CharField(help_text="Shown now and never again.")
    url = serializers.CharField(help_text="Where it is used.")


class MakeGrant(Strict):
    to = Text(max_length=64, help_text="A wallet's name.")
    amount = Tokens()
    period = serializers.ChoiceField(Grant.Period.values)

    example = {"to": "alice", "amount": 100, "period": "monthly"}


class GrantSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    to = serializers.CharField(source="wallet.name")
    amount = Tokens()
    period = serializers.CharField()
    created_by = serializers.CharField()
    created_at = UnixTime()
    paid_for = serializers.CharField(allow_blank=True, help_text="The last period paid: a month, or once.")
    stopped_at = UnixTime(allow_null=True)


class MadeGrant(GrantSerializer):
    success = serializers.BooleanField(default=True)
