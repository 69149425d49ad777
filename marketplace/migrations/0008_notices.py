"""What people want to be told of, and an outbox of what is on its way to them."""

import django.db.models.deletion
import marketplace.models.clock
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketplace', '0007_sealed_log'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='NoticeChoice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kinds', models.JSONField(default=list)),
                ('by_email', models.BooleanField(default=False)),
                ('webhook_url', models.CharField(blank=True, max_length=500)),
                ('webhook_salt', models.CharField(blank=True, max_length=32)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='notice_choice', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='NoticeScan',
            fields=[
                ('id', models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('event', models.BigIntegerField(default=0)),
                ('at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='notice_scan_one_row')],
            },
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('job_ended', 'a job of mine ended'), ('worker_silent', 'a worker of mine fell silent'), ('slashed', 'a worker of mine was slashed'), ('low_balance', 'a wallet of mine runs low'), ('disk', 'the disk runs full'), ('beat', 'coordination stood still'), ('books', 'the books do not add up')], max_length=20)),
                ('channel', models.CharField(choices=[('email', 'Email'), ('webhook', 'Webhook')], max_length=10)),
                ('about', models.CharField(help_text='What it is about, once a channel: of two scans, one writes it.', max_length=150)),
                ('subject', models.CharField(max_length=200)),
                ('lines', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ('due_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ('tries', models.PositiveSmallIntegerField(default=0)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('given_up_at', models.DateTimeField(blank=True, null=True)),
                ('problem', models.CharField(blank=True, help_text='Why the last try failed.', max_length=200)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notices', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'indexes': [models.Index(condition=models.Q(('given_up_at', None), ('sent_at', None)), fields=['due_at'], name='notice_due')],
                'constraints': [models.UniqueConstraint(fields=('user', 'channel', 'about'), name='notice_once_a_channel')],
            },
        ),
    ]
