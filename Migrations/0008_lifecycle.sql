-- The whole lifecycle of an advisory: shelving, suppression, latching, out of service, and one row for one cause.
ALTER TABLE backfeed_store.advisory
    -- whether the condition holds, whatever people have done with the advisory
    ADD COLUMN is_active bool NOT NULL DEFAULT false,
    ADD COLUMN occurrence int4 NOT NULL DEFAULT 1,
    -- the analyser's own id of the spell that stands in it now
    ADD COLUMN spell text,
    ADD COLUMN parent text,
    -- shelved or out of service: by whom, why, until when; proposed_by while a second person has not agreed
    ADD COLUMN held_by text,
    ADD COLUMN held_until timestamptz,
    ADD COLUMN held_reason text,
    ADD COLUMN proposed_by text,
    -- of the state, by the wall clock
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now();

UPDATE backfeed_store.advisory SET is_active = state IN ('unacknowledged_active', 'acknowledged_active'),
    occurrence = coalesce((facts ->> 'occurrence')::int4, 1), spell = id;

-- What matters to whoever switches: the condition holds, shelved or not, or has left something that must be looked at.
ALTER TABLE backfeed_store.advisory ADD COLUMN concerns bool NOT NULL GENERATED ALWAYS AS
    (is_active OR state IN ('latched_unacknowledged', 'latched_acknowledged', 'out_of_service')) STORED;

-- One cause, one advisory: what is over and not acknowledged yet goes on when its cause comes again.
UPDATE backfeed_store.advisory AS old SET state = 'closed' WHERE state = 'unacknowledged_cleared' AND EXISTS (
    SELECT FROM backfeed_store.advisory AS new WHERE new.area_id = old.area_id AND new.kind = old.kind
        AND new.element = old.element AND new.id <> old.id AND new.state <> 'closed'
        AND (new.is_active OR (new.raised_at, new.id) > (old.raised_at, old.id)));
DROP INDEX backfeed_store.advisory_active;
CREATE UNIQUE INDEX advisory_open ON backfeed_store.advisory (area_id, kind, element) WHERE state <> 'closed';
CREATE UNIQUE INDEX advisory_spell ON backfeed_store.advisory (spell);

ALTER TABLE backfeed_store.advisory_event
    -- it asks for attention: raised, raised again, or worse
    ADD COLUMN annunciates bool NOT NULL DEFAULT false,
    ADD COLUMN severity int2,
    ADD COLUMN feeder text,
    ADD COLUMN note text;
UPDATE backfeed_store.advisory_event SET annunciates = type = 'raised', severity = (event::jsonb #>> '{data,severity}')::int2,
    feeder = event::jsonb #>> '{data,feeder}';
CREATE INDEX advisory_event_annunciated ON backfeed_store.advisory_event (recorded_at) WHERE annunciates;

DROP VIEW backfeed.advisory;
CREATE VIEW backfeed.advisory AS
    SELECT id, kind, facts ->> 'detector' AS detector, feeder, element, severity, state, is_active, onset, raised_at, ended_at,
        cleared_at, version, occurrence, parent, acknowledged_by, acknowledged_at, held_by, held_until, held_reason,
        facts ->> 'message' AS message, facts ->> 'cause' AS cause, (facts #>> '{peak,value}')::float8 AS peak,
        facts #>> '{peak,unit}' AS peak_unit, facts FROM backfeed_store.advisory;
COMMENT ON VIEW backfeed.advisory IS 'Advisories, their state now';
COMMENT ON COLUMN backfeed.advisory.id IS 'Advisory id';
COMMENT ON COLUMN backfeed.advisory.kind IS 'What it is about, see docs/advisories.md';
COMMENT ON COLUMN backfeed.advisory.detector IS 'Detector and level';
COMMENT ON COLUMN backfeed.advisory.feeder IS 'Feeder, or the bank';
COMMENT ON COLUMN backfeed.advisory.element IS 'Element it is anchored at';
COMMENT ON COLUMN backfeed.advisory.severity IS '1 urgent, 2 high, 3 medium, 4 note; of a parent the worst of its children';
COMMENT ON COLUMN backfeed.advisory.state IS 'See docs/advisories.md: unacknowledged_active to closed';
COMMENT ON COLUMN backfeed.advisory.is_active IS 'The condition holds, whatever the state';
COMMENT ON COLUMN backfeed.advisory.onset IS 'When the condition first began';
COMMENT ON COLUMN backfeed.advisory.raised_at IS 'When it had lasted long enough (time of the data)';
COMMENT ON COLUMN backfeed.advisory.ended_at IS 'When the condition ended';
COMMENT ON COLUMN backfeed.advisory.cleared_at IS 'When its end had lasted long enough';
COMMENT ON COLUMN backfeed.advisory.version IS 'Counts changes; an acknowledgement names the one that was seen';
COMMENT ON COLUMN backfeed.advisory.occurrence IS 'How often the cause has come while the advisory was open';
COMMENT ON COLUMN backfeed.advisory.parent IS 'Advisory that it is part of, while suppressed';
COMMENT ON COLUMN backfeed.advisory.acknowledged_by IS 'Who acknowledged';
COMMENT ON COLUMN backfeed.advisory.acknowledged_at IS 'When, by the wall clock';
COMMENT ON COLUMN backfeed.advisory.held_by IS 'Who shelved it, or took it out of service';
COMMENT ON COLUMN backfeed.advisory.held_until IS 'Until when';
COMMENT ON COLUMN backfeed.advisory.held_reason IS 'Why';
COMMENT ON COLUMN backfeed.advisory.message IS 'One sentence for the operator';
COMMENT ON COLUMN backfeed.advisory.cause IS 'Cause as far as known';
COMMENT ON COLUMN backfeed.advisory.peak IS 'Worst value, in peak_unit';
COMMENT ON COLUMN backfeed.advisory.peak_unit IS 'Unit of peak';
COMMENT ON COLUMN backfeed.advisory.facts IS 'Everything the analyser said last';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA backfeed TO backfeed_reader;
    END IF;
END $$;
