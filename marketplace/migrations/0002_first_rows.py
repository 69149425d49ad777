"""The rows that there is one of: the issuance and treasury accounts, and the network's own."""

from django.db import migrations


def make(apps, schema_editor):
    account = apps.get_model("marketplace", "Account")
    for kind in ("issuance", "treasury"):
        account.objects.create(kind=kind, name=kind)
    apps.get_model("marketplace", "Network").objects.create(id=1)


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0001_initial")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
