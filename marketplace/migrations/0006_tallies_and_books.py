"""Figures that cost little to read, whether the books add up, and one account's newest transfers by index."""

import marketplace.models.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('marketplace', '0005_incidents'),
    ]

    operations = [
        migrations.CreateModel(
            name='BooksCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('asked_by', models.CharField(max_length=150)),
                ('asked_at', models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('checked_at', models.DateTimeField(blank=True, null=True)),
                ('seconds', models.FloatField(blank=True, help_text='What the replay took.', null=True)),
                ('transfers', models.PositiveBigIntegerField(default=0)),
                ('accounts', models.PositiveBigIntegerField(default=0)),
                ('by_kind', models.JSONField(default=dict, help_text='Micro-tokens by kind of account.')),
                ('problems', models.JSONField(default=list, help_text='The first of what does not add up, in sentences.')),
                ('problem_count', models.PositiveIntegerField(default=0)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Tally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('counted_to', models.DateTimeField(unique=True)),
                ('jobs', models.PositiveBigIntegerField(help_text='Submitted before `counted_to`.')),
                ('verified', models.PositiveBigIntegerField(help_text='Ended so before `counted_to`, as the next two.')),
                ('failed', models.PositiveBigIntegerField()),
                ('cancelled', models.PositiveBigIntegerField()),
                ('verified_seconds', models.FloatField(help_text='From submission to end, of the verified jobs together.')),
                ('workers', models.PositiveIntegerField()),
                ('active_workers', models.PositiveIntegerField()),
                ('held', models.BigIntegerField(help_text='Micro-tokens in escrow.')),
            ],
            options={
                'verbose_name_plural': 'tallies',
                'ordering': ['-counted_to'],
            },
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('ended_at', None)), fields=['state', 'reward'], name='job_open_rewards'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at', 'state'], name='job_by_end'),
        ),
        migrations.AddIndex(
            model_name='transfer',
            index=models.Index(fields=['source', '-id'], name='transfer_by_source'),
        ),
        migrations.AddIndex(
            model_name='transfer',
            index=models.Index(fields=['destination', '-id'], name='transfer_by_destination'),
        ),
        migrations.AddIndex(
            model_name='verdict',
            index=models.Index(condition=models.Q(('outcome', 'rejected')), fields=['-created_at'], name='verdict_rejections'),
        ),
    ]
