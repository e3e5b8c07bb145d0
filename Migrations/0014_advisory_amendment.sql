-- What samples that came late change in what had been said (domain rules A.7.4). What was said stays as it was said.
CREATE TABLE backfeed_store.advisory_amendment (
    number int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    area_id int4 NOT NULL,
    -- null: nothing had been said
    advisory_id text REFERENCES backfeed_store.advisory,
    -- the analyser's spell that is amended, or the one that had not been found
    spell text NOT NULL,
    change text NOT NULL CHECK (change IN ('moved', 'gone', 'new', 'withdrawn')),
    kind text NOT NULL,
    feeder text NOT NULL,
    element text NOT NULL,
    onset timestamptz NOT NULL,
    before jsonb,
    after jsonb,
    said text[] NOT NULL,
    watermark timestamptz NOT NULL,
    late_from timestamptz NOT NULL,
    late_until timestamptz NOT NULL,
    late_samples int8 NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CHECK (change = 'withdrawn' OR change = 'new' AND advisory_id IS NULL AND before IS NULL AND after IS NOT NULL
        OR change = 'gone' AND advisory_id IS NOT NULL AND before IS NOT NULL AND after IS NULL
        OR change = 'moved' AND advisory_id IS NOT NULL AND before IS NOT NULL AND after IS NOT NULL)
);
CREATE INDEX advisory_amendment_spell ON backfeed_store.advisory_amendment (spell, number DESC);
CREATE INDEX advisory_amendment_advisory ON backfeed_store.advisory_amendment (advisory_id);
CREATE INDEX advisory_amendment_recorded ON backfeed_store.advisory_amendment (recorded_at);

-- How far the data had come when an event was said.
ALTER TABLE backfeed_store.advisory_event ADD COLUMN watermark timestamptz;
UPDATE backfeed_store.advisory_event SET watermark = (event::jsonb #>> '{data,watermark}')::timestamptz;
CREATE INDEX advisory_event_watermark ON backfeed_store.advisory_event (watermark);

CREATE VIEW backfeed.advisory_amendment AS
    SELECT number, recorded_at, change, advisory_id IS NULL AS retro, advisory_id, kind, feeder, element, onset, said,
        (before #>> '{raised_at}')::timestamptz AS raised_at_before, (after #>> '{raised_at}')::timestamptz AS raised_at_after,
        (before #>> '{cleared_at}')::timestamptz AS cleared_at_before, (after #>> '{cleared_at}')::timestamptz AS cleared_at_after,
        (before #>> '{severity}')::int AS severity_before, (after #>> '{severity}')::int AS severity_after,
        (before #>> '{peak,value}')::float8 AS peak_before, (after #>> '{peak,value}')::float8 AS peak_after,
        coalesce(after, before) #>> '{peak,unit}' AS peak_unit,
        watermark, late_from, late_until, late_samples
    FROM backfeed_store.advisory_amendment;
COMMENT ON VIEW backfeed.advisory_amendment IS 'What samples that came late change in what had been said; the newest row of an advisory counts';
COMMENT ON COLUMN backfeed.advisory_amendment.change IS 'moved: it would have been otherwise; gone: it would not have been; new: it was not raised and would have been; withdrawn: with still more late samples it is as it was said';
COMMENT ON COLUMN backfeed.advisory_amendment.retro IS 'Nobody was told at the time';
COMMENT ON COLUMN backfeed.advisory_amendment.said IS 'What changes, in words';
COMMENT ON COLUMN backfeed.advisory_amendment.watermark IS 'Time of the data at which it was said, or would have been';
COMMENT ON COLUMN backfeed.advisory_amendment.late_from IS 'First late sample of the stretch that was analysed again';
COMMENT ON COLUMN backfeed.advisory_amendment.late_until IS 'Last of them';
COMMENT ON COLUMN backfeed.advisory_amendment.late_samples IS 'How many they were';
COMMENT ON COLUMN backfeed.advisory_amendment.number IS 'In the order of recording';
COMMENT ON COLUMN backfeed.advisory_amendment.recorded_at IS 'When it was found';
COMMENT ON COLUMN backfeed.advisory_amendment.advisory_id IS 'The advisory that was said; null when none was';
COMMENT ON COLUMN backfeed.advisory_amendment.kind IS 'Kind of the advisory';
COMMENT ON COLUMN backfeed.advisory_amendment.feeder IS 'Feeder it is about';
COMMENT ON COLUMN backfeed.advisory_amendment.element IS 'Element it is about';
COMMENT ON COLUMN backfeed.advisory_amendment.onset IS 'Since when the condition held, as said, else as it would have been said';
COMMENT ON COLUMN backfeed.advisory_amendment.raised_at_before IS 'When it was raised, time of the data';
COMMENT ON COLUMN backfeed.advisory_amendment.raised_at_after IS 'When it would have been raised';
COMMENT ON COLUMN backfeed.advisory_amendment.cleared_at_before IS 'When it was cleared; null: not yet, or not raised';
COMMENT ON COLUMN backfeed.advisory_amendment.cleared_at_after IS 'When it would have been cleared';
COMMENT ON COLUMN backfeed.advisory_amendment.severity_before IS '1 to 4, 1 is worst, as said';
COMMENT ON COLUMN backfeed.advisory_amendment.severity_after IS '1 to 4, 1 is worst, as it would have been said';
COMMENT ON COLUMN backfeed.advisory_amendment.peak_before IS 'Worst value, in peak_unit, as said';
COMMENT ON COLUMN backfeed.advisory_amendment.peak_after IS 'Worst value, in peak_unit, as it would have been said';
COMMENT ON COLUMN backfeed.advisory_amendment.peak_unit IS 'Unit of the two';
