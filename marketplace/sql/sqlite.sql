-- What the database refuses whoever asks, on SQLite. `migrate` drops these triggers first and makes them again after.
-- A REPLACE deletes without firing a DELETE trigger unless recursive_triggers is on, so each BEFORE INSERT refuses it.

-- accounts ---------------------------------------------------------------------------------------------------------
CREATE TRIGGER cn_account_insert BEFORE INSERT ON marketplace_account BEGIN
  SELECT RAISE(ABORT, 'an account starts empty') WHERE NEW.balance <> 0 OR NEW.last_transfer <> 0;
  SELECT RAISE(ABORT, 'an account is of a known kind')
    WHERE NEW.kind NOT IN ('wallet', 'escrow', 'stake', 'unbonding', 'treasury', 'issuance');
  SELECT RAISE(ABORT, 'an account is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_account WHERE id = NEW.id OR (kind = NEW.kind AND name = NEW.name));
END;

-- A balance may only follow a transfer of this account that is newer than the last one it followed. A transfer's own
-- trigger leaves none such behind, so a hand finds none. Who is erased keeps their accounts, under a
-- number: then the name alone changes.
CREATE TRIGGER cn_account_update BEFORE UPDATE ON marketplace_account BEGIN
  SELECT RAISE(ABORT, 'an account keeps its identity')
    WHERE NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.created_at <> OLD.created_at
      OR NEW.name <> OLD.name AND NOT (NEW.name = 'erased-' || OLD.id AND OLD.kind IN ('wallet', 'stake', 'unbonding')
        AND NEW.balance = OLD.balance AND NEW.last_transfer = OLD.last_transfer);
  SELECT RAISE(ABORT, 'a balance is moved by a transfer alone') WHERE NEW.name = OLD.name AND NOT EXISTS (
    SELECT 1 FROM marketplace_transfer t
    WHERE t.id = NEW.last_transfer AND t.id > OLD.last_transfer
      AND ((t.source_id = OLD.id AND NEW.balance = OLD.balance - t.amount)
        OR (t.destination_id = OLD.id AND NEW.balance = OLD.balance + t.amount)));
END;

CREATE TRIGGER cn_account_delete BEFORE DELETE ON marketplace_account BEGIN
  SELECT RAISE(ABORT, 'an account is never deleted');
END;

-- transfers --------------------------------------------------------------------------------------------------------
CREATE TRIGGER cn_transfer_insert BEFORE INSERT ON marketplace_transfer BEGIN
  SELECT RAISE(ABORT, 'a transfer is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_transfer WHERE id = NEW.id OR idempotency_key = NEW.idempotency_key);
  SELECT RAISE(ABORT, 'an amount is a whole number of micro-tokens') WHERE typeof(NEW.amount) <> 'integer';
  -- An OR IGNORE of the statement would have its way with the CHECK on a balance; with RAISE it has none.
  SELECT RAISE(ABORT, 'an account is never overdrawn') WHERE EXISTS (
    SELECT 1 FROM marketplace_account WHERE id = NEW.source_id AND kind <> 'issuance' AND balance < NEW.amount);
  SELECT RAISE(ABORT, 'this code does not join these accounts') WHERE NOT EXISTS (
    SELECT 1 FROM marketplace_account s, marketplace_account d
    WHERE s.id = NEW.source_id AND d.id = NEW.destination_id AND (NEW.code, s.kind, d.kind) IN (VALUES
      ('mint', 'issuance', 'treasury'), ('mint', 'issuance', 'wallet'),
      ('grant', 'treasury', 'wallet'),
      ('lend', 'treasury', 'stake'), ('lend', 'wallet', 'treasury'),
      ('hold', 'wallet', 'escrow'),
      ('capture', 'escrow', 'wallet'), ('fee', 'escrow', 'treasury'), ('void', 'escrow', 'wallet'),
      ('stake', 'wallet', 'stake'),
      ('unbond', 'stake', 'unbonding'), ('unbond', 'unbonding', 'wallet'), ('unbond', 'unbonding', 'treasury'),
      ('slash', 'stake', 'treasury'), ('slash', 'stake', 'wallet'),
      ('slash', 'unbonding', 'treasury'), ('slash', 'unbonding', 'wallet'),
      ('overturn', 'treasury', 'stake'), ('overturn', 'treasury', 'wallet'),
      ('transfer', 'wallet', 'wallet'), ('transfer', 'treasury', 'wallet'), ('transfer', 'wallet', 'treasury')));
  SELECT RAISE(ABORT, 'an escrow belongs to its job, its client and its worker')
    WHERE NEW.code IN ('hold', 'capture', 'fee', 'void') AND NOT EXISTS (
      SELECT 1 FROM marketplace_job j
      JOIN marketplace_client c ON c.id = j.client_id
      LEFT JOIN marketplace_worker w ON w.id = j.worker_id
      LEFT JOIN marketplace_contributor o ON o.id = w.contributor_id
      WHERE j.id = NEW.job_id AND (
        (NEW.code = 'hold' AND NEW.destination_id = j.escrow_id AND NEW.source_id = c.wallet_id AND NEW.amount = j.reward)
        OR (NEW.code = 'capture' AND NEW.source_id = j.escrow_id AND NEW.destination_id = o.wallet_id AND (
          (j.state = 'computing' AND NEW.amount < j.reward)  -- a share for a worker whose job is called off
          OR (j.state = 'completed' AND EXISTS (
            SELECT 1 FROM marketplace_verdict v JOIN marketplace_assignment a ON a.id = v.assignment_id
            WHERE a.job_id = j.id AND a.fence = j.attempt AND v.outcome = 'accepted'))))
        OR (NEW.code = 'fee' AND NEW.source_id = j.escrow_id)
        OR (NEW.code = 'void' AND NEW.source_id = j.escrow_id AND NEW.destination_id = c.wallet_id)));
  SELECT RAISE(ABORT, 'a stake is its own contributor''s')
    WHERE NEW.code = 'stake' AND NOT EXISTS (
      SELECT 1 FROM marketplace_worker w JOIN marketplace_contributor o ON o.id = w.contributor_id
      WHERE w.stake_id = NEW.destination_id AND o.wallet_id = NEW.source_id);
  SELECT RAISE(ABORT, 'a slash goes to the treasury or to the client of its job')
    WHERE NEW.code = 'slash' AND EXISTS (
      SELECT 1 FROM marketplace_account WHERE id = NEW.destination_id AND kind = 'wallet') AND NOT EXISTS (
      SELECT 1 FROM marketplace_job j JOIN marketplace_client c ON c.id = j.client_id
      WHERE j.id = NEW.job_id AND c.wallet_id = NEW.destination_id);
END;

CREATE TRIGGER cn_transfer_apply AFTER INSERT ON marketplace_transfer BEGIN
  UPDATE marketplace_account SET balance = balance - NEW.amount, last_transfer = NEW.id WHERE id = NEW.source_id;
  UPDATE marketplace_account SET balance = balance + NEW.amount, last_transfer = NEW.id WHERE id = NEW.destination_id;
  SELECT RAISE(ABORT, 'a transfer moves both balances') WHERE 2 <> (
    SELECT count(*) FROM marketplace_account
    WHERE id IN (NEW.source_id, NEW.destination_id) AND last_transfer = NEW.id);
END;

CREATE TRIGGER cn_transfer_update BEFORE UPDATE ON marketplace_transfer BEGIN
  SELECT RAISE(ABORT, 'a transfer is never changed');
END;

CREATE TRIGGER cn_transfer_delete BEFORE DELETE ON marketplace_transfer BEGIN
  SELECT RAISE(ABORT, 'a transfer is never deleted');
END;

-- jobs -------------------------------------------------------------------------------------------------------------
CREATE TRIGGER cn_job_insert BEFORE INSERT ON marketplace_job BEGIN
  SELECT RAISE(ABORT, 'a job is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_job WHERE id = NEW.id OR escrow_id = NEW.escrow_id);
  SELECT RAISE(ABORT, 'a job starts pending')
    WHERE NEW.state <> 'pending' OR NEW.attempt <> 0 OR NEW.worker_id IS NOT NULL;
  SELECT RAISE(ABORT, 'a job has an escrow of its own') WHERE NOT EXISTS (
    SELECT 1 FROM marketplace_account WHERE id = NEW.escrow_id AND kind = 'escrow' AND last_transfer = 0);
END;

CREATE TRIGGER cn_job_update BEFORE UPDATE ON marketplace_job BEGIN
  SELECT RAISE(ABORT, 'an ended job is never changed') WHERE OLD.state IN ('verified', 'failed', 'cancelled')
    AND NOT (NEW.state = OLD.state AND NEW.attempt = OLD.attempt AND NEW.worker_id IS OLD.worker_id
      AND NEW.fault = OLD.fault AND NEW.ended_at = OLD.ended_at AND NEW.virtual_start = OLD.virtual_start
      AND NEW.reason IN (OLD.reason, '') AND NEW.scalars IN (OLD.scalars, '{}')
      AND NEW.request_id IN (OLD.request_id, ''));  -- that is how its client is erased
  SELECT RAISE(ABORT, 'a job keeps what was asked')
    WHERE NEW.id <> OLD.id OR NEW.client_id <> OLD.client_id OR NEW.model_type <> OLD.model_type
      OR NEW.dataset_id <> OLD.dataset_id OR NEW.matrix_id IS NOT OLD.matrix_id OR NEW.params <> OLD.params OR NEW.features <> OLD.features
      OR NEW.target IS NOT OLD.target OR NEW.seed <> OLD.seed OR NEW.reward <> OLD.reward
      OR NEW.escrow_id <> OLD.escrow_id OR NEW.max_attempts <> OLD.max_attempts
      OR NEW.deadline_at <> OLD.deadline_at OR NEW.submitted_at <> OLD.submitted_at
      OR NEW.resource_class_id <> OLD.resource_class_id
      -- It is quoted anew, once, when the matrix that it waits for is made.
      OR NEW.quoted_seconds <> OLD.quoted_seconds AND (OLD.features <> '[]' OR OLD.attempt > 0);
  SELECT RAISE(ABORT, 'a job has a worker from its assignment on, and the same until it is pending again')
    WHERE NEW.state IN ('assigned', 'pending') AND (NEW.state = 'pending') <> (NEW.worker_id IS NULL)
      OR NEW.worker_id IS NOT OLD.worker_id AND NEW.state NOT IN ('assigned', 'pending')
      OR NEW.worker_id IS NOT OLD.worker_id AND NEW.state = OLD.state;
  SELECT RAISE(ABORT, 'a job does not go from this state to that')
    WHERE NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (VALUES
      ('pending', 'assigned'), ('pending', 'failed'), ('pending', 'cancelled'),
      ('assigned', 'computing'), ('assigned', 'pending'), ('assigned', 'failed'), ('assigned', 'cancelled'),
      ('computing', 'completed'), ('computing', 'pending'), ('computing', 'failed'), ('computing', 'cancelled'),
      ('completed', 'verified'), ('completed', 'pending'), ('completed', 'failed'));
  SELECT RAISE(ABORT, 'a job goes where its attempt went')
    WHERE NEW.state IN ('pending', 'failed', 'cancelled') AND NEW.state <> OLD.state AND EXISTS (
        SELECT 1 FROM marketplace_assignment
        WHERE job_id = NEW.id AND state IN ('dispatched', 'started', 'submitted'))
      OR NEW.state IN ('computing', 'completed', 'verified') AND NEW.state <> OLD.state AND NOT EXISTS (
        SELECT 1 FROM marketplace_assignment
        WHERE job_id = NEW.id AND fence = NEW.attempt AND (NEW.state, state) IN (VALUES
          ('computing', 'started'), ('completed', 'submitted'), ('verified', 'accepted')));
  SELECT RAISE(ABORT, 'an attempt counts up by one, when the job is assigned')
    WHERE NEW.attempt <> OLD.attempt + (OLD.state = 'pending' AND NEW.state = 'assigned')
      OR NEW.attempt > NEW.max_attempts AND NEW.attempt > NEW.max_attempts + (  -- what was called off does not count
        SELECT count(*) FROM marketplace_assignment WHERE job_id = NEW.id AND state = 'cancelled');
  SELECT RAISE(ABORT, 'a job is assigned only with its whole reward in escrow')
    WHERE OLD.state = 'pending' AND NEW.state = 'assigned' AND NOT EXISTS (
      SELECT 1 FROM marketplace_account WHERE id = NEW.escrow_id AND balance = NEW.reward);
  SELECT RAISE(ABORT, 'a job ends with its escrow empty')
    WHERE NEW.state IN ('verified', 'failed', 'cancelled') AND NOT EXISTS (
      SELECT 1 FROM marketplace_account WHERE id = NEW.escrow_id AND balance = 0 AND last_transfer > 0);
  SELECT RAISE(ABORT, 'a verified job was paid in full')
    WHERE NEW.state = 'verified' AND NOT EXISTS (
      SELECT 1 FROM marketplace_transfer WHERE job_id = NEW.id AND code = 'capture' AND amount = NEW.reward);
END;

CREATE TRIGGER cn_job_delete BEFORE DELETE ON marketplace_job BEGIN
  SELECT RAISE(ABORT, 'a job is never deleted');
END;

-- assignments ------------------------------------------------------------------------------------------------------
CREATE TRIGGER cn_assignment_insert BEFORE INSERT ON marketplace_assignment BEGIN
  SELECT RAISE(ABORT, 'an assignment is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_assignment WHERE id = NEW.id OR (job_id = NEW.job_id AND fence = NEW.fence)
      OR (job_id = NEW.job_id AND state IN ('dispatched', 'started', 'submitted'))
      OR (worker_id = NEW.worker_id AND state IN ('dispatched', 'started')));
  SELECT RAISE(ABORT, 'an assignment starts dispatched, with its job''s newest fence')
    WHERE NEW.state <> 'dispatched' OR NOT EXISTS (
      SELECT 1 FROM marketplace_job
      WHERE id = NEW.job_id AND attempt = NEW.fence AND state = 'assigned' AND worker_id = NEW.worker_id);
END;

CREATE TRIGGER cn_assignment_update BEFORE UPDATE ON marketplace_assignment BEGIN
  SELECT RAISE(ABORT, 'an ended assignment is never changed') WHERE OLD.state NOT IN ('dispatched', 'started', 'submitted');
  SELECT RAISE(ABORT, 'an assignment keeps its job, worker and fence')
    WHERE NEW.id <> OLD.id OR NEW.job_id <> OLD.job_id OR NEW.worker_id <> OLD.worker_id OR NEW.fence <> OLD.fence;
  SELECT RAISE(ABORT, 'an assignment does not go from this state to that')
    WHERE NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (VALUES
      ('dispatched', 'started'), ('dispatched', 'failed'), ('dispatched', 'lost'), ('dispatched', 'cancelled'),
      ('started', 'submitted'), ('started', 'failed'), ('started', 'lost'), ('started', 'cancelled'),
      ('submitted', 'accepted'), ('submitted', 'rejected'), ('submitted', 'inconclusive'), ('submitted', 'failed'));
  SELECT RAISE(ABORT, 'an answer is accepted or rejected by its verdict')
    WHERE NEW.state IN ('accepted', 'rejected') AND NOT EXISTS (
      SELECT 1 FROM marketplace_verdict WHERE assignment_id = NEW.id AND outcome = NEW.state);
END;

CREATE TRIGGER cn_assignment_delete BEFORE DELETE ON marketplace_assignment BEGIN
  SELECT RAISE(ABORT, 'an assignment is never deleted');
END;

-- records ----------------------------------------------------------------------------------------------------------
CREATE TRIGGER cn_event_insert BEFORE INSERT ON marketplace_event BEGIN
  SELECT RAISE(ABORT, 'an event is never replaced') WHERE EXISTS (SELECT 1 FROM marketplace_event WHERE id = NEW.id);
END;

CREATE TRIGGER cn_event_update BEFORE UPDATE ON marketplace_event BEGIN
  SELECT RAISE(ABORT, 'an event is never changed')
    WHERE NEW.id <> OLD.id OR NEW.kind <> OLD.kind OR NEW.job_id IS NOT OLD.job_id
      OR NEW.assignment_id IS NOT OLD.assignment_id OR NEW.worker_id IS NOT OLD.worker_id
      OR NEW."before" <> OLD."before" OR NEW."after" <> OLD."after" OR NEW.created_at <> OLD.created_at
      OR NEW.actor NOT IN (OLD.actor, 'erased') OR NEW.reason NOT IN (OLD.reason, '');
  SELECT RAISE(ABORT, 'a sealed event is told without its words only once its salt is gone') WHERE EXISTS (
    SELECT 1 FROM marketplace_leafsalt s JOIN marketplace_leaf l ON l.number = s.leaf_id
    WHERE l.kind = 'event' AND l.row_id = OLD.id);
END;

CREATE TRIGGER cn_event_delete BEFORE DELETE ON marketplace_event BEGIN
  SELECT RAISE(ABORT, 'an event is never deleted');
END;

CREATE TRIGGER cn_verdict_insert BEFORE INSERT ON marketplace_verdict BEGIN
  SELECT RAISE(ABORT, 'a verdict is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_verdict WHERE id = NEW.id OR assignment_id = NEW.assignment_id);
  SELECT RAISE(ABORT, 'a verdict accepts, rejects or leaves open')
    WHERE NEW.outcome NOT IN ('accepted', 'rejected', 'inconclusive');
  SELECT RAISE(ABORT, 'a verdict is on the answer of its job''s newest attempt') WHERE NOT EXISTS (
    SELECT 1 FROM marketplace_assignment a JOIN marketplace_job j ON j.id = a.job_id
    JOIN marketplace_result r ON r.assignment_id = a.id
    WHERE a.id = NEW.assignment_id AND a.state = 'submitted' AND j.state = 'completed' AND j.attempt = a.fence);
END;

CREATE TRIGGER cn_verdict_update BEFORE UPDATE ON marketplace_verdict BEGIN
  SELECT RAISE(ABORT, 'a verdict is never changed');
END;

CREATE TRIGGER cn_verdict_delete BEFORE DELETE ON marketplace_verdict BEGIN
  SELECT RAISE(ABORT, 'a verdict is never deleted');
END;

CREATE TRIGGER cn_result_insert BEFORE INSERT ON marketplace_result BEGIN
  SELECT RAISE(ABORT, 'a result is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_result WHERE assignment_id = NEW.assignment_id);
  SELECT RAISE(ABORT, 'a result comes unchecked, from its job''s newest attempt') WHERE NEW.checked OR NOT EXISTS (
    SELECT 1 FROM marketplace_assignment a JOIN marketplace_job j ON j.id = a.job_id
    WHERE a.id = NEW.assignment_id AND a.state = 'submitted' AND j.state = 'completed' AND j.attempt = a.fence);
END;

CREATE TRIGGER cn_result_update BEFORE UPDATE ON marketplace_result BEGIN
  SELECT RAISE(ABORT, 'a result keeps what was written')
    WHERE NEW.assignment_id <> OLD.assignment_id OR NEW.sha256 <> OLD.sha256 OR NEW.size_bytes <> OLD.size_bytes OR NEW.claim <> OLD.claim
      OR NEW.received_at <> OLD.received_at;
  SELECT RAISE(ABORT, 'a checked result stays checked') WHERE OLD.checked AND NOT NEW.checked;
END;

CREATE TRIGGER cn_result_delete BEFORE DELETE ON marketplace_result BEGIN
  SELECT RAISE(ABORT, 'a result is never deleted');
END;

CREATE TRIGGER cn_reputationchange_insert BEFORE INSERT ON marketplace_reputationchange BEGIN
  SELECT RAISE(ABORT, 'a change of reputation is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_reputationchange WHERE id = NEW.id);
  SELECT RAISE(ABORT, 'a change of reputation starts from what it is') WHERE NOT EXISTS (
    SELECT 1 FROM marketplace_contributor WHERE id = NEW.contributor_id AND reputation = NEW."before");
END;

CREATE TRIGGER cn_reputationchange_update BEFORE UPDATE ON marketplace_reputationchange BEGIN
  SELECT RAISE(ABORT, 'a change of reputation is never changed');
END;

CREATE TRIGGER cn_reputationchange_delete BEFORE DELETE ON marketplace_reputationchange BEGIN
  SELECT RAISE(ABORT, 'a change of reputation is never deleted');
END;

CREATE TRIGGER cn_idempotencykey_insert BEFORE INSERT ON marketplace_idempotencykey BEGIN
  SELECT RAISE(ABORT, 'an idempotency key is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_idempotencykey WHERE id = NEW.id OR (user_id IS NEW.user_id AND key = NEW.key));
END;

CREATE TRIGGER cn_idempotencykey_update BEFORE UPDATE ON marketplace_idempotencykey BEGIN
  SELECT RAISE(ABORT, 'an idempotency key keeps what it did')
    WHERE NEW.id <> OLD.id OR NEW.user_id IS NOT OLD.user_id OR NEW.key <> OLD.key
      OR NEW.request_sha256 <> OLD.request_sha256 OR NEW.created_at <> OLD.created_at
      OR length(OLD.answer) > 0 AND NEW.answer <> OLD.answer;
END;

CREATE TRIGGER cn_unbonding_insert BEFORE INSERT ON marketplace_unbonding BEGIN
  SELECT RAISE(ABORT, 'an unbonding is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_unbonding WHERE id = NEW.id);
END;

CREATE TRIGGER cn_unbonding_update BEFORE UPDATE ON marketplace_unbonding BEGIN
  SELECT RAISE(ABORT, 'an unbonding keeps its worker, amount and delay')
    WHERE NEW.id <> OLD.id OR NEW.worker_id <> OLD.worker_id OR NEW.amount <> OLD.amount
      OR NEW.release_at <> OLD.release_at;
  SELECT RAISE(ABORT, 'what was released stays released')
    WHERE OLD.released_at IS NOT NULL AND NEW.released_at IS NOT OLD.released_at;
END;

CREATE TRIGGER cn_unbonding_delete BEFORE DELETE ON marketplace_unbonding BEGIN
  SELECT RAISE(ABORT, 'an unbonding is never deleted');
END;

CREATE TRIGGER cn_heldverdict_insert BEFORE INSERT ON marketplace_heldverdict BEGIN
  SELECT RAISE(ABORT, 'a held verdict is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_heldverdict WHERE id = NEW.id OR verdict_id = NEW.verdict_id);
END;

CREATE TRIGGER cn_heldverdict_update BEFORE UPDATE ON marketplace_heldverdict BEGIN
  SELECT RAISE(ABORT, 'a held verdict keeps what it holds')
    WHERE NEW.id <> OLD.id OR NEW.verdict_id <> OLD.verdict_id OR NEW.scalars <> OLD.scalars;
  SELECT RAISE(ABORT, 'a held verdict is settled once')
    WHERE OLD.settled_at IS NOT NULL AND NEW.settled_at IS NOT OLD.settled_at;
END;

CREATE TRIGGER cn_heldverdict_delete BEFORE DELETE ON marketplace_heldverdict BEGIN
  SELECT RAISE(ABORT, 'a held verdict is never deleted');
END;

CREATE TRIGGER cn_contest_insert BEFORE INSERT ON marketplace_contest BEGIN
  SELECT RAISE(ABORT, 'a contest is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_contest WHERE id = NEW.id OR verdict_id = NEW.verdict_id);
END;

CREATE TRIGGER cn_contest_update BEFORE UPDATE ON marketplace_contest BEGIN
  SELECT RAISE(ABORT, 'a contest keeps what it is about') WHERE NEW.id <> OLD.id OR NEW.verdict_id <> OLD.verdict_id;
  SELECT RAISE(ABORT, 'a contest is decided once') WHERE OLD.outcome <> 'open' AND NEW.outcome <> OLD.outcome;
END;

CREATE TRIGGER cn_contest_delete BEFORE DELETE ON marketplace_contest BEGIN
  SELECT RAISE(ABORT, 'a contest is never deleted');
END;

CREATE TRIGGER cn_network_insert BEFORE INSERT ON marketplace_network BEGIN
  SELECT RAISE(ABORT, 'the network is never replaced') WHERE EXISTS (SELECT 1 FROM marketplace_network);
END;

CREATE TRIGGER cn_network_delete BEFORE DELETE ON marketplace_network BEGIN
  SELECT RAISE(ABORT, 'the network is never deleted');
END;

-- the sealed log ---------------------------------------------------------------------------------------------------
-- Whatever the log seals is noted in the transaction that writes it, so that no row is passed over that commits late.
CREATE TRIGGER cn_transfer_unsealed AFTER INSERT ON marketplace_transfer BEGIN
  INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('transfer', NEW.id);
END;

CREATE TRIGGER cn_event_unsealed AFTER INSERT ON marketplace_event BEGIN
  INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('event', NEW.id);
END;

CREATE TRIGGER cn_verdict_unsealed AFTER INSERT ON marketplace_verdict BEGIN
  INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('verdict', NEW.id);
END;

CREATE TRIGGER cn_unsealed_insert BEFORE INSERT ON marketplace_unsealed BEGIN
  SELECT RAISE(ABORT, 'what is to be sealed is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_unsealed WHERE id = NEW.id OR (kind = NEW.kind AND row_id = NEW.row_id));
  SELECT RAISE(ABORT, 'a row is sealed once') WHERE EXISTS (
    SELECT 1 FROM marketplace_leaf WHERE kind = NEW.kind AND row_id = NEW.row_id);
  SELECT RAISE(ABORT, 'only a row that is there is sealed') WHERE NOT CASE NEW.kind
    WHEN 'transfer' THEN EXISTS (SELECT 1 FROM marketplace_transfer WHERE id = NEW.row_id)
    WHEN 'event' THEN EXISTS (SELECT 1 FROM marketplace_event WHERE id = NEW.row_id)
    WHEN 'verdict' THEN EXISTS (SELECT 1 FROM marketplace_verdict WHERE id = NEW.row_id)
    ELSE 0 END;
END;

CREATE TRIGGER cn_unsealed_update BEFORE UPDATE ON marketplace_unsealed BEGIN
  SELECT RAISE(ABORT, 'what is to be sealed is never changed');
END;

CREATE TRIGGER cn_unsealed_delete BEFORE DELETE ON marketplace_unsealed BEGIN
  SELECT RAISE(ABORT, 'what is to be sealed is never passed over') WHERE NOT EXISTS (
    SELECT 1 FROM marketplace_leaf WHERE kind = OLD.kind AND row_id = OLD.row_id);
END;

CREATE TRIGGER cn_leaf_insert BEFORE INSERT ON marketplace_leaf BEGIN
  SELECT RAISE(ABORT, 'a leaf is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_leaf WHERE number = NEW.number OR (kind = NEW.kind AND row_id = NEW.row_id));
  SELECT RAISE(ABORT, 'leaves are numbered without gaps')
    WHERE NEW.number IS NOT (SELECT coalesce(max(number) + 1, 0) FROM marketplace_leaf);
  SELECT RAISE(ABORT, 'a leaf seals a row that is to be sealed') WHERE NOT EXISTS (
    SELECT 1 FROM marketplace_unsealed WHERE kind = NEW.kind AND row_id = NEW.row_id);
END;

CREATE TRIGGER cn_leaf_update BEFORE UPDATE ON marketplace_leaf BEGIN
  SELECT RAISE(ABORT, 'a leaf is never changed');
END;

CREATE TRIGGER cn_leaf_delete BEFORE DELETE ON marketplace_leaf BEGIN
  SELECT RAISE(ABORT, 'a leaf is never deleted');
END;

-- A salt may be deleted: that is how a person is forgotten.
CREATE TRIGGER cn_leafsalt_insert BEFORE INSERT ON marketplace_leafsalt BEGIN
  SELECT RAISE(ABORT, 'a salt is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_leafsalt WHERE leaf_id = NEW.leaf_id);
END;

CREATE TRIGGER cn_leafsalt_update BEFORE UPDATE ON marketplace_leafsalt BEGIN
  SELECT RAISE(ABORT, 'a salt is never changed');
END;

CREATE TRIGGER cn_treenode_insert BEFORE INSERT ON marketplace_treenode BEGIN
  SELECT RAISE(ABORT, 'a node of the log''s tree is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_treenode WHERE id = NEW.id OR (level = NEW.level AND place = NEW.place));
END;

CREATE TRIGGER cn_treenode_update BEFORE UPDATE ON marketplace_treenode BEGIN
  SELECT RAISE(ABORT, 'a node of the log''s tree is never changed');
END;

CREATE TRIGGER cn_treenode_delete BEFORE DELETE ON marketplace_treenode BEGIN
  SELECT RAISE(ABORT, 'a node of the log''s tree is never deleted');
END;

CREATE TRIGGER cn_checkpoint_insert BEFORE INSERT ON marketplace_checkpoint BEGIN
  SELECT RAISE(ABORT, 'a checkpoint covers more than the last one, and no more than there is')
    WHERE NEW.size <= (SELECT coalesce(max(size), 0) FROM marketplace_checkpoint)
      OR NEW.size > (SELECT coalesce(max(number) + 1, 0) FROM marketplace_leaf);
END;

CREATE TRIGGER cn_checkpoint_update BEFORE UPDATE ON marketplace_checkpoint BEGIN
  SELECT RAISE(ABORT, 'a checkpoint is never changed');
END;

CREATE TRIGGER cn_checkpoint_delete BEFORE DELETE ON marketplace_checkpoint BEGIN
  SELECT RAISE(ABORT, 'a checkpoint is never deleted');
END;

-- access -----------------------------------------------------------------------------------------------------------
CREATE TRIGGER cn_apikey_insert BEFORE INSERT ON marketplace_apikey BEGIN
  SELECT RAISE(ABORT, 'a key is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_apikey WHERE id = NEW.id OR sha256 = NEW.sha256);
END;

CREATE TRIGGER cn_apikey_update BEFORE UPDATE ON marketplace_apikey BEGIN
  SELECT RAISE(ABORT, 'a key keeps what it opens')
    WHERE NEW.id <> OLD.id OR NEW.user_id <> OLD.user_id OR NEW.sha256 <> OLD.sha256 OR NEW.scopes <> OLD.scopes
      OR NEW.spending_limit IS NOT OLD.spending_limit OR NEW.expires_at <> OLD.expires_at;
  SELECT RAISE(ABORT, 'what a key has spent counts up') WHERE NEW.spent < OLD.spent;
  SELECT RAISE(ABORT, 'a revoked key stays revoked') WHERE OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NOT OLD.revoked_at;
END;

CREATE TRIGGER cn_enrolmentkey_insert BEFORE INSERT ON marketplace_enrolmentkey BEGIN
  SELECT RAISE(ABORT, 'an enrolment key is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_enrolmentkey WHERE id = NEW.id OR sha256 = NEW.sha256);
END;

CREATE TRIGGER cn_enrolmentkey_update BEFORE UPDATE ON marketplace_enrolmentkey BEGIN
  SELECT RAISE(ABORT, 'an enrolment key keeps what it opens')
    WHERE NEW.id <> OLD.id OR NEW.sha256 <> OLD.sha256 OR NEW.worker_id <> OLD.worker_id;
  SELECT RAISE(ABORT, 'a used enrolment key stays used')
    WHERE OLD.used_at IS NOT NULL AND NEW.used_at IS NOT OLD.used_at;
END;

CREATE TRIGGER cn_invitation_insert BEFORE INSERT ON marketplace_invitation BEGIN
  SELECT RAISE(ABORT, 'an invitation is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_invitation WHERE id = NEW.id OR sha256 = NEW.sha256);
END;

CREATE TRIGGER cn_invitation_update BEFORE UPDATE ON marketplace_invitation BEGIN
  SELECT RAISE(ABORT, 'an invitation keeps what it gives')
    WHERE NEW.sha256 <> OLD.sha256 OR NEW.roles <> OLD.roles OR NEW.expires_at <> OLD.expires_at;
  SELECT RAISE(ABORT, 'a used invitation stays used') WHERE OLD.used_at IS NOT NULL AND NEW.used_at IS NOT OLD.used_at;
END;

CREATE TRIGGER cn_grant_insert BEFORE INSERT ON marketplace_grant BEGIN
  SELECT RAISE(ABORT, 'a grant is never replaced') WHERE EXISTS (SELECT 1 FROM marketplace_grant WHERE id = NEW.id);
END;

CREATE TRIGGER cn_grant_update BEFORE UPDATE ON marketplace_grant BEGIN
  SELECT RAISE(ABORT, 'a grant keeps what it gives')
    WHERE NEW.wallet_id <> OLD.wallet_id OR NEW.amount <> OLD.amount OR NEW.period <> OLD.period
      OR NEW.created_by <> OLD.created_by;
  SELECT RAISE(ABORT, 'a stopped grant stays stopped') WHERE OLD.stopped_at IS NOT NULL AND NEW.stopped_at IS NOT OLD.stopped_at;
END;

CREATE TRIGGER cn_grant_delete BEFORE DELETE ON marketplace_grant BEGIN
  SELECT RAISE(ABORT, 'a grant is never deleted');
END;

-- identities -------------------------------------------------------------------------------------------------------
CREATE TRIGGER cn_client_insert BEFORE INSERT ON marketplace_client BEGIN
  SELECT RAISE(ABORT, 'a client is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_client WHERE id = NEW.id OR address = NEW.address OR wallet_id = NEW.wallet_id);
END;

CREATE TRIGGER cn_client_update BEFORE UPDATE ON marketplace_client BEGIN
  SELECT RAISE(ABORT, 'a client keeps its name and wallet')
    WHERE NEW.id IS NOT OLD.id OR NEW.address NOT IN (OLD.address, 'erased-' || OLD.wallet_id)
      OR NEW.wallet_id IS NOT OLD.wallet_id;
END;

CREATE TRIGGER cn_client_delete BEFORE DELETE ON marketplace_client BEGIN
  SELECT RAISE(ABORT, 'a client is never deleted');
END;

CREATE TRIGGER cn_contributor_insert BEFORE INSERT ON marketplace_contributor BEGIN
  SELECT RAISE(ABORT, 'a contributor is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_contributor WHERE id = NEW.id OR name = NEW.name OR wallet_id = NEW.wallet_id
      OR user_id = NEW.user_id);
  SELECT RAISE(ABORT, 'a contributor starts without a record') WHERE NEW.verified <> 0 OR NEW.rejected <> 0;
END;

CREATE TRIGGER cn_contributor_update BEFORE UPDATE ON marketplace_contributor BEGIN
  SELECT RAISE(ABORT, 'a contributor keeps its wallet')
    WHERE NEW.id IS NOT OLD.id OR NEW.wallet_id IS NOT OLD.wallet_id;
  SELECT RAISE(ABORT, 'a reputation follows its newest change') WHERE NEW.reputation <> OLD.reputation AND NOT EXISTS (
    SELECT 1 FROM marketplace_reputationchange
    WHERE id = (SELECT max(id) FROM marketplace_reputationchange WHERE contributor_id = NEW.id)
      AND "before" = OLD.reputation AND "after" = NEW.reputation);
END;

CREATE TRIGGER cn_contributor_delete BEFORE DELETE ON marketplace_contributor BEGIN
  SELECT RAISE(ABORT, 'a contributor is never deleted');
END;

CREATE TRIGGER cn_worker_insert BEFORE INSERT ON marketplace_worker BEGIN
  SELECT RAISE(ABORT, 'a worker is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_worker WHERE id = NEW.id OR name = NEW.name OR stake_id = NEW.stake_id
      OR unbonding_id = NEW.unbonding_id);
  SELECT RAISE(ABORT, 'a worker starts without a loan') WHERE NEW.lent <> 0;
END;

CREATE TRIGGER cn_worker_update BEFORE UPDATE ON marketplace_worker BEGIN
  SELECT RAISE(ABORT, 'a worker keeps its name, contributor and stake')
    WHERE NEW.id IS NOT OLD.id OR NEW.name NOT IN (OLD.name, 'erased-' || OLD.stake_id) OR NEW.contributor_id IS NOT OLD.contributor_id OR NEW.stake_id IS NOT OLD.stake_id
      OR OLD.unbonding_id IS NOT NULL AND NEW.unbonding_id IS NOT OLD.unbonding_id;
  SELECT RAISE(ABORT, 'what a worker owes follows its transfers') WHERE NEW.lent <> OLD.lent AND NEW.lent <>
    (SELECT coalesce(sum(amount), 0) FROM marketplace_transfer WHERE code = 'lend' AND destination_id = NEW.stake_id)
    - (SELECT coalesce(sum(t.amount), 0) FROM marketplace_transfer t JOIN marketplace_job j ON j.id = t.job_id
       JOIN marketplace_contributor o ON o.wallet_id = t.source_id
       WHERE t.code = 'lend' AND j.worker_id = NEW.id AND o.id = NEW.contributor_id)
    - (SELECT coalesce(sum(t.amount), 0) FROM marketplace_transfer t JOIN marketplace_account d ON d.id = t.destination_id
       WHERE t.code = 'unbond' AND t.source_id = NEW.unbonding_id AND d.kind = 'treasury');
END;

CREATE TRIGGER cn_worker_delete BEFORE DELETE ON marketplace_worker BEGIN
  SELECT RAISE(ABORT, 'a worker is never deleted');
END;

CREATE TRIGGER cn_dataset_insert BEFORE INSERT ON marketplace_dataset BEGIN
  SELECT RAISE(ABORT, 'a dataset is never replaced') WHERE EXISTS (
    SELECT 1 FROM marketplace_dataset WHERE sha256 = NEW.sha256);
END;

CREATE TRIGGER cn_dataset_update BEFORE UPDATE ON marketplace_dataset BEGIN
  SELECT RAISE(ABORT, 'a dataset keeps its content')
    WHERE NEW.sha256 IS NOT OLD.sha256 OR OLD.deleted_at IS NULL AND (NEW.rows IS NOT OLD.rows OR NEW.matrix_sha256 IS NOT OLD.matrix_sha256 OR NEW.matrix_bytes IS NOT OLD.matrix_bytes OR NEW.matrix_columns IS NOT OLD.matrix_columns);
END;

CREATE TRIGGER cn_matrix_update BEFORE UPDATE ON marketplace_matrix BEGIN
  SELECT RAISE(ABORT, 'a matrix keeps its content')
    WHERE OLD.matrix_sha256 <> '' AND (NEW.rows IS NOT OLD.rows OR NEW.matrix_sha256 IS NOT OLD.matrix_sha256
      OR NEW.matrix_bytes IS NOT OLD.matrix_bytes OR NEW.matrix_columns IS NOT OLD.matrix_columns);
END;

CREATE TRIGGER cn_dataset_delete BEFORE DELETE ON marketplace_dataset BEGIN
  SELECT RAISE(ABORT, 'a dataset of a job is never deleted')
    WHERE EXISTS (SELECT 1 FROM marketplace_job WHERE dataset_id = OLD.sha256);
END;
