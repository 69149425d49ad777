"""What must hold at every moment, whatever was killed: asked of the database in one snapshot."""

from django.db import connection, transaction

from marketplace.actions.audit import audit
from marketplace.actions.books import one_moment

# Each counts what must not be.
BOOKS = {
    "balances are not what the transfers make them": """
        SELECT count(*) FROM marketplace_account a LEFT JOIN (
          SELECT account, sum(amount) AS amount FROM (
            SELECT destination_id AS account, amount FROM marketplace_transfer
            UNION ALL SELECT source_id, -amount FROM marketplace_transfer) moves
          GROUP BY account) made ON made.account = a.id
        WHERE a.balance <> coalesce(made.amount, 0)""",
    "accounts are below zero": "SELECT count(*) FROM marketplace_account WHERE balance < 0 AND kind <> 'issuance'",
}
JOBS = {
    "jobs were paid twice": """
        SELECT count(*) FROM (SELECT job_id FROM marketplace_transfer WHERE code = 'capture'
          GROUP BY job_id HAVING count(*) > 1) doubled""",
    "verified jobs were not paid their reward": """
        SELECT count(*) FROM marketplace_job j WHERE state = 'verified' AND reward <> coalesce(
          (SELECT sum(amount) FROM marketplace_transfer t WHERE t.job_id = j.id AND code = 'capture'), 0)""",
    "ended jobs hold escrow": """
        SELECT count(*) FROM marketplace_job j JOIN marketplace_account a ON a.id = j.escrow_id
        WHERE j.ended_at IS NOT NULL AND a.balance <> 0""",
    "jobs have two live assignments": """
        SELECT count(*) FROM (SELECT job_id FROM marketplace_assignment WHERE state IN ('dispatched', 'started')
          GROUP BY job_id HAVING count(*) > 1) doubled""",
    "honest answers were rejected": "SELECT count(*) FROM marketplace_verdict WHERE outcome = 'rejected'",
}


def books() -> list[str]:
    return _found(BOOKS)


def now() -> list[str]:
    """The books and the jobs, cheap enough to be asked after each fault."""
    return _found(BOOKS | JOBS)


def whole() -> list[str]:
    """The network's own audit, which replays every transfer."""
    with one_moment():
        return audit().problems


def _found(questions: dict[str, str]) -> list[str]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        problems = []
        for sentence, sql in questions.items():
            cursor.execute(sql)
            if count := cursor.fetchone()[0]:
                problems.append(f"{count} {sentence}.")
    return problems
