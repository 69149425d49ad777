"""Accounts and transfers."""

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin, tokens
from marketplace.models import Account, Transfer

BALANCE, AMOUNT = tokens("balance", "balance"), tokens("amount", "amount")


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", BALANCE, "last_transfer", "created_at"]
    list_filter = ["kind"]
    search_fields = ["name"]
    ordering = ["kind", "name"]
    fields = ["kind", "name", BALANCE, "last_transfer", "created_at"]
    readonly_fields = [BALANCE]


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    list_display = ["id", "code", "source", "destination", AMOUNT, "job", "created_at"]
    list_filter = ["code", "created_at"]
    list_select_related = ["source", "destination", "job"]
    search_fields = ["source__name", "destination__name", "idempotency_key"]
    ordering = ["-id"]
    fields = ["source", "destination", AMOUNT, "code", "job", "idempotency_key", "created_at"]
    readonly_fields = [AMOUNT]
