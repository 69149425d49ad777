"""Who submits jobs and pays."""

from django.conf import settings
from django.db import models

from marketplace.models.clock import DatabaseNow
from marketplace.models.ledger import Account


class Client(models.Model):
    address = models.CharField(max_length=64, unique=True, help_text="The public name, which is its wallet's.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="clients")
    wallet = models.OneToOneField(Account, models.PROTECT, related_name="client")
    virtual_finish = models.FloatField(default=0.0, help_text="Where its next job queues, in fair-queueing seconds.")
    created_at = models.DateTimeField(db_default=DatabaseNow())

    def __str__(self) -> str:
        return self.address
