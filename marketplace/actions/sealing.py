"""The one sealer: it numbers what was written, behind the writes, and never in their transactions.

The database notes each new row in `Unsealed`, in the transaction that inserts it. So a row that commits late is sealed
late and never passed over, and the cost is that of what is new. Notes are taken by their ids: what depends on another
row (a payment on the money that it spends) was noted after it, so that the log can be replayed in its own order.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection

from django.db import connection, transaction

from marketplace.actions import tree
from marketplace.actions.leaves import encode_rows
from marketplace.actions.locks import try_sealing
from marketplace.domain import merkle
from marketplace.domain.encoding import SALT_BYTES, canonical, digest
from marketplace.models import Compiled, Leaf, LeafSalt, Unsealed, insert_all

BATCH = 500
BATCHES = 40  # that one call seals at most
Note = tuple[int, str, int]  # its id, and the kind and id of the row that it is about

# At the same moment a verdict comes before the transfers that it leads to, and these before the event of a job's end.
# Within a table the order is that of its ids, whatever a clock did.
NOTE_MISSING = """
INSERT INTO marketplace_unsealed (kind, row_id)
SELECT kind, id FROM (
  SELECT 'verdict' AS kind, 0 AS place, id, max(created_at) OVER (ORDER BY id) AS at FROM marketplace_verdict
  UNION ALL
  SELECT 'transfer', 1, id, max(created_at) OVER (ORDER BY id) FROM marketplace_transfer
  UNION ALL
  SELECT 'event', 2, id, max(created_at) OVER (ORDER BY id) FROM marketplace_event
) AS written
WHERE NOT EXISTS (SELECT 1 FROM marketplace_leaf l WHERE l.kind = written.kind AND l.row_id = written.id)
  AND NOT EXISTS (SELECT 1 FROM marketplace_unsealed u WHERE u.kind = written.kind AND u.row_id = written.id)
ORDER BY at, place, id
"""


def seal() -> int:
    """Seal what waits, in batches of one short transaction each. Answers how many; 0 while another sealer is at it."""
    total = 0
    for _ in range(BATCHES):
        batch = _seal_batch()
        total += batch
        if batch < BATCH:
            break
    return total


_waiting = Compiled(lambda: Unsealed.objects.order_by("pk").values_list("pk", "kind", "row_id")[:BATCH])


def _seal_batch() -> int:
    with transaction.atomic():
        if not try_sealing():
            return 0
        notes = _waiting()
        if not notes:
            return 0
        leaves, salts = _leaves(notes, tree.size())
        insert_all(leaves, read_back=False)
        insert_all(salts, read_back=False)
        insert_all(tree.grow([bytes.fromhex(leaf.hash) for leaf in leaves], leaves[0].number), read_back=False)
        Unsealed.objects.filter(pk__among=[pk for pk, _, _ in notes]).delete()
    return len(leaves)


def _leaves(notes: Collection[Note], first: int) -> tuple[list[Leaf], list[LeafSalt]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for _, kind, row in notes:
        rows[kind].append(row)
    encoded = {kind: encode_rows(kind, ids) for kind, ids in rows.items()}
    leaves, salts = [], []
    for number, (_, kind, row) in enumerate(notes, start=first):
        plain, private = encoded[kind][row]
        if private is not None:
            salt = secrets.token_bytes(SALT_BYTES)
            plain = plain | {"private": digest(salt, private)}
            salts.append(LeafSalt(leaf_id=number, salt=salt.hex()))
        content = canonical(plain)
        hashed = merkle.leaf_hash(content).hex()
        leaves.append(Leaf(number=number, kind=kind, row_id=row, content=content.decode(), hash=hashed))
    return leaves, salts


def forget(*, kind: str, rows: Collection[int]) -> int:
    """Delete the salts of these rows' leaves: what was private in them can be shown no more, and the log still proves.

    For who erases a person: afterwards the rows' own words may go. A row that still waits is sealed with what it says
    then. Answers how many salts were deleted.
    """
    return LeafSalt.objects.filter(leaf__kind=kind, leaf__row_id__in=rows).delete()[0]


def note_missing() -> int:
    """Note every row that was written while the database's guards were away. Reads the whole history."""
    with connection.cursor() as cursor:
        cursor.execute(NOTE_MISSING)
        return cursor.rowcount
