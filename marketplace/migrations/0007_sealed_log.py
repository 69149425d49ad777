"""The sealed log: what is to be sealed, leaves and their salts, nodes of the tree, checkpoints."""

import django.db.models.deletion
import marketplace.models.clock
from django.db import migrations, models

KINDS = [("transfer", "transfer"), ("event", "event"), ("verdict", "verdict")]


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0006_tallies_and_books")]

    operations = [
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "size",
                    models.BigIntegerField(help_text="How many leaves it covers.", primary_key=True, serialize=False),
                ),
                ("root", models.CharField(help_text="The Merkle tree's root, in hex.", max_length=64)),
                ("created_at", models.DateTimeField()),
                ("public_key", models.CharField(help_text="Ed25519, in hex.", max_length=64)),
                ("signature", models.CharField(help_text="Ed25519, in hex.", max_length=128)),
            ],
            options={"ordering": ["-size"]},
        ),
        migrations.CreateModel(
            name="Leaf",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("kind", models.CharField(choices=KINDS, max_length=8)),
                ("row_id", models.BigIntegerField(help_text="The sealed row's id.")),
                (
                    "content",
                    models.TextField(help_text="Canonical JSON. What is personal is in it as a salted digest."),
                ),
                (
                    "hash",
                    models.CharField(
                        help_text="RFC 6962: SHA-256 of 0x00 and the content, in hex.", max_length=64
                    ),
                ),
                ("sealed_at", models.DateTimeField(db_default=marketplace.models.clock.DatabaseNow())),
            ],
            options={
                "verbose_name_plural": "leaves",
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "row_id"), name="leaf_row_once"),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ("transfer", "event", "verdict"))), name="leaf_kind_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LeafSalt",
            fields=[
                (
                    "leaf",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="salt_row",
                        serialize=False,
                        to="marketplace.leaf",
                    ),
                ),
                ("salt", models.CharField(help_text="Hex.", max_length=32)),
            ],
        ),
        migrations.CreateModel(
            name="TreeNode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("level", models.PositiveSmallIntegerField(help_text="It covers 2^level leaves.")),
                ("place", models.BigIntegerField(help_text="Where in the row of its level, from 0.")),
                ("hash", models.CharField(max_length=64)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("level", "place"), name="tree_node_once")],
            },
        ),
        migrations.CreateModel(
            name="Unsealed",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(choices=KINDS, max_length=8)),
                ("row_id", models.BigIntegerField()),
            ],
            options={
                "verbose_name_plural": "unsealed",
                "constraints": [models.UniqueConstraint(fields=("kind", "row_id"), name="unsealed_row_once")],
            },
        ),
    ]
