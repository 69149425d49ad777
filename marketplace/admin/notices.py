"""What people are told, and whether it arrived."""

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin
from marketplace.models import Notice, NoticeChoice, NoticeScan


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "user", "kind", "channel", "subject", "tries", "sent_at", "given_up_at", "problem"]
    list_filter = ["kind", "channel", "sent_at", "given_up_at"]
    list_select_related = ["user"]
    search_fields = ["user__username", "subject"]
    ordering = ["-created_at"]


@admin.register(NoticeChoice)
class NoticeChoiceAdmin(ReadOnlyAdmin):
    list_display = ["user", "kinds", "by_email", "webhook_url"]
    list_select_related = ["user"]
    search_fields = ["user__username", "webhook_url"]
    exclude = ["webhook_salt"]


@admin.register(NoticeScan)
class NoticeScanAdmin(ReadOnlyAdmin):
    list_display = ["id", "event", "at"]
