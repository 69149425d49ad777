"""Idempotency keys belong to users and answer every call that changes something; a job knows the request it came with.

Keys of before this migration are forgotten: what they named is done.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import marketplace.models.clock


class Migration(migrations.Migration):

    dependencies = [
        ('marketplace', '0008_notices'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.DeleteModel(name='IdempotencyKey'),
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=100)),
                ('request_sha256', models.CharField(help_text='Of the call and its body.', max_length=64)),
                ('answer', models.BinaryField(default=bytes)),
                ('created_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow(), db_index=True)),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='idempotency_keys', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [
                    models.UniqueConstraint(fields=('user', 'key'), name='idempotency_key_once_a_user'),
                    models.UniqueConstraint(condition=models.Q(('user__isnull', True)), fields=('key',), name='idempotency_key_once_in_the_sandbox'),
                ],
            },
        ),
        migrations.AddField(
            model_name='job',
            name='request_id',
            field=models.CharField(db_default='', help_text='Of the request that submitted it; in logs.', max_length=64),
        ),
    ]
