"""What an operator needs in an incident: frozen payouts, a drained network, a suspended contributor, second checks."""

import django.db.models.deletion
import marketplace.models.clock
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0004_web_pulse")]

    operations = [
        migrations.AddField(
            model_name="network",
            name="payouts_frozen_at",
            field=models.DateTimeField(blank=True, help_text="Since when verdicts wait to be paid.", null=True),
        ),
        migrations.AddField(
            model_name="network", name="payouts_frozen_by", field=models.CharField(blank=True, max_length=150)
        ),
        migrations.AddField(model_name="network", name="payouts_frozen_reason", field=models.TextField(blank=True)),
        migrations.AddField(
            model_name="network",
            name="draining",
            field=models.BooleanField(default=False, help_text="No machine is given anything new."),
        ),
        migrations.AddField(
            model_name="contributor",
            name="suspended_at",
            field=models.DateTimeField(
                blank=True, help_text="Since when it may have no active worker.", null=True
            ),
        ),
        migrations.CreateModel(
            name="HeldVerdict",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scalars",
                    models.JSONField(blank=True, default=dict, help_text="The accepted result's numbers."),
                ),
                ("held_at", models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ("settled_at", models.DateTimeField(blank=True, null=True)),
                (
                    "verdict",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="held", to="marketplace.verdict"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("settled_at", None)), fields=["id"], name="held_verdict_waiting"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Reverification",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        help_text="accepted, rejected, inconclusive, or missing; empty while it waits.",
                        max_length=12,
                    ),
                ),
                ("method", models.CharField(blank=True, max_length=200)),
                ("reason", models.TextField(blank=True)),
                ("fault", models.CharField(blank=True, max_length=10)),
                ("measured", models.FloatField(blank=True, null=True)),
                ("tolerance", models.FloatField(blank=True, null=True)),
                ("bound", models.TextField(blank=True)),
                ("error_chance", models.FloatField(default=0.0)),
                ("detail", models.JSONField(blank=True, default=dict)),
                (
                    "seed",
                    models.CharField(blank=True, help_text="Hex; this check's randomness.", max_length=64),
                ),
                ("seconds", models.FloatField(default=0.0, help_text="What checking took.")),
                ("actor", models.CharField(max_length=150)),
                ("asked_at", models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("checked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "assignment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reverifications",
                        to="marketplace.assignment",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("checked_at", None)), fields=["sent_at"], name="reverification_waiting"
                    )
                ],
            },
        ),
    ]
