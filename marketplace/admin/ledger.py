"""Accounts and transfers."""

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin, tokens
from marketplace.models import Account, BooksCheck, Transfer

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


@admin.register(BooksCheck)
class BooksCheckAdmin(ReadOnlyAdmin):
    list_display = ["id", "asked_by", "asked_at", "checked_at", "adds_up", "transfers", "accounts", "seconds"]
    list_filter = ["checked_at"]
    search_fields = ["asked_by"]
    ordering = ["-id"]

    @admin.display(description="adds up", boolean=True)
    def adds_up(self, row: BooksCheck) -> bool | None:
        return row.ok if row.checked_at else None
