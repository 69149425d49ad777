"""What a hand at the SQL prompt tries against the books, by what it is after. `{…}` are filled in by the test."""

VERDICT = (
    "INSERT INTO marketplace_verdict (assignment_id, outcome, method, reason, fault, bound, error_chance, detail, "
    "seed, seconds, created_at) SELECT id, '{outcome}', 'x', 'x', '', '', 0, '{{{{}}}}', 'f', 0, CURRENT_TIMESTAMP "
    "FROM marketplace_assignment WHERE state = '{state}'"
)
REPLACED = {
    "client": "a client",
    "contributor": "a contributor",
    "worker": "a worker",
    "dataset": "a dataset",
    "apikey": "a key",
    "invitation": "an invitation",
    "grant": "a grant",
    "enrolmentkey": "an enrolment key",
    "idempotencykey": "an idempotency key",
    "reputationchange": "a change of reputation",
    "unbonding": "an unbonding",
    "heldverdict": "a held verdict",
    "contest": "a contest",
    "network": "the network",
}
TRUNCATED = ("unbonding", "heldverdict", "contest", "reputationchange", "grant", "network")

HOSTILE = {
    # accounts
    "give oneself money": "UPDATE marketplace_account SET balance = balance + 1000000 WHERE name = 'alice'",
    "take another's money": "UPDATE marketplace_account SET balance = 0 WHERE name = 'rtx4090'",
    "claim a transfer that was applied": "UPDATE marketplace_account SET balance = balance + 1000000000, "
    "last_transfer = last_transfer + 1 WHERE name = 'alice'",
    "apply the last transfer again": "UPDATE marketplace_account SET balance = balance - 50000000 WHERE name = 'alice'",
    "apply an older transfer again": "UPDATE marketplace_account SET balance = balance + 1000000000, last_transfer = "
    "(SELECT min(id) FROM marketplace_transfer WHERE destination_id = marketplace_account.id) WHERE name = 'alice'",
    "forget the last transfer": "UPDATE marketplace_account SET last_transfer = 0 WHERE name = 'alice'",
    "make a wallet an issuance": "UPDATE marketplace_account SET kind = 'issuance' WHERE name = 'alice'",
    "rename a wallet": "UPDATE marketplace_account SET name = 'mallory' WHERE name = 'alice'",
    "take money under an erasure": "UPDATE marketplace_account SET name = 'erased-' || id, balance = balance + 5 "
    "WHERE name = 'alice'",
    "renumber a wallet": "UPDATE marketplace_account SET id = 999999 WHERE name = 'alice'",
    "open a full account": "INSERT INTO marketplace_account (kind, name, balance, last_transfer) "
    "VALUES ('wallet', 'mallory', 1000000, 0)",
    "open a second wallet of a name": "INSERT INTO marketplace_account (kind, name, balance, last_transfer) "
    "VALUES ('wallet', 'alice', 0, 0)",
    "open an account of no kind": "INSERT INTO marketplace_account (kind, name, balance, last_transfer) "
    "VALUES ('purse', 'mallory', 0, 0)",
    "delete an account": "DELETE FROM marketplace_account WHERE name = 'rtx4090'",
    # transfers
    "overdraw": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {worker}, 999999000000, 'transfer', 'x')",
    "move nothing": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {worker}, 0, 'transfer', 'x')",
    "move less than nothing": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, -5, 'transfer', 'x')",
    "move to oneself": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {alice}, 5, 'transfer', 'x')",
    "move for no known reason": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 5, 'gift', 'x')",
    "mint out of a wallet": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 5, 'mint', 'x')",
    "slash a wallet": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({worker}, {alice}, 5, 'slash', 'x')",
    "use a key twice": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {worker}, 5, 'transfer', 'job:{verified}:capture')",
    "pay a job a second time": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key, job_id) VALUES ({open_escrow}, {worker}, 5, 'capture', 'x', '{verified_id}')",
    "empty an open job's escrow into the worker's wallet": "INSERT INTO marketplace_transfer (source_id, "
    "destination_id, amount, code, idempotency_key, job_id) "
    "VALUES ({open_escrow}, {worker}, 5, 'capture', 'x', '{open_id}')",
    "refund an open job to somebody else": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, "
    "code, idempotency_key, job_id) VALUES ({open_escrow}, {worker}, 5, 'void', 'x', '{open_id}')",
    "hold a second time": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key, job_id) VALUES ({alice}, {open_escrow}, 30000000, 'hold', 'x', '{open_id}')",
    "hold for no job": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({alice}, {open_escrow}, 5, 'hold', 'x')",
    "move out of nowhere": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES (999999, {worker}, 5, 'transfer', 'x')",
    "move into nowhere": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, 999999, 5, 'transfer', 'x')",
    "hide the reason among the kinds": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 5, '', 'x')",
    "refund for no job": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, idempotency_key) "
    "VALUES ({open_escrow}, {alice}, 5, 'void', 'x')",
    "change an amount": "UPDATE marketplace_transfer SET amount = 1 WHERE code = 'capture'",
    "redirect a transfer": "UPDATE marketplace_transfer SET destination_id = {alice} WHERE code = 'capture'",
    "delete a transfer": "DELETE FROM marketplace_transfer WHERE code = 'capture'",
    "delete all transfers": "DELETE FROM marketplace_transfer",
    # jobs
    "verify an unpaid job": "UPDATE marketplace_job SET state = 'verified', ended_at = CURRENT_TIMESTAMP "
    "WHERE id = '{open_id}'",
    "end a job with escrow left": "UPDATE marketplace_job SET state = 'failed', ended_at = CURRENT_TIMESTAMP "
    "WHERE id = '{open_id}'",
    "complete a job that nobody computes": "UPDATE marketplace_job SET state = 'completed' WHERE id = '{open_id}'",
    "open an ended job again": "UPDATE marketplace_job SET state = 'pending', ended_at = NULL "
    "WHERE id = '{verified_id}'",
    "an unknown state": "UPDATE marketplace_job SET state = 'lost' WHERE id = '{open_id}'",
    "change a reward": "UPDATE marketplace_job SET reward = 1 WHERE id = '{open_id}'",
    "change who pays": "UPDATE marketplace_job SET client_id = client_id + 1 WHERE id = '{open_id}'",
    "change the data": "UPDATE marketplace_job SET seed = seed + 1 WHERE id = '{open_id}'",
    "more attempts": "UPDATE marketplace_job SET attempt = attempt + 1 WHERE id = '{open_id}'",
    "more attempts allowed": "UPDATE marketplace_job SET max_attempts = 99 WHERE id = '{open_id}'",
    "delete a job": "DELETE FROM marketplace_job WHERE id = '{open_id}'",
    # assignments, results, records
    "accept a dead assignment again": "UPDATE marketplace_assignment SET state = 'submitted'",
    "give an assignment to another job": "UPDATE marketplace_assignment SET fence = fence + 1",
    "delete an assignment": "DELETE FROM marketplace_assignment",
    "change an answer": "UPDATE marketplace_result SET sha256 = 'f'",
    "delete an answer": "DELETE FROM marketplace_result",
    "change a verdict": "UPDATE marketplace_verdict SET outcome = 'rejected'",
    "delete a verdict": "DELETE FROM marketplace_verdict",
    "redirect a client's refunds": "UPDATE marketplace_client SET wallet_id = {worker} WHERE address = 'alice'",
    "delete a client": "DELETE FROM marketplace_client",
    "delete a worker": "DELETE FROM marketplace_worker",
    "delete a contributor": "DELETE FROM marketplace_contributor",
    "redirect a contributor's earnings": "UPDATE marketplace_contributor SET wallet_id = {alice}",
    "give a worker another stake": "UPDATE marketplace_worker SET stake_id = {open_escrow}",
    "change a dataset": "UPDATE marketplace_dataset SET matrix_sha256 = 'f'",
    "delete a job's dataset": "DELETE FROM marketplace_dataset",
    "slash into a pocket": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({stake}, {worker}, 5, 'slash', 'x')",
    "stake for another": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {stake}, 5, 'stake', 'x')",
    "change an event": "UPDATE marketplace_event SET actor = 'nobody'",
    "delete an event": "DELETE FROM marketplace_event",
    # attempts
    "begin for a worker": "UPDATE marketplace_job SET state = 'computing' WHERE id = '{assigned_id}'",
    "complete a job without an answer": "UPDATE marketplace_job SET state = 'completed' WHERE id = '{computing_id}'",
    "verify an answer without a verdict": "UPDATE marketplace_job SET state = 'verified', "
    "ended_at = CURRENT_TIMESTAMP WHERE id = '{completed_id}'",
    "take a job out of a worker's hands": "UPDATE marketplace_job SET state = 'pending', worker_id = NULL "
    "WHERE id = '{computing_id}'",
    "give a running job to another worker": "UPDATE marketplace_job SET worker_id = '{other_id}' "
    "WHERE id = '{computing_id}'",
    "assign a job to nobody": "UPDATE marketplace_job SET state = 'assigned', attempt = attempt + 1 "
    "WHERE id = '{open_id}'",
    "give a waiting job a worker": "UPDATE marketplace_job SET worker_id = '{other_id}' WHERE id = '{open_id}'",
    "turn a fence back": "UPDATE marketplace_job SET attempt = attempt - 1 WHERE id = '{computing_id}'",
    "put a deadline off": "UPDATE marketplace_job SET deadline_at = '2999-01-01 00:00:00' WHERE id = '{open_id}'",
    "point a job at another escrow": "UPDATE marketplace_job SET escrow_id = {stake} WHERE id = '{open_id}'",
    "quote anew": "UPDATE marketplace_job SET quoted_seconds = 1e9 WHERE id = '{open_id}'",
    "bring a cancelled job back": "UPDATE marketplace_job SET state = 'pending', ended_at = NULL, worker_id = NULL "
    "WHERE id = '{cancelled_id}'",
    "rewrite why a job ended": "UPDATE marketplace_job SET reason = 'x' WHERE id = '{cancelled_id}'",
    "hand an attempt to another worker": "UPDATE marketplace_assignment SET worker_id = '{other_id}' "
    "WHERE state = 'started'",
    "rewrite why an attempt ended": "UPDATE marketplace_assignment SET reason = 'x' WHERE state = 'rejected'",
    "turn a rejection into an acceptance": "UPDATE marketplace_assignment SET state = 'accepted' "
    "WHERE state = 'rejected'",
    "accept without a verdict": "UPDATE marketplace_assignment SET state = 'accepted' WHERE state = 'submitted'",
    "reject without a verdict": "UPDATE marketplace_assignment SET state = 'rejected' WHERE state = 'submitted'",
    "attempt a job twice at once": "INSERT INTO marketplace_assignment (id, job_id, worker_id, fence, state, why, "
    "lease_expires_at, progress, note, fault, reason, created_at) SELECT '{new_id}', job_id, worker_id, fence + 1, "
    "'dispatched', why, lease_expires_at, 0, '', '', '', created_at FROM marketplace_assignment "
    "WHERE state = 'started'",
    "answer an attempt that still runs": "INSERT INTO marketplace_result (assignment_id, sha256, size_bytes, claim, "
    "seconds, received_at, checked, check_tries) SELECT id, 'f', 1, '', 0, CURRENT_TIMESTAMP, FALSE, 0 "
    "FROM marketplace_assignment WHERE state = 'started'",
    "have an answer checked a second time": "UPDATE marketplace_result SET checked = FALSE WHERE checked",
    "judge an attempt without an answer": VERDICT.format(outcome="accepted", state="started"),
    "judge an answer a second time": VERDICT.format(outcome="accepted", state="rejected"),
    "judge an answer to be fine": VERDICT.format(outcome="fine", state="submitted"),
    # standing
    "raise a reputation": "UPDATE marketplace_contributor SET reputation = 99.5",
    "tell of another reputation": 'INSERT INTO marketplace_reputationchange (contributor_id, "before", "after", '
    "reason, actor, created_at) SELECT id, 1, 100, 'x', 'x', CURRENT_TIMESTAMP FROM marketplace_contributor",
    "change a change of reputation": 'UPDATE marketplace_reputationchange SET "after" = 100',
    "delete a change of reputation": "DELETE FROM marketplace_reputationchange",
    "forgive a loan": "UPDATE marketplace_worker SET lent = 0 WHERE lent > 0",
    "make a worker owe": "UPDATE marketplace_worker SET lent = lent + 1",
    "take stake out early": "UPDATE marketplace_unbonding SET release_at = '2000-01-01 00:00:00'",
    "take out more stake": "UPDATE marketplace_unbonding SET amount = amount + 1",
    "take stake out twice": "UPDATE marketplace_unbonding SET released_at = NULL WHERE released_at IS NOT NULL",
    "delete what is on its way out": "DELETE FROM marketplace_unbonding",
    "settle a held verdict again": "UPDATE marketplace_heldverdict SET settled_at = NULL",
    "hold another verdict": "UPDATE marketplace_heldverdict SET verdict_id = verdict_id + 1000",
    "delete a held verdict": "DELETE FROM marketplace_heldverdict",
    "decide a contest again": "UPDATE marketplace_contest SET outcome = 'overturned'",
    "delete a contest": "DELETE FROM marketplace_contest",
    "have a key stand for another request": "UPDATE marketplace_idempotencykey SET request_sha256 = 'f'",
    "have a key stand for another answer": "UPDATE marketplace_idempotencykey SET answer = 'f'",
    "enrol with a used key": "UPDATE marketplace_enrolmentkey SET used_at = NULL WHERE used_at IS NOT NULL",
    "exchange an enrolment key": "UPDATE marketplace_enrolmentkey SET sha256 = 'f'",
    "delete the network": "DELETE FROM marketplace_network",
    # the sealed log
    "change a leaf": "UPDATE marketplace_leaf SET content = '{{}}'",
    "renumber a leaf": "UPDATE marketplace_leaf SET number = number + 1000",
    "delete a leaf": "DELETE FROM marketplace_leaf",
    "leave a gap in the log": "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT 999999, kind, row_id, '{{}}', 'f' FROM marketplace_unsealed LIMIT 1",
    "seal what is not there": "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT count(*), 'transfer', 999999, '{{}}', 'f' FROM marketplace_leaf",
    "seal a row a second time": "INSERT INTO marketplace_unsealed (kind, row_id) "
    "SELECT kind, row_id FROM marketplace_leaf LIMIT 1",
    "have a row sealed that is not there": "INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('event', 999999)",
    "have something else sealed": "INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('job', 1)",
    "keep a row out of the log": "DELETE FROM marketplace_unsealed",
    "have another row sealed": "UPDATE marketplace_unsealed SET row_id = row_id + 1000",
    "change a salt": "UPDATE marketplace_leafsalt SET salt = 'f'",
    "change a node of the tree": "UPDATE marketplace_treenode SET hash = 'f'",
    "delete a node of the tree": "DELETE FROM marketplace_treenode",
    "change a checkpoint": "UPDATE marketplace_checkpoint SET root = 'f'",
    "delete a checkpoint": "DELETE FROM marketplace_checkpoint",
    "state what is to come": "INSERT INTO marketplace_checkpoint (size, root, created_at, public_key, signature) "
    "VALUES (999999, 'f', CURRENT_TIMESTAMP, 'f', 'f')",
    "state what was": "INSERT INTO marketplace_checkpoint (size, root, created_at, public_key, signature) "
    "VALUES (1, 'f', CURRENT_TIMESTAMP, 'f', 'f')",
    # access
    "open more with a key": "UPDATE marketplace_apikey SET scopes = '[\"operate\"]'",
    "raise a key's limit": "UPDATE marketplace_apikey SET spending_limit = 99000000",
    "lift a key's limit": "UPDATE marketplace_apikey SET spending_limit = NULL",
    "forget what a key spent": "UPDATE marketplace_apikey SET spent = 0",
    "spend more than a key may": "UPDATE marketplace_apikey SET spent = spending_limit + 1",
    "prolong a key": "UPDATE marketplace_apikey SET expires_at = '2999-01-01 00:00:00'",
    "open a revoked key again": "UPDATE marketplace_apikey SET revoked_at = NULL",
    "exchange a key's secret": "UPDATE marketplace_apikey SET sha256 = 'f'",
    "give more by an invitation": "UPDATE marketplace_invitation SET roles = '[\"operator\"]'",
    "use an invitation again": "UPDATE marketplace_invitation SET used_at = NULL",
    "raise a grant": "UPDATE marketplace_grant SET amount = amount + 1",
    "redirect a grant": "UPDATE marketplace_grant SET wallet_id = {worker}",
    "resume a stopped grant": "UPDATE marketplace_grant SET stopped_at = NULL",
    "delete a grant": "DELETE FROM marketplace_grant",
    "allow less than nothing": "UPDATE marketplace_allowance SET amount = -1",
    "allow oneself": "UPDATE marketplace_allowance SET spender_id = owner_id",
}
SQLITE_ONLY = {
    "overdraw and be ignored": "INSERT OR IGNORE INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 900000000000000, 'transfer', 'x')",
    "overdraw and fail": "INSERT OR FAIL INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 900000000000000, 'transfer', 'x')",
    "move half a micro-token": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) VALUES ({alice}, {worker}, 1.5, 'transfer', 'x')",
    "replace an account": "INSERT OR REPLACE INTO marketplace_account (id, kind, name, balance, last_transfer) "
    "SELECT id, kind, name, 0, 0 FROM marketplace_account WHERE name = 'alice'",
    "replace a transfer": "INSERT OR REPLACE INTO marketplace_transfer (id, source_id, destination_id, amount, code, "
    "idempotency_key) SELECT id, source_id, destination_id, 1, code, 'x' FROM marketplace_transfer "
    "WHERE code = 'mint'",
    "replace a transfer by its key": "INSERT OR REPLACE INTO marketplace_transfer (source_id, destination_id, amount, "
    "code, idempotency_key) SELECT source_id, destination_id, 1, code, idempotency_key FROM marketplace_transfer "
    "WHERE code = 'mint'",
    "replace on update": "UPDATE OR REPLACE marketplace_account SET name = 'rtx4090' WHERE name = 'alice'",
    "replace an event": 'INSERT OR REPLACE INTO marketplace_event (id, kind, actor, "before", "after", reason) '
    "SELECT id, 'x', 'x', '', '', '' FROM marketplace_event",
    "replace a verdict": "INSERT OR REPLACE INTO marketplace_verdict SELECT * FROM marketplace_verdict",
    "replace an answer": "INSERT OR REPLACE INTO marketplace_result SELECT * FROM marketplace_result",
    "replace a leaf": "INSERT OR REPLACE INTO marketplace_leaf SELECT * FROM marketplace_leaf",
    "replace a salt": "INSERT OR REPLACE INTO marketplace_leafsalt SELECT * FROM marketplace_leafsalt",
    "replace a node of the tree": "INSERT OR REPLACE INTO marketplace_treenode SELECT * FROM marketplace_treenode",
    "replace a checkpoint": "INSERT OR REPLACE INTO marketplace_checkpoint SELECT * FROM marketplace_checkpoint",
    "replace what is to be sealed": "INSERT OR REPLACE INTO marketplace_unsealed SELECT * FROM marketplace_unsealed",
    "replace a job": "INSERT OR REPLACE INTO marketplace_job SELECT * FROM marketplace_job",
    **{
        f"replace {what}": f"INSERT OR REPLACE INTO marketplace_{table} SELECT * FROM marketplace_{table}"
        for table, what in REPLACED.items()
    },
}
OWN_TRIGGER = (
    "CREATE TEMP TABLE own (x int); CREATE FUNCTION pg_temp.act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act}; "
    "RETURN NEW; END $$; CREATE TRIGGER own BEFORE INSERT ON own FOR EACH ROW EXECUTE FUNCTION pg_temp.act(); "
    "INSERT INTO own VALUES (1)"
)
POSTGRESQL_ONLY = {
    "give oneself money from a trigger of one's own": OWN_TRIGGER.replace(
        "{act}", "UPDATE marketplace_account SET balance = balance + 1000000 WHERE name = 'alice'"
    ),
    "have sealed what is not there from a trigger of one's own": OWN_TRIGGER.replace(
        "{act}", "INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('event', 900000000)"
    ),
    "move tokens out of their order in one statement": "INSERT INTO marketplace_transfer (id, source_id, "
    "destination_id, amount, code, idempotency_key) VALUES (900000002, {alice}, {worker}, 5, 'transfer', 'x'), "
    "(900000001, {alice}, {worker}, 5, 'transfer', 'y')",
    "overdraw by two at once": "INSERT INTO marketplace_transfer (source_id, destination_id, amount, code, "
    "idempotency_key) SELECT {alice}, {worker}, balance - 1, 'transfer', 'x' || n FROM marketplace_account, "
    "generate_series(1, 2) AS n WHERE id = {alice}",
    "seal with a gap among several": "WITH note AS (SELECT kind, row_id, row_number() OVER () AS n FROM "
    "marketplace_unsealed LIMIT 2) INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT (SELECT max(number) FROM marketplace_leaf) + 2 * n - 1, kind, row_id, '{{}}', 'f' FROM note",
    "seal far ahead": "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT (SELECT max(number) FROM marketplace_leaf) + 2, kind, row_id, '{{}}', 'f' FROM marketplace_unsealed "
    "LIMIT 1",
    "seal before all": "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT -1, kind, row_id, '{{}}', 'f' FROM marketplace_unsealed LIMIT 1",
    "seal one that is there and one that is not": "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) "
    "SELECT (SELECT max(number) FROM marketplace_leaf) + n, kind, row_id, '{{}}', 'f' FROM (SELECT 1 AS n, kind, "
    "row_id FROM (SELECT kind, row_id FROM marketplace_unsealed LIMIT 1) AS one "
    "UNION ALL SELECT 2, 'event', 900000000) AS two",
    "pass over all but one": "DELETE FROM marketplace_unsealed WHERE id <> (SELECT min(id) FROM marketplace_unsealed)",
    "seal and pass over in one statement": "WITH gone AS (DELETE FROM marketplace_unsealed RETURNING kind, row_id) "
    "INSERT INTO marketplace_leaf (number, kind, row_id, content, hash) SELECT (SELECT max(number) FROM "
    "marketplace_leaf) + row_number() OVER (), kind, row_id, '{{}}', 'f' FROM gone",
    "change what a job asks on the way": "UPDATE marketplace_job SET state = 'cancelled', reward = 1 WHERE id = "
    "'{open_id}'",
    "change what a job asks by merging": "MERGE INTO marketplace_job j USING (SELECT 1) AS one ON j.id = '{open_id}' "
    "WHEN MATCHED THEN UPDATE SET seed = 5",
    "change what a job asks where it is there": "INSERT INTO marketplace_job SELECT * FROM marketplace_job WHERE id = "
    "'{open_id}' ON CONFLICT (id) DO UPDATE SET seed = 5",
    "move an assignment to another job": "UPDATE marketplace_assignment SET job_id = '{open_id}' WHERE job_id = "
    "'{computing_id}'",
    "truncate transfers": "TRUNCATE marketplace_transfer CASCADE",
    "truncate accounts": "TRUNCATE marketplace_account CASCADE",
    "truncate events": "TRUNCATE marketplace_event CASCADE",
    "truncate leaves": "TRUNCATE marketplace_leaf CASCADE",
    "truncate what is to be sealed": "TRUNCATE marketplace_unsealed",
    "truncate the tree": "TRUNCATE marketplace_treenode",
    "truncate checkpoints": "TRUNCATE marketplace_checkpoint",
    **{f"truncate what was {table}": f"TRUNCATE marketplace_{table} CASCADE" for table in TRUNCATED},
}
