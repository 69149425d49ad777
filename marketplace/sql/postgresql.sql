-- What the database refuses whoever asks, on PostgreSQL. `migrate` drops these triggers first and makes them again after.
-- The same rules as sqlite.sql, in the same order; a test holds the two to the same refusals.
--
-- A condition with a subquery is planned and set up as a statement of its own, whether or not the subquery is needed in the
-- end; so what a row itself tells comes first, in an IF around the one that asks. One that looks into no table is set up
-- again in each transaction, in proportion to its length: so what hardly ever holds lies in a branch of its own, a long list
-- is one of texts and not of rows, and a trigger on columns that a transfer does not set is not called at all. A CHECK is
-- read from its text again in each statement, which is dearer: what these triggers refuse has none.

CREATE FUNCTION cn_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- accounts ---------------------------------------------------------------------------------------------------------
CREATE FUNCTION cn_account_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.balance <> 0 OR NEW.last_transfer <> 0 THEN
    RAISE EXCEPTION 'an account starts empty' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.kind NOT IN ('wallet', 'escrow', 'stake', 'unbonding', 'treasury', 'issuance') THEN
    RAISE EXCEPTION 'an account is of a known kind' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_account_insert BEFORE INSERT ON marketplace_account
  FOR EACH ROW EXECUTE FUNCTION cn_account_insert();

-- Who is erased keeps their accounts, under a number: then the name alone changes.
CREATE FUNCTION cn_account_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.kind, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.kind, OLD.created_at)
    OR NEW.name <> OLD.name AND NOT (NEW.name = 'erased-' || OLD.id AND OLD.kind IN ('wallet', 'stake', 'unbonding')
      AND NEW.balance = OLD.balance AND NEW.last_transfer = OLD.last_transfer) THEN
    RAISE EXCEPTION 'an account keeps its identity' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_account_identity BEFORE UPDATE OF id, kind, name, created_at ON marketplace_account
  FOR EACH ROW EXECUTE FUNCTION cn_account_identity();

-- A balance may only follow a transfer of this account that is newer than the last one it followed. A transfer's own
-- trigger leaves none such behind, so a hand finds none. (A nested trigger's depth tells nobody who moves it: a hand may
-- have a trigger on a table of its own.)
CREATE FUNCTION cn_account_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
    SELECT 1 FROM marketplace_transfer t
    WHERE t.id = NEW.last_transfer AND t.id > OLD.last_transfer
      AND ((t.source_id = OLD.id AND NEW.balance = OLD.balance - t.amount)
        OR (t.destination_id = OLD.id AND NEW.balance = OLD.balance + t.amount))
      AND (NEW.balance >= 0 OR OLD.kind = 'issuance')) THEN
    IF NEW.balance < 0 AND OLD.kind <> 'issuance' THEN
      RAISE EXCEPTION 'an account is never overdrawn' USING ERRCODE = 'check_violation', DETAIL = OLD.balance;
    END IF;
    RAISE EXCEPTION 'a balance is moved by a transfer alone' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_account_update BEFORE UPDATE OF balance, last_transfer ON marketplace_account
  FOR EACH ROW EXECUTE FUNCTION cn_account_update();
CREATE TRIGGER cn_account_delete BEFORE DELETE ON marketplace_account
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('an account is never deleted');
CREATE TRIGGER cn_account_truncate BEFORE TRUNCATE ON marketplace_account
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('an account is never deleted');

-- transfers --------------------------------------------------------------------------------------------------------
-- It locks both accounts, in the order of their ids, so that nobody moves them until this has; and its own id, which was
-- drawn before, is drawn anew where a newer transfer was faster to the lock: an account follows its transfers in order.
CREATE FUNCTION cn_transfer_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kinds text;
  newest bigint;
  job record;
BEGIN
  SELECT CASE f.id WHEN NEW.source_id THEN f.kind || ' ' || l.kind ELSE l.kind || ' ' || f.kind END,
      greatest(f.last_transfer, l.last_transfer)
    INTO kinds, newest FROM marketplace_account f, marketplace_account l
    WHERE f.id = least(NEW.source_id, NEW.destination_id) AND l.id = greatest(NEW.source_id, NEW.destination_id)
    FOR NO KEY UPDATE;
  IF (NEW.code || ' ' || kinds IN (
      'mint issuance treasury', 'mint issuance wallet',
      'grant treasury wallet',
      'lend treasury stake', 'lend wallet treasury',
      'hold wallet escrow',
      'capture escrow wallet', 'fee escrow treasury', 'void escrow wallet',
      'stake wallet stake',
      'unbond stake unbonding', 'unbond unbonding wallet', 'unbond unbonding treasury',
      'slash stake treasury', 'slash stake wallet',
      'slash unbonding treasury', 'slash unbonding wallet',
      'overturn treasury stake', 'overturn treasury wallet',
      'transfer wallet wallet', 'transfer treasury wallet', 'transfer wallet treasury')) IS NOT TRUE THEN
    RAISE EXCEPTION 'this code does not join these accounts' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.id <= newest THEN
    NEW.id := nextval('marketplace_transfer_id_seq');
  END IF;
  IF NEW.code IN ('hold', 'capture', 'fee', 'void') THEN
    SELECT j.state, j.attempt, j.reward, j.escrow_id AS escrow, c.wallet_id AS client, o.wallet_id AS worker
      INTO job FROM marketplace_job j
      JOIN marketplace_client c ON c.id = j.client_id
      LEFT JOIN marketplace_worker w ON w.id = j.worker_id
      LEFT JOIN marketplace_contributor o ON o.id = w.contributor_id
      WHERE j.id = NEW.job_id;
    IF (CASE NEW.code
        WHEN 'hold' THEN NEW.source_id = job.client AND NEW.destination_id = job.escrow AND NEW.amount = job.reward
        WHEN 'void' THEN NEW.source_id = job.escrow AND NEW.destination_id = job.client
        WHEN 'fee' THEN NEW.source_id = job.escrow
        ELSE NEW.source_id = job.escrow AND NEW.destination_id = job.worker AND (job.state = 'completed'
          OR job.state = 'computing' AND NEW.amount < job.reward)  -- a share for a worker whose job is called off
        END) IS NOT TRUE THEN
      RAISE EXCEPTION 'an escrow belongs to its job, its client and its worker'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.code = 'capture' AND job.state = 'completed' THEN
      IF NOT EXISTS (
        SELECT 1 FROM marketplace_assignment a JOIN marketplace_verdict v ON v.assignment_id = a.id
        WHERE a.job_id = NEW.job_id AND a.fence = job.attempt AND v.outcome = 'accepted') THEN
        RAISE EXCEPTION 'an escrow belongs to its job, its client and its worker'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
    END IF;
  END IF;
  IF NEW.code IN ('stake', 'slash') THEN
    IF NEW.code = 'stake' AND NOT EXISTS (
      SELECT 1 FROM marketplace_worker w JOIN marketplace_contributor o ON o.id = w.contributor_id
      WHERE w.stake_id = NEW.destination_id AND o.wallet_id = NEW.source_id) THEN
      RAISE EXCEPTION 'a stake is its own contributor''s' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.code = 'slash' AND kinds IN ('stake wallet', 'unbonding wallet') AND NOT EXISTS (
      SELECT 1 FROM marketplace_job j JOIN marketplace_client c ON c.id = j.client_id
      WHERE j.id = NEW.job_id AND c.wallet_id = NEW.destination_id) THEN
      RAISE EXCEPTION 'a slash goes to the treasury or to the client of its job'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_transfer_insert BEFORE INSERT ON marketplace_transfer
  FOR EACH ROW EXECUTE FUNCTION cn_transfer_insert();

CREATE FUNCTION cn_transfer_apply() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE marketplace_account
    SET balance = balance + CASE id WHEN NEW.source_id THEN - NEW.amount ELSE NEW.amount END, last_transfer = NEW.id
    WHERE id IN (NEW.source_id, NEW.destination_id);
  INSERT INTO marketplace_unsealed (kind, row_id) VALUES ('transfer', NEW.id);  -- for the sealed log, below
  RETURN NULL;
END $$;
CREATE TRIGGER cn_transfer_apply AFTER INSERT ON marketplace_transfer
  FOR EACH ROW EXECUTE FUNCTION cn_transfer_apply();
CREATE TRIGGER cn_transfer_update BEFORE UPDATE ON marketplace_transfer
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a transfer is never changed');
CREATE TRIGGER cn_transfer_delete BEFORE DELETE ON marketplace_transfer
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a transfer is never deleted');
CREATE TRIGGER cn_transfer_truncate BEFORE TRUNCATE ON marketplace_transfer
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a transfer is never deleted');

-- jobs -------------------------------------------------------------------------------------------------------------
CREATE FUNCTION cn_job_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> 'pending' OR NEW.attempt <> 0 OR NEW.worker_id IS NOT NULL THEN
    RAISE EXCEPTION 'a job starts pending' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NOT EXISTS (
    SELECT 1 FROM marketplace_account WHERE id = NEW.escrow_id AND kind = 'escrow' AND last_transfer = 0) THEN
    RAISE EXCEPTION 'a job has an escrow of its own' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_job_insert BEFORE INSERT ON marketplace_job FOR EACH ROW EXECUTE FUNCTION cn_job_insert();

CREATE FUNCTION cn_job_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.client_id, NEW.model_type, NEW.dataset_id, NEW.params, NEW.features, NEW.target, NEW.seed,
      NEW.reward, NEW.escrow_id, NEW.max_attempts, NEW.deadline_at, NEW.submitted_at, NEW.resource_class_id,
      NEW.matrix_id)
    IS DISTINCT FROM (OLD.id, OLD.client_id, OLD.model_type, OLD.dataset_id, OLD.params, OLD.features, OLD.target,
      OLD.seed, OLD.reward, OLD.escrow_id, OLD.max_attempts, OLD.deadline_at, OLD.submitted_at, OLD.resource_class_id,
      OLD.matrix_id)
    -- It is quoted anew, once, when the matrix that it waits for is made.
    OR NEW.quoted_seconds <> OLD.quoted_seconds AND (OLD.features <> '[]'::jsonb OR OLD.attempt > 0) THEN
    RAISE EXCEPTION 'a job keeps what was asked' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_job_identity BEFORE UPDATE OF id, client_id, model_type, dataset_id, params, features, target, seed,
    reward, escrow_id, max_attempts, deadline_at, submitted_at, resource_class_id, matrix_id, quoted_seconds
  ON marketplace_job FOR EACH ROW EXECUTE FUNCTION cn_job_identity();

CREATE FUNCTION cn_job_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.ended_at IS NOT NULL THEN
    IF NOT ((NEW.state, NEW.attempt, NEW.worker_id, NEW.fault, NEW.ended_at, NEW.virtual_start)
      IS NOT DISTINCT FROM (OLD.state, OLD.attempt, OLD.worker_id, OLD.fault, OLD.ended_at, OLD.virtual_start)
      AND NEW.reason IN (OLD.reason, '') AND NEW.scalars IN (OLD.scalars, '{}'::jsonb)
      AND NEW.request_id IN (OLD.request_id, '')) THEN  -- that is how its client is erased
      RAISE EXCEPTION 'an ended job is never changed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  IF NEW.worker_id IS DISTINCT FROM OLD.worker_id THEN
    IF NEW.state NOT IN ('assigned', 'pending') OR NEW.state = OLD.state THEN
      RAISE EXCEPTION 'a job has a worker from its assignment on, and the same until it is pending again'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  IF NEW.state IN ('assigned', 'pending') AND (NEW.state = 'pending') <> (NEW.worker_id IS NULL) THEN
    RAISE EXCEPTION 'a job has a worker from its assignment on, and the same until it is pending again'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.attempt <> OLD.attempt THEN
    IF NEW.attempt <> OLD.attempt + 1 OR OLD.state <> 'pending' OR NEW.state <> 'assigned' THEN
      RAISE EXCEPTION 'an attempt counts up by one, when the job is assigned'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  IF NEW.state <> OLD.state THEN
    IF OLD.state || ' ' || NEW.state NOT IN (
        'pending assigned', 'pending failed', 'pending cancelled',
        'assigned computing', 'assigned pending', 'assigned failed', 'assigned cancelled',
        'computing completed', 'computing pending', 'computing failed', 'computing cancelled',
        'completed verified', 'completed pending', 'completed failed') THEN
      RAISE EXCEPTION 'a job does not go from this state to that' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state = 'assigned' THEN
      IF NEW.attempt = OLD.attempt THEN
        RAISE EXCEPTION 'an attempt counts up by one, when the job is assigned'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      IF NOT EXISTS (
        SELECT 1 FROM marketplace_account WHERE id = NEW.escrow_id AND balance = NEW.reward) THEN
        RAISE EXCEPTION 'a job is assigned only with its whole reward in escrow'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
    ELSIF NEW.state IN ('computing', 'completed', 'verified') THEN
      IF NOT EXISTS (
        SELECT 1 FROM marketplace_assignment WHERE job_id = NEW.id AND fence = NEW.attempt
          AND state = CASE NEW.state WHEN 'computing' THEN 'started' WHEN 'completed' THEN 'submitted' ELSE 'accepted' END) THEN
        RAISE EXCEPTION 'a job goes where its attempt went' USING ERRCODE = 'integrity_constraint_violation';
      END IF;
    ELSIF EXISTS (
      SELECT 1 FROM marketplace_assignment
      WHERE job_id = NEW.id AND state IN ('dispatched', 'started', 'submitted')) THEN
      RAISE EXCEPTION 'a job goes where its attempt went' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state IN ('verified', 'failed', 'cancelled') THEN
      IF NOT EXISTS (
        SELECT 1 FROM marketplace_account WHERE id = NEW.escrow_id AND balance = 0 AND last_transfer > 0) THEN
        RAISE EXCEPTION 'a job ends with its escrow empty' USING ERRCODE = 'integrity_constraint_violation';
      END IF;
      IF NEW.state = 'verified' THEN
        IF NOT EXISTS (
          SELECT 1 FROM marketplace_transfer WHERE job_id = NEW.id AND code = 'capture' AND amount = NEW.reward) THEN
          RAISE EXCEPTION 'a verified job was paid in full' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
      END IF;
    END IF;
  END IF;
  IF NEW.attempt > NEW.max_attempts THEN  -- what was called off does not count
    IF NEW.attempt > NEW.max_attempts + (
        SELECT count(*) FROM marketplace_assignment WHERE job_id = NEW.id AND state = 'cancelled') THEN
      RAISE EXCEPTION 'an attempt counts up by one, when the job is assigned'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_job_update BEFORE UPDATE ON marketplace_job FOR EACH ROW EXECUTE FUNCTION cn_job_update();
CREATE TRIGGER cn_job_delete BEFORE DELETE ON marketplace_job
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a job is never deleted');
CREATE TRIGGER cn_job_truncate BEFORE TRUNCATE ON marketplace_job
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a job is never deleted');

-- assignments ------------------------------------------------------------------------------------------------------
CREATE FUNCTION cn_assignment_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> 'dispatched' OR NOT EXISTS (
      SELECT 1 FROM marketplace_job
      WHERE id = NEW.job_id  -- and by no other index: before a batch, hardly a job is assigned
        AND (attempt, state, worker_id) IS NOT DISTINCT FROM (NEW.fence, 'assigned', NEW.worker_id)) THEN
    RAISE EXCEPTION 'an assignment starts dispatched, with its job''s newest fence'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_assignment_insert BEFORE INSERT ON marketplace_assignment
  FOR EACH ROW EXECUTE FUNCTION cn_assignment_insert();

CREATE FUNCTION cn_assignment_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state NOT IN ('dispatched', 'started', 'submitted') THEN
    RAISE EXCEPTION 'an ended assignment is never changed'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.state <> OLD.state THEN
    IF OLD.state || ' ' || NEW.state NOT IN (
        'dispatched started', 'dispatched failed', 'dispatched lost', 'dispatched cancelled',
        'started submitted', 'started failed', 'started lost', 'started cancelled',
        'submitted accepted', 'submitted rejected', 'submitted inconclusive', 'submitted failed') THEN
      RAISE EXCEPTION 'an assignment does not go from this state to that'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.state IN ('accepted', 'rejected') THEN
      IF NOT EXISTS (
        SELECT 1 FROM marketplace_verdict WHERE assignment_id = NEW.id AND outcome = NEW.state) THEN
        RAISE EXCEPTION 'an answer is accepted or rejected by its verdict'
          USING ERRCODE = 'integrity_constraint_violation';
      END IF;
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_assignment_update BEFORE UPDATE ON marketplace_assignment
  FOR EACH ROW EXECUTE FUNCTION cn_assignment_update();

CREATE FUNCTION cn_assignment_identity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.job_id, NEW.worker_id, NEW.fence) IS DISTINCT FROM (OLD.id, OLD.job_id, OLD.worker_id, OLD.fence) THEN
    RAISE EXCEPTION 'an assignment keeps its job, worker and fence' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_assignment_identity BEFORE UPDATE OF id, job_id, worker_id, fence ON marketplace_assignment
  FOR EACH ROW EXECUTE FUNCTION cn_assignment_identity();
CREATE TRIGGER cn_assignment_delete BEFORE DELETE ON marketplace_assignment
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('an assignment is never deleted');
CREATE TRIGGER cn_assignment_truncate BEFORE TRUNCATE ON marketplace_assignment
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('an assignment is never deleted');

-- records ----------------------------------------------------------------------------------------------------------
CREATE FUNCTION cn_event_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.kind, NEW.job_id, NEW.assignment_id, NEW.worker_id, NEW."before", NEW."after", NEW.created_at)
    IS DISTINCT FROM (OLD.id, OLD.kind, OLD.job_id, OLD.assignment_id, OLD.worker_id, OLD."before", OLD."after",
      OLD.created_at)
    OR NEW.actor NOT IN (OLD.actor, 'erased') OR NEW.reason NOT IN (OLD.reason, '') THEN
    RAISE EXCEPTION 'an event is never changed' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF EXISTS (
    SELECT 1 FROM marketplace_leafsalt s JOIN marketplace_leaf l ON l.number = s.leaf_id
    WHERE l.kind = 'event' AND l.row_id = OLD.id) THEN
    RAISE EXCEPTION 'a sealed event is told without its words only once its salt is gone'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_event_update BEFORE UPDATE ON marketplace_event FOR EACH ROW EXECUTE FUNCTION cn_event_update();
CREATE TRIGGER cn_event_delete BEFORE DELETE ON marketplace_event
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('an event is never deleted');
CREATE TRIGGER cn_event_truncate BEFORE TRUNCATE ON marketplace_event
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('an event is never deleted');

CREATE FUNCTION cn_verdict_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.outcome NOT IN ('accepted', 'rejected', 'inconclusive') THEN
    RAISE EXCEPTION 'a verdict accepts, rejects or leaves open'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NOT EXISTS (
      SELECT 1 FROM marketplace_assignment a JOIN marketplace_job j ON j.id = a.job_id
      JOIN marketplace_result r ON r.assignment_id = a.id
      WHERE a.id = NEW.assignment_id AND a.state = 'submitted' AND j.state = 'completed' AND j.attempt = a.fence) THEN
    RAISE EXCEPTION 'a verdict is on the answer of its job''s newest attempt'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_verdict_insert BEFORE INSERT ON marketplace_verdict
  FOR EACH ROW EXECUTE FUNCTION cn_verdict_insert();
CREATE TRIGGER cn_verdict_update BEFORE UPDATE ON marketplace_verdict
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a verdict is never changed');
CREATE TRIGGER cn_verdict_delete BEFORE DELETE ON marketplace_verdict
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a verdict is never deleted');
CREATE TRIGGER cn_verdict_truncate BEFORE TRUNCATE ON marketplace_verdict
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a verdict is never deleted');

CREATE FUNCTION cn_result_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.checked OR NOT EXISTS (
      SELECT 1 FROM marketplace_assignment a JOIN marketplace_job j ON j.id = a.job_id
      WHERE a.id = NEW.assignment_id AND a.state = 'submitted' AND j.state = 'completed' AND j.attempt = a.fence) THEN
    RAISE EXCEPTION 'a result comes unchecked, from its job''s newest attempt'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_result_insert BEFORE INSERT ON marketplace_result
  FOR EACH ROW EXECUTE FUNCTION cn_result_insert();

CREATE FUNCTION cn_result_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.checked AND NOT NEW.checked THEN
    RAISE EXCEPTION 'a checked result stays checked'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF (NEW.assignment_id, NEW.sha256, NEW.size_bytes, NEW.claim, NEW.received_at)
    IS DISTINCT FROM (OLD.assignment_id, OLD.sha256, OLD.size_bytes, OLD.claim, OLD.received_at) THEN
    RAISE EXCEPTION 'a result keeps what was written' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_result_update BEFORE UPDATE ON marketplace_result
  FOR EACH ROW EXECUTE FUNCTION cn_result_update();
CREATE TRIGGER cn_result_delete BEFORE DELETE ON marketplace_result
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a result is never deleted');
CREATE TRIGGER cn_result_truncate BEFORE TRUNCATE ON marketplace_result
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a result is never deleted');

CREATE FUNCTION cn_reputationchange_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (
      SELECT 1 FROM marketplace_contributor WHERE id = NEW.contributor_id AND reputation = NEW."before") THEN
    RAISE EXCEPTION 'a change of reputation starts from what it is'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_reputationchange_insert BEFORE INSERT ON marketplace_reputationchange
  FOR EACH ROW EXECUTE FUNCTION cn_reputationchange_insert();
CREATE TRIGGER cn_reputationchange_update BEFORE UPDATE ON marketplace_reputationchange
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a change of reputation is never changed');
CREATE TRIGGER cn_reputationchange_delete BEFORE DELETE ON marketplace_reputationchange
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a change of reputation is never deleted');
CREATE TRIGGER cn_reputationchange_truncate BEFORE TRUNCATE ON marketplace_reputationchange
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a change of reputation is never deleted');

CREATE FUNCTION cn_idempotencykey_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.user_id, NEW.key, NEW.request_sha256, NEW.created_at)
      IS DISTINCT FROM (OLD.id, OLD.user_id, OLD.key, OLD.request_sha256, OLD.created_at)
      OR octet_length(OLD.answer) > 0 AND NEW.answer <> OLD.answer THEN
    RAISE EXCEPTION 'an idempotency key keeps what it did' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_idempotencykey_update BEFORE UPDATE ON marketplace_idempotencykey
  FOR EACH ROW EXECUTE FUNCTION cn_idempotencykey_update();

CREATE FUNCTION cn_unbonding_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.worker_id, NEW.amount, NEW.release_at)
    IS DISTINCT FROM (OLD.id, OLD.worker_id, OLD.amount, OLD.release_at) THEN
    RAISE EXCEPTION 'an unbonding keeps its worker, amount and delay'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF OLD.released_at IS NOT NULL AND NEW.released_at IS DISTINCT FROM OLD.released_at THEN
    RAISE EXCEPTION 'what was released stays released'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_unbonding_update BEFORE UPDATE ON marketplace_unbonding
  FOR EACH ROW EXECUTE FUNCTION cn_unbonding_update();
CREATE TRIGGER cn_unbonding_delete BEFORE DELETE ON marketplace_unbonding
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('an unbonding is never deleted');
CREATE TRIGGER cn_unbonding_truncate BEFORE TRUNCATE ON marketplace_unbonding
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('an unbonding is never deleted');

CREATE FUNCTION cn_heldverdict_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.verdict_id, NEW.scalars) IS DISTINCT FROM (OLD.id, OLD.verdict_id, OLD.scalars) THEN
    RAISE EXCEPTION 'a held verdict keeps what it holds'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF OLD.settled_at IS NOT NULL AND NEW.settled_at IS DISTINCT FROM OLD.settled_at THEN
    RAISE EXCEPTION 'a held verdict is settled once'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_heldverdict_update BEFORE UPDATE ON marketplace_heldverdict
  FOR EACH ROW EXECUTE FUNCTION cn_heldverdict_update();
CREATE TRIGGER cn_heldverdict_delete BEFORE DELETE ON marketplace_heldverdict
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a held verdict is never deleted');
CREATE TRIGGER cn_heldverdict_truncate BEFORE TRUNCATE ON marketplace_heldverdict
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a held verdict is never deleted');

CREATE FUNCTION cn_contest_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.verdict_id) IS DISTINCT FROM (OLD.id, OLD.verdict_id) THEN
    RAISE EXCEPTION 'a contest keeps what it is about'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF OLD.outcome <> 'open' AND NEW.outcome <> OLD.outcome THEN
    RAISE EXCEPTION 'a contest is decided once'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_contest_update BEFORE UPDATE ON marketplace_contest
  FOR EACH ROW EXECUTE FUNCTION cn_contest_update();
CREATE TRIGGER cn_contest_delete BEFORE DELETE ON marketplace_contest
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a contest is never deleted');
CREATE TRIGGER cn_contest_truncate BEFORE TRUNCATE ON marketplace_contest
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a contest is never deleted');

CREATE TRIGGER cn_network_delete BEFORE DELETE ON marketplace_network
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('the network is never deleted');
CREATE TRIGGER cn_network_truncate BEFORE TRUNCATE ON marketplace_network
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('the network is never deleted');

-- the sealed log ---------------------------------------------------------------------------------------------------
-- Whatever the log seals is noted in the transaction that writes it, so that no row is passed over that commits late.
CREATE FUNCTION cn_note_unsealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO marketplace_unsealed (kind, row_id) VALUES (TG_ARGV[0], NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER cn_event_unsealed AFTER INSERT ON marketplace_event
  FOR EACH ROW EXECUTE FUNCTION cn_note_unsealed('event');
CREATE TRIGGER cn_verdict_unsealed AFTER INSERT ON marketplace_verdict
  FOR EACH ROW EXECUTE FUNCTION cn_note_unsealed('verdict');

CREATE FUNCTION cn_unsealed_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM marketplace_leaf WHERE kind = NEW.kind AND row_id = NEW.row_id) THEN
    RAISE EXCEPTION 'a row is sealed once' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.kind = 'transfer' THEN
    IF EXISTS (SELECT 1 FROM marketplace_transfer WHERE id = NEW.row_id) THEN
      RETURN NEW;
    END IF;
  ELSIF NEW.kind = 'event' THEN
    IF EXISTS (SELECT 1 FROM marketplace_event WHERE id = NEW.row_id) THEN
      RETURN NEW;
    END IF;
  ELSIF NEW.kind = 'verdict' THEN
    IF EXISTS (SELECT 1 FROM marketplace_verdict WHERE id = NEW.row_id) THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'only a row that is there is sealed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER cn_unsealed_insert BEFORE INSERT ON marketplace_unsealed
  FOR EACH ROW EXECUTE FUNCTION cn_unsealed_insert();
CREATE TRIGGER cn_unsealed_update BEFORE UPDATE ON marketplace_unsealed
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('what is to be sealed is never changed');
CREATE FUNCTION cn_unsealed_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM gone WHERE NOT EXISTS (
      SELECT 1 FROM marketplace_leaf l WHERE l.kind = gone.kind AND l.row_id = gone.row_id)) THEN
    RAISE EXCEPTION 'what is to be sealed is never passed over' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER cn_unsealed_delete AFTER DELETE ON marketplace_unsealed REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION cn_unsealed_delete();
CREATE TRIGGER cn_unsealed_truncate BEFORE TRUNCATE ON marketplace_unsealed
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('what is to be sealed is never passed over');

CREATE FUNCTION cn_leaf_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  made bigint;
  first bigint;
  last bigint;
BEGIN
  SELECT count(*), min(number), max(number) INTO made, first, last FROM fresh;
  IF made > 0 THEN
    IF last - first <> made - 1 OR last <> (SELECT max(number) FROM marketplace_leaf)
      OR first <> coalesce((SELECT max(number) + 1 FROM marketplace_leaf WHERE number < first), 0) THEN
      RAISE EXCEPTION 'leaves are numbered without gaps' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (
      SELECT 1 FROM fresh WHERE NOT EXISTS (
        SELECT 1 FROM marketplace_unsealed u WHERE u.kind = fresh.kind AND u.row_id = fresh.row_id)) THEN
      RAISE EXCEPTION 'a leaf seals a row that is to be sealed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER cn_leaf_insert AFTER INSERT ON marketplace_leaf REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION cn_leaf_insert();
CREATE TRIGGER cn_leaf_update BEFORE UPDATE ON marketplace_leaf
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a leaf is never changed');
CREATE TRIGGER cn_leaf_delete BEFORE DELETE ON marketplace_leaf
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a leaf is never deleted');
CREATE TRIGGER cn_leaf_truncate BEFORE TRUNCATE ON marketplace_leaf
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a leaf is never deleted');

-- A salt may be deleted: that is how a person is forgotten.
CREATE TRIGGER cn_leafsalt_update BEFORE UPDATE ON marketplace_leafsalt
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a salt is never changed');

CREATE TRIGGER cn_treenode_update BEFORE UPDATE ON marketplace_treenode
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a node of the log''s tree is never changed');
CREATE TRIGGER cn_treenode_delete BEFORE DELETE ON marketplace_treenode
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a node of the log''s tree is never deleted');
CREATE TRIGGER cn_treenode_truncate BEFORE TRUNCATE ON marketplace_treenode
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a node of the log''s tree is never deleted');

CREATE FUNCTION cn_checkpoint_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.size <= (SELECT coalesce(max(size), 0) FROM marketplace_checkpoint)
    OR NEW.size > (SELECT coalesce(max(number) + 1, 0) FROM marketplace_leaf) THEN
    RAISE EXCEPTION 'a checkpoint covers more than the last one, and no more than there is'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_checkpoint_insert BEFORE INSERT ON marketplace_checkpoint
  FOR EACH ROW EXECUTE FUNCTION cn_checkpoint_insert();
CREATE TRIGGER cn_checkpoint_update BEFORE UPDATE ON marketplace_checkpoint
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a checkpoint is never changed');
CREATE TRIGGER cn_checkpoint_delete BEFORE DELETE ON marketplace_checkpoint
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a checkpoint is never deleted');
CREATE TRIGGER cn_checkpoint_truncate BEFORE TRUNCATE ON marketplace_checkpoint
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a checkpoint is never deleted');

-- access -----------------------------------------------------------------------------------------------------------
CREATE FUNCTION cn_apikey_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.user_id, NEW.sha256, NEW.scopes, NEW.spending_limit, NEW.expires_at)
    IS DISTINCT FROM (OLD.id, OLD.user_id, OLD.sha256, OLD.scopes, OLD.spending_limit, OLD.expires_at) THEN
    RAISE EXCEPTION 'a key keeps what it opens' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.spent < OLD.spent THEN
    RAISE EXCEPTION 'what a key has spent counts up' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
    RAISE EXCEPTION 'a revoked key stays revoked' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_apikey_update BEFORE UPDATE ON marketplace_apikey
  FOR EACH ROW EXECUTE FUNCTION cn_apikey_update();

CREATE FUNCTION cn_enrolmentkey_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.sha256, NEW.worker_id) IS DISTINCT FROM (OLD.id, OLD.sha256, OLD.worker_id) THEN
    RAISE EXCEPTION 'an enrolment key keeps what it opens'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF OLD.used_at IS NOT NULL AND NEW.used_at IS DISTINCT FROM OLD.used_at THEN
    RAISE EXCEPTION 'a used enrolment key stays used'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_enrolmentkey_update BEFORE UPDATE ON marketplace_enrolmentkey
  FOR EACH ROW EXECUTE FUNCTION cn_enrolmentkey_update();

CREATE FUNCTION cn_invitation_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.sha256, NEW.roles, NEW.expires_at) IS DISTINCT FROM (OLD.sha256, OLD.roles, OLD.expires_at) THEN
    RAISE EXCEPTION 'an invitation keeps what it gives' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF OLD.used_at IS NOT NULL AND NEW.used_at IS DISTINCT FROM OLD.used_at THEN
    RAISE EXCEPTION 'a used invitation stays used' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_invitation_update BEFORE UPDATE ON marketplace_invitation
  FOR EACH ROW EXECUTE FUNCTION cn_invitation_update();

CREATE FUNCTION cn_grant_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.wallet_id, NEW.amount, NEW.period, NEW.created_by)
    IS DISTINCT FROM (OLD.wallet_id, OLD.amount, OLD.period, OLD.created_by) THEN
    RAISE EXCEPTION 'a grant keeps what it gives' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF OLD.stopped_at IS NOT NULL AND NEW.stopped_at IS DISTINCT FROM OLD.stopped_at THEN
    RAISE EXCEPTION 'a stopped grant stays stopped' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_grant_update BEFORE UPDATE ON marketplace_grant
  FOR EACH ROW EXECUTE FUNCTION cn_grant_update();
CREATE TRIGGER cn_grant_delete BEFORE DELETE ON marketplace_grant
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a grant is never deleted');
CREATE TRIGGER cn_grant_truncate BEFORE TRUNCATE ON marketplace_grant
  FOR EACH STATEMENT EXECUTE FUNCTION cn_refuse('a grant is never deleted');

-- identities -------------------------------------------------------------------------------------------------------
CREATE FUNCTION cn_client_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.wallet_id) IS DISTINCT FROM (OLD.id, OLD.wallet_id)
    OR NEW.address NOT IN (OLD.address, 'erased-' || OLD.wallet_id) THEN
    RAISE EXCEPTION 'a client keeps its name and wallet' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_client_update BEFORE UPDATE ON marketplace_client FOR EACH ROW EXECUTE FUNCTION cn_client_update();
CREATE TRIGGER cn_client_delete BEFORE DELETE ON marketplace_client
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a client is never deleted');

CREATE FUNCTION cn_contributor_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.verified <> 0 OR NEW.rejected <> 0 THEN
    RAISE EXCEPTION 'a contributor starts without a record'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_contributor_insert BEFORE INSERT ON marketplace_contributor
  FOR EACH ROW EXECUTE FUNCTION cn_contributor_insert();
CREATE FUNCTION cn_contributor_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.wallet_id)
    IS DISTINCT FROM (OLD.id, OLD.wallet_id) THEN
    RAISE EXCEPTION 'a contributor keeps its wallet' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.reputation <> OLD.reputation THEN
    IF NOT EXISTS (
      SELECT 1 FROM marketplace_reputationchange
      WHERE id = (SELECT max(id) FROM marketplace_reputationchange WHERE contributor_id = NEW.id)
        AND "before" = OLD.reputation AND "after" = NEW.reputation) THEN
      RAISE EXCEPTION 'a reputation follows its newest change'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_contributor_update BEFORE UPDATE ON marketplace_contributor FOR EACH ROW EXECUTE FUNCTION cn_contributor_update();
CREATE TRIGGER cn_contributor_delete BEFORE DELETE ON marketplace_contributor
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a contributor is never deleted');

CREATE FUNCTION cn_worker_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.lent <> 0 THEN
    RAISE EXCEPTION 'a worker starts without a loan'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_worker_insert BEFORE INSERT ON marketplace_worker
  FOR EACH ROW EXECUTE FUNCTION cn_worker_insert();
CREATE FUNCTION cn_worker_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.contributor_id, NEW.stake_id) IS DISTINCT FROM (OLD.id, OLD.contributor_id, OLD.stake_id)
    OR NEW.name NOT IN (OLD.name, 'erased-' || OLD.stake_id)
    OR OLD.unbonding_id IS NOT NULL AND NEW.unbonding_id IS DISTINCT FROM OLD.unbonding_id THEN
    RAISE EXCEPTION 'a worker keeps its name, contributor and stake' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF NEW.lent <> OLD.lent THEN
    IF NEW.lent <>
      (SELECT coalesce(sum(amount), 0) FROM marketplace_transfer WHERE code = 'lend' AND destination_id = NEW.stake_id)
      - (SELECT coalesce(sum(t.amount), 0) FROM marketplace_transfer t JOIN marketplace_job j ON j.id = t.job_id
         JOIN marketplace_contributor o ON o.wallet_id = t.source_id
         WHERE t.code = 'lend' AND j.worker_id = NEW.id AND o.id = NEW.contributor_id)
      - (SELECT coalesce(sum(t.amount), 0) FROM marketplace_transfer t JOIN marketplace_account d ON d.id = t.destination_id
         WHERE t.code = 'unbond' AND t.source_id = NEW.unbonding_id AND d.kind = 'treasury') THEN
      RAISE EXCEPTION 'what a worker owes follows its transfers'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_worker_update BEFORE UPDATE ON marketplace_worker FOR EACH ROW EXECUTE FUNCTION cn_worker_update();
CREATE TRIGGER cn_worker_delete BEFORE DELETE ON marketplace_worker
  FOR EACH ROW EXECUTE FUNCTION cn_refuse('a worker is never deleted');

CREATE FUNCTION cn_dataset_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.sha256 <> OLD.sha256 OR OLD.deleted_at IS NULL
    AND (NEW.rows, NEW.matrix_sha256, NEW.matrix_bytes, NEW.matrix_columns)
    IS DISTINCT FROM (OLD.rows, OLD.matrix_sha256, OLD.matrix_bytes, OLD.matrix_columns) THEN
    RAISE EXCEPTION 'a dataset keeps its content' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE FUNCTION cn_matrix_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.matrix_sha256 <> '' AND (NEW.rows, NEW.matrix_sha256, NEW.matrix_bytes, NEW.matrix_columns)
    IS DISTINCT FROM (OLD.rows, OLD.matrix_sha256, OLD.matrix_bytes, OLD.matrix_columns) THEN
    RAISE EXCEPTION 'a matrix keeps its content' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER cn_matrix_update BEFORE UPDATE ON marketplace_matrix FOR EACH ROW EXECUTE FUNCTION cn_matrix_update();
CREATE TRIGGER cn_dataset_update BEFORE UPDATE ON marketplace_dataset FOR EACH ROW EXECUTE FUNCTION cn_dataset_update();
