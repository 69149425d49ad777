"""The sealed log: what waits for it, its leaves, its tree and its checkpoints."""

from django.contrib import admin

from marketplace.admin.base import ReadOnlyAdmin
from marketplace.models import Checkpoint, Leaf, LeafSalt, TreeNode, Unsealed


@admin.register(Leaf)
class LeafAdmin(ReadOnlyAdmin):
    list_display = ["number", "kind", "row_id", "hash", "sealed_at"]
    list_filter = ["kind"]
    ordering = ["-number"]


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ["size", "root", "created_at", "public_key"]
    ordering = ["-size"]


@admin.register(Unsealed)
class UnsealedAdmin(ReadOnlyAdmin):
    list_display = ["id", "kind", "row_id"]
    ordering = ["id"]


@admin.register(LeafSalt)
class LeafSaltAdmin(ReadOnlyAdmin):
    list_display = ["leaf"]
    list_select_related = ["leaf"]
    ordering = ["-leaf"]
    fields = ["leaf"]  # the salt itself is for proofs of what it hides


@admin.register(TreeNode)
class TreeNodeAdmin(ReadOnlyAdmin):
    list_display = ["level", "place", "hash"]
    ordering = ["-level", "-place"]
