"""When the web process was last alive; and counting a client's open jobs without reading its ended ones."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0003_access")]

    operations = [
        migrations.AddField(
            model_name="network",
            name="web_seen_at",
            field=models.DateTimeField(
                blank=True, help_text="The web process's last sign of life.", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("ended_at", None)), fields=["client"], name="job_open_by_client"
            ),
        ),
    ]
