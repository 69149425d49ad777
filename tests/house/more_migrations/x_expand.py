import pkgutil
import time

from django.db import migrations, models

import marketplace.migrations

LAST = max(module.name for module in pkgutil.iter_modules(marketplace.migrations.__path__))


class Migration(migrations.Migration):
    dependencies = [("marketplace", LAST)]

    operations = [
        migrations.AddField("job", "expanded", models.CharField(max_length=20, null=True)),
        migrations.AddField("account", "expanded", models.CharField(max_length=20, null=True)),
        migrations.RunPython(lambda apps, editor: time.sleep(0.7)),  # as many rows would take
        migrations.AddIndex("job", models.Index(fields=["expanded"], name="job_expanded")),
    ]
