"""What was answered to a request that named an idempotency key."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow


class IdempotencyKey(models.Model):
    """One user's key, the request that it came with, and the answer to it. Written with the request's effect.

    `user` is empty for whoever is not logged in, in the sandbox alone. `answer` is encrypted with a key made of
    SECRET_KEY: some answers hold secrets, such as an enrolment key, and a copy of the database opens no door.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="idempotency_keys"
    )
    key = models.CharField(max_length=100)
    request_sha256 = models.CharField(max_length=64, help_text="Of the call and its body.")
    answer = models.BinaryField(default=bytes, editable=False)
    created_at = models.DateTimeField(db_default=DatabaseNow(), db_index=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once_a_user"),
            models.UniqueConstraint(
                fields=["key"], condition=Q(user__isnull=True), name="idempotency_key_once_in_the_sandbox"
            ),
        ]

    def __str__(self) -> str:
        return self.key
