-- Switching plans that are kept, with their verdicts, approvals and execution; and the register of what is in force on the
-- network. Every change is also an audit record, in the same transaction.
CREATE TABLE backfeed_store.switching_plan (
    id text PRIMARY KEY,
    version int4 NOT NULL,
    state text NOT NULL CHECK (state IN ('draft', 'approved', 'recheck', 'executing', 'hold', 'completed', 'cancelled')),
    reason text NOT NULL DEFAULT '',
    author text NOT NULL,
    digest text NOT NULL,
    document text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by text,
    approved_at timestamptz,
    valid_until timestamptz,
    -- what it touches, and when: other plans read it without judging this one again
    elements text[] NOT NULL DEFAULT '{}',
    feeders text[] NOT NULL DEFAULT '{}',
    reserved_from timestamptz,
    reserved_until timestamptz,
    -- newest verdict; of an approved plan the one that the approval rests on
    verdict_id int8,
    -- what the approval rests on now: with each step that is done it moves on
    evidence text
);

CREATE TABLE backfeed_store.switching_verdict (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan text NOT NULL REFERENCES backfeed_store.switching_plan,
    version int4 NOT NULL,
    decision text NOT NULL,
    assessed_at timestamptz NOT NULL,
    valid_until timestamptz,
    requested_by text NOT NULL,
    occasion text NOT NULL CHECK (occasion IN ('validate', 'approve', 'issue', 'executed')),
    document text NOT NULL
);
CREATE INDEX switching_verdict_plan ON backfeed_store.switching_verdict (plan, id);

CREATE TABLE backfeed_store.switching_step (
    plan text NOT NULL REFERENCES backfeed_store.switching_plan,
    version int4 NOT NULL,
    sequence int4 NOT NULL,
    issued_by text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    executed_by text,
    executed_at timestamptz,
    place int4,
    before text,
    note text NOT NULL DEFAULT '',
    PRIMARY KEY (plan, version, sequence)
);

CREATE TABLE backfeed_store.switching_condition (
    plan text NOT NULL REFERENCES backfeed_store.switching_plan,
    version int4 NOT NULL,
    key text NOT NULL,
    met_by text NOT NULL,
    met_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    evidence text NOT NULL,
    PRIMARY KEY (plan, version, key)
);

CREATE TABLE backfeed_store.switching_override (
    plan text NOT NULL REFERENCES backfeed_store.switching_plan,
    version int4 NOT NULL,
    key text NOT NULL,
    role text NOT NULL CHECK (role IN ('supervisor', 'engineer', 'field')),
    actor text NOT NULL,
    reason text NOT NULL,
    value float8,
    given_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX switching_override_plan ON backfeed_store.switching_override (plan, version);

-- When the evidence of approvals was last looked at. One that nobody watches is void.
CREATE TABLE backfeed_store.switching_watch (watched_at timestamptz NOT NULL);
INSERT INTO backfeed_store.switching_watch VALUES ('-infinity');

-- Tags, grounds, clearances and disabled reclosing, in force until removed.
CREATE TABLE backfeed_store.safety_item (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('tag', 'ground', 'clearance', 'reclosing_disabled')),
    element text NOT NULL,
    value text NOT NULL DEFAULT '',
    placed_by text NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    plan text,
    removed_by text,
    removed_at timestamptz
);
CREATE UNIQUE INDEX safety_item_in_force ON backfeed_store.safety_item (kind, element, value) WHERE removed_at IS NULL;
-- Somebody has said that the register holds everything that is in force. Until then an empty one means nothing.
CREATE TABLE backfeed_store.safety_register (declared_by text NOT NULL, declared_at timestamptz NOT NULL);

CREATE VIEW backfeed.switching_plan AS
    SELECT p.id AS plan, p.version,
        CASE WHEN p.state IN ('approved', 'executing') AND (p.valid_until <= now() OR w.watched_at < now() - interval '5 seconds')
            THEN CASE p.state WHEN 'approved' THEN 'recheck' ELSE 'hold' END ELSE p.state END AS state,
        p.reason, p.author, p.approved_by, p.approved_at, p.valid_until, p.created_at, p.changed_at, p.digest, p.document::jsonb AS document
    FROM backfeed_store.switching_plan p CROSS JOIN backfeed_store.switching_watch w;
CREATE VIEW backfeed.switching_verdict AS
    SELECT id, plan, version, decision, assessed_at, valid_until, requested_by, occasion, document::jsonb AS verdict
    FROM backfeed_store.switching_verdict;
CREATE VIEW backfeed.safety_item AS
    SELECT id, kind, element, value, placed_by, placed_at, plan, removed_by, removed_at FROM backfeed_store.safety_item;

COMMENT ON COLUMN backfeed.switching_plan.plan IS 'Plan id';
COMMENT ON COLUMN backfeed.switching_plan.version IS 'Counts edits';
COMMENT ON COLUMN backfeed.switching_plan.state IS 'draft, approved, recheck, executing, hold, completed, cancelled; an approval that is not watched reads as recheck or hold';
COMMENT ON COLUMN backfeed.switching_plan.reason IS 'Why it is in recheck, hold or cancelled';
COMMENT ON COLUMN backfeed.switching_plan.author IS 'Who wrote it';
COMMENT ON COLUMN backfeed.switching_plan.approved_by IS 'Who approved it last';
COMMENT ON COLUMN backfeed.switching_plan.approved_at IS 'When';
COMMENT ON COLUMN backfeed.switching_plan.valid_until IS 'End of the approval''s validity';
COMMENT ON COLUMN backfeed.switching_plan.created_at IS 'When it was first kept';
COMMENT ON COLUMN backfeed.switching_plan.changed_at IS 'When its state last changed';
COMMENT ON COLUMN backfeed.switching_plan.digest IS 'SHA-256 of the document';
COMMENT ON COLUMN backfeed.switching_plan.document IS 'The plan, see docs/switching.md';
COMMENT ON COLUMN backfeed.switching_verdict.id IS 'Number of the verdict';
COMMENT ON COLUMN backfeed.switching_verdict.plan IS 'Plan id';
COMMENT ON COLUMN backfeed.switching_verdict.version IS 'Version of the plan that was judged';
COMMENT ON COLUMN backfeed.switching_verdict.decision IS 'APPROVE, APPROVE_WITH_CONDITIONS, CANNOT_ASSESS, REJECT';
COMMENT ON COLUMN backfeed.switching_verdict.assessed_at IS 'Moment that was judged';
COMMENT ON COLUMN backfeed.switching_verdict.valid_until IS 'End of its validity when nothing changes before';
COMMENT ON COLUMN backfeed.switching_verdict.requested_by IS 'Who asked';
COMMENT ON COLUMN backfeed.switching_verdict.occasion IS 'validate, approve, issue or executed';
COMMENT ON COLUMN backfeed.switching_verdict.verdict IS 'The whole verdict';
COMMENT ON COLUMN backfeed.safety_item.id IS 'Number in the register';
COMMENT ON COLUMN backfeed.safety_item.kind IS 'tag, ground, clearance, reclosing_disabled';
COMMENT ON COLUMN backfeed.safety_item.element IS 'Switch, line, transformer or node';
COMMENT ON COLUMN backfeed.safety_item.value IS 'Of a tag its kind (HOLD, HOTLINE), of a clearance its holder';
COMMENT ON COLUMN backfeed.safety_item.placed_by IS 'Who placed it';
COMMENT ON COLUMN backfeed.safety_item.placed_at IS 'When';
COMMENT ON COLUMN backfeed.safety_item.plan IS 'Plan by a step of which it was placed; null: by hand';
COMMENT ON COLUMN backfeed.safety_item.removed_by IS 'Who removed it; null: in force';
COMMENT ON COLUMN backfeed.safety_item.removed_at IS 'When';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA backfeed TO backfeed_reader;
    END IF;
END $$;
