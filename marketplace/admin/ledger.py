"""Accounts and transfers."""

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin, tokens
from marketplace.models import Account, Transfer


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", tokens("balance", "balance"), "last_transfer", "created_at"]
    list_filter = ["kind"]
    search_fields = ["name"]
    ordering = ["kind", "name"]
    fields = ["kind", "name", tokens("balance", "balance"), "last_transfer", "created_at"]
    readonly_fields = [fields[2]]


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = ["id", "code", "source", "destination", tokens("amount", "amount"), "job", "created_at"]
    list_filter = ["code", "created_at"]
    list_select_related = ["source", "destination", "job"]
    search_fields = ["source__name", "destination__name", "idempotency_key"]
    ordering = ["-id"]
    fields = ["source", "destination", tokens("amount", "amount"), "code", "job", "idempotency_key", "created_at"]
    readonly_fields = [fields[2]]
