"""Keys, invitations, grants, allowances, and who may use which dataset."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from marketplace.actions import grants, invitations, keys
from marketplace.admin.base import OperatorAdmin, ReadOnlyAdmin, tokens
from marketplace.models import Allowance, ApiKey, DatasetOwner, Grant, Invitation

AMOUNT, SPENT = tokens("amount", "amount"), tokens("spent", "spent")


@admin.register(ApiKey)
class ApiKeyAdmin(OperatorAdmin):
    list_display = ["name", "user", "scopes", "spending_limit", SPENT, "expires_at", "revoked_at", "last_used_at"]
    list_filter = ["revoked_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    exclude = ["sha256"]
    actions = ["revoke"]

    @admin.action(description="Revoke these keys", permissions=["operate"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        rows = queryset.filter(revoked_at=None)
        self.each(request, rows, lambda key: keys.revoke(key_id=key.pk, user=request.user), "key(s) revoked")


@admin.register(Invitation)
class InvitationAdmin(OperatorAdmin):
    list_display = ["id", "roles", "note", "created_by", "created_at", "expires_at", "used_at", "used_by"]
    list_filter = ["used_at", "expires_at"]
    list_select_related = ["used_by"]
    search_fields = ["note", "created_by"]
    exclude = ["sha256"]
    actions = ["renew"]

    @admin.action(description="Invite again: another code like each of these, shown once", permissions=["operate"])
    def renew(self, request: HttpRequest, queryset: Any) -> None:
        for like in queryset:
            made = invitations.invite(roles=like.roles, note=like.note, actor=request.user.get_username())
            address = request.build_absolute_uri(f"{reverse('account_signup')}?code={made.code}")
            self.message_user(request, f"Invitation {made.invitation.pk}, {', '.join(like.roles)}: {address}")


@admin.register(Grant)
class GrantAdmin(OperatorAdmin):
    list_display = ["id", "wallet", AMOUNT, "period", "paid_for", "created_by", "created_at", "stopped_at"]
    list_filter = ["period", "stopped_at"]
    list_select_related = ["wallet"]
    search_fields = ["wallet__name", "created_by"]
    actions = ["stop"]

    @admin.action(description="Stop these grants", permissions=["operate"])
    def stop(self, request: HttpRequest, queryset: Any) -> None:
        actor = request.user.get_username()
        rows = queryset.filter(stopped_at=None)
        self.each(request, rows, lambda grant: grants.stop_grant(grant_id=grant.pk, actor=actor), "grant(s) stopped")


@admin.register(Allowance)
class AllowanceAdmin(ReadOnlyAdmin):
    list_display = ["owner", "spender", AMOUNT, "changed_at"]
    list_select_related = ["owner", "spender"]
    search_fields = ["owner__name", "spender__name"]
    ordering = ["-changed_at"]


@admin.register(DatasetOwner)
class DatasetOwnerAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "user", "label", "created_at"]
    list_select_related = ["dataset", "user"]
    search_fields = ["dataset__sha256", "user__username"]
    ordering = ["-created_at"]
