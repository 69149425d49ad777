"""The sealed log: every transfer, event and verdict as a numbered leaf of a Merkle tree, and the tree's checkpoints.

The triggers of `marketplace/sql` write down in `Unsealed` whatever is inserted, and refuse to change a leaf, a node or
a checkpoint.
"""

from django.db import models
from django.db.models import Q

from marketplace.models.clock import DatabaseNow

KINDS = ("transfer", "event", "verdict")
CHOICES = [(kind, kind) for kind in KINDS]


class Unsealed(models.Model):
    """A row that the sealer has not numbered yet. `id` follows the order of insertion."""

    kind = models.CharField(max_length=8, choices=CHOICES)
    row_id = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "unsealed"
        constraints = [models.UniqueConstraint(fields=["kind", "row_id"], name="unsealed_row_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.row_id}"


class Leaf(models.Model):
    """One row in its canonical encoding. Never changed, never deleted; `number` counts from 0 without gaps."""

    number = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=8, choices=CHOICES)
    row_id = models.BigIntegerField(help_text="The sealed row's id.")
    content = models.TextField(help_text="Canonical JSON. What is personal is in it as a salted digest.")
    hash = models.CharField(max_length=64, help_text="RFC 6962: SHA-256 of 0x00 and the content, in hex.")
    sealed_at = models.DateTimeField(db_default=DatabaseNow())

    class Meta:
        verbose_name_plural = "leaves"
        constraints = [
            models.UniqueConstraint(fields=["kind", "row_id"], name="leaf_row_once"),
            models.CheckConstraint(condition=Q(kind__in=KINDS), name="leaf_kind_known"),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.kind} {self.row_id}"


class LeafSalt(models.Model):
    """What a leaf's digest was salted with. Once it is deleted, the digest says nothing and the log still proves."""

    leaf = models.OneToOneField(Leaf, models.PROTECT, primary_key=True, related_name="salt_row")
    salt = models.CharField(max_length=32, help_text="Hex.")

    def __str__(self) -> str:
        return f"of leaf {self.leaf_id}"


class TreeNode(models.Model):
    """The hash of a full subtree, kept at every fourth level above the leaves. Never changed, never deleted."""

    level = models.PositiveSmallIntegerField(help_text="It covers 2^level leaves.")
    place = models.BigIntegerField(help_text="Where in the row of its level, from 0.")
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "place"], name="tree_node_once")]

    def __str__(self) -> str:
        return f"level {self.level}, {self.place}"


class Checkpoint(models.Model):
    """A signed statement of what the log was at a size. Never changed, never deleted."""

    size = models.BigIntegerField(primary_key=True, help_text="How many leaves it covers.")
    root = models.CharField(max_length=64, help_text="The Merkle tree's root, in hex.")
    created_at = models.DateTimeField()
    public_key = models.CharField(max_length=64, help_text="Ed25519, in hex.")
    signature = models.CharField(max_length=128, help_text="Ed25519, in hex.")

    class Meta:
        ordering = ["-size"]

    def __str__(self) -> str:
        return f"{self.size} leaves"
