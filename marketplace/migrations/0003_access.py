"""Keys, invitations, grants, allowances, rights to datasets; and the roles that accounts may have."""

import django.db.models.deletion
import marketplace.models.clock
import uuid
from django.conf import settings
from django.db import migrations, models


def make_roles(apps, schema_editor):
    for name in ("client", "contributor"):
        apps.get_model("auth", "Group").objects.get_or_create(name=name)


def remember_owners(apps, schema_editor):
    owner = apps.get_model("marketplace", "DatasetOwner")
    for dataset in apps.get_model("marketplace", "Dataset").objects.exclude(uploaded_by=None):
        owner.objects.create(dataset=dataset, user=dataset.uploaded_by, label=dataset.label)


class Migration(migrations.Migration):

    dependencies = [
        ('marketplace', '0002_first_rows'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Allowance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount', models.BigIntegerField(help_text='Micro-tokens left.')),
                ('changed_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
            ],
        ),
        migrations.CreateModel(
            name='ApiKey',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(help_text='What its owner calls it.', max_length=64)),
                ('sha256', models.CharField(max_length=64, unique=True)),
                ('scopes', models.JSONField(help_text='Some of read, submit, contribute, operate.')),
                ('spending_limit', models.BigIntegerField(blank=True, help_text='Micro-tokens in all; empty for no limit.', null=True)),
                ('spent', models.BigIntegerField(default=0, help_text='Micro-tokens.')),
                ('created_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ('expires_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, help_text='To the minute.', null=True)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='DatasetOwner',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('label', models.CharField(blank=True, help_text='What the file was called when this user sent it.', max_length=120)),
                ('created_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
            ],
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount', models.BigIntegerField(help_text='Micro-tokens each time.')),
                ('period', models.CharField(choices=[('once', 'Once'), ('monthly', 'Monthly')], max_length=10)),
                ('created_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ('paid_for', models.CharField(blank=True, help_text='The last period paid: a month, or once.', max_length=10)),
                ('stopped_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(max_length=64, unique=True)),
                ('roles', models.JSONField()),
                ('note', models.CharField(blank=True, help_text='For whom it is.', max_length=200)),
                ('created_by', models.CharField(max_length=150)),
                ('created_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.AddField(
            model_name='allowance',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='allowances_given', to='marketplace.account'),
        ),
        migrations.AddField(
            model_name='allowance',
            name='spender',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='allowances_held', to='marketplace.account'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_keys', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='datasetowner',
            name='dataset',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='owners', to='marketplace.dataset'),
        ),
        migrations.AddField(
            model_name='datasetowner',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='dataset_rights', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='grant',
            name='wallet',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='grants', to='marketplace.account'),
        ),
        migrations.AddField(
            model_name='invitation',
            name='used_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='invitations_used', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='allowance',
            constraint=models.UniqueConstraint(fields=('owner', 'spender'), name='allowance_once_a_pair'),
        ),
        migrations.AddConstraint(
            model_name='allowance',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gte', 0), ('amount__lte', 1000000000000000)), name='allowance_in_range'),
        ),
        migrations.AddConstraint(
            model_name='allowance',
            constraint=models.CheckConstraint(condition=models.Q(('owner', models.F('spender')), _negated=True), name='allowance_to_another'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('spent__gte', 0)), name='api_key_spent_nothing_or_more'),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.CheckConstraint(condition=models.Q(('spending_limit', None), ('spent__lte', models.F('spending_limit')), _connector='OR'), name='api_key_within_its_limit'),
        ),
        migrations.AddConstraint(
            model_name='datasetowner',
            constraint=models.UniqueConstraint(fields=('dataset', 'user'), name='dataset_owner_once'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0), ('amount__lte', 1000000000000000)), name='grant_amount_in_range'),
        ),
        migrations.AddConstraint(
            model_name='grant',
            constraint=models.CheckConstraint(condition=models.Q(('period__in', ['once', 'monthly'])), name='grant_period_known'),
        ),
        migrations.RunPython(make_roles, migrations.RunPython.noop),
        migrations.RunPython(remember_owners, migrations.RunPython.noop),
    ]
