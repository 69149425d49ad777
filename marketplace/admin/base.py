"""Rows that the admin shows and never writes."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from marketplace import filters
from marketplace.domain.errors import Refused


class ReadOnlyAdmin(admin.ModelAdmin):
    """No adding, no changing, no deleting: who wants a change takes an action, which writes down who it was."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class OperatorAdmin(ReadOnlyAdmin):
    """Rows that an operator acts on, by `actions` that ask for the right to change them."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """What Django's `@admin.action(permissions=["operate"])` asks."""
        name = f"{self.opts.app_label}.change_{self.opts.model_name}"
        return bool(request.user.is_staff and request.user.has_perm(name))

    def each(self, request: HttpRequest, rows: QuerySet[Any], act: Callable[[Any], object], done: str) -> None:
        """Do `act` to each row by itself, log it as theirs who did it, and say in sentences what came of it."""
        count = 0
        for row in rows:
            try:
                act(row)
                self.log_change(request, row, done)
                count += 1
            except Refused as refusal:
                self.message_user(request, f"{row}: {refusal}", messages.ERROR)
        if count:
            self.message_user(request, f"{count} {done}.", messages.SUCCESS)


def tokens(field: str, label: str) -> Any:
    """A column that shows the micro-tokens at `field` (with ``__`` through relations) as tokens."""

    @admin.display(description=f"{label} (tokens)", ordering=field)
    def column(row: Any) -> str:
        value = row
        for name in field.split("__"):
            value = getattr(value, name)
        return filters.tokens(value)

    return column
