-- What is due after a plan that is completed: an emergency's review, a ground trip left blocked. Met where switching_condition says so.
CREATE TABLE backfeed_store.switching_due (
    plan text NOT NULL,
    version int4 NOT NULL,
    key text NOT NULL,
    text text NOT NULL,
    due_at timestamptz NOT NULL,
    -- when its being overdue was put into the audit log
    told_at timestamptz,
    PRIMARY KEY (plan, version, key)
);

CREATE VIEW backfeed.switching_due AS
    SELECT d.plan, d.version, d.key, d.text, d.due_at, m.met_by, m.met_at, m.met_at IS NULL AND d.due_at <= now() AS overdue
    FROM backfeed_store.switching_due d LEFT JOIN backfeed_store.switching_condition m USING (plan, version, key);

COMMENT ON COLUMN backfeed.switching_due.plan IS 'Plan id; the plan is completed';
COMMENT ON COLUMN backfeed.switching_due.version IS 'Version of the plan';
COMMENT ON COLUMN backfeed.switching_due.key IS 'Key of the condition';
COMMENT ON COLUMN backfeed.switching_due.text IS 'What is to be done';
COMMENT ON COLUMN backfeed.switching_due.due_at IS 'Until when';
COMMENT ON COLUMN backfeed.switching_due.met_by IS 'Who has done it; null: open';
COMMENT ON COLUMN backfeed.switching_due.met_at IS 'When';
COMMENT ON COLUMN backfeed.switching_due.overdue IS 'Open, and its time is over';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA backfeed TO backfeed_reader;
    END IF;
END $$;
