-- Times in which a desk got more new advisories than it could look at.
CREATE TABLE backfeed_store.advisory_flood (
    desk text NOT NULL,
    -- of the desk; null: all
    feeders text[],
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (desk, started_at)
);
CREATE UNIQUE INDEX advisory_flood_now ON backfeed_store.advisory_flood (desk) WHERE ended_at IS NULL;

CREATE VIEW backfeed.advisory_flood AS SELECT desk, feeders, started_at, ended_at FROM backfeed_store.advisory_flood;
COMMENT ON VIEW backfeed.advisory_flood IS 'Floods of advisories, by desk';
COMMENT ON COLUMN backfeed.advisory_flood.desk IS 'Desk, see advisories.desks';
COMMENT ON COLUMN backfeed.advisory_flood.feeders IS 'Its feeders; null: all';
COMMENT ON COLUMN backfeed.advisory_flood.started_at IS 'More than 10 new ones in 10 minutes, by the wall clock';
COMMENT ON COLUMN backfeed.advisory_flood.ended_at IS 'Fewer than 5 in 10 minutes; null: it goes on';

CREATE VIEW backfeed.advisory_annunciation AS
    SELECT e.sequence, e.recorded_at, e.advisory_id, a.kind, a.feeder, a.element, e.severity
    FROM backfeed_store.advisory_event e JOIN backfeed_store.advisory a ON a.id = e.advisory_id WHERE e.annunciates;
COMMENT ON VIEW backfeed.advisory_annunciation IS 'Each time an advisory asked for attention: raised, raised again, or worse';
COMMENT ON COLUMN backfeed.advisory_annunciation.sequence IS 'Number of the event';
COMMENT ON COLUMN backfeed.advisory_annunciation.recorded_at IS 'When, by the wall clock';
COMMENT ON COLUMN backfeed.advisory_annunciation.advisory_id IS 'Advisory id';
COMMENT ON COLUMN backfeed.advisory_annunciation.kind IS 'What it is about';
COMMENT ON COLUMN backfeed.advisory_annunciation.feeder IS 'Feeder, or the bank';
COMMENT ON COLUMN backfeed.advisory_annunciation.element IS 'Element it is anchored at';
COMMENT ON COLUMN backfeed.advisory_annunciation.severity IS 'Severity then';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA backfeed TO backfeed_reader;
    END IF;
END $$;
