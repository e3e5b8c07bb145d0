-- One row a switch: where it stands by everything that was said of it, written in the transaction that stores what was
-- said. Whoever needs positions of now reads this; switch_position is how they came about.
CREATE TABLE backfeed_store.switch_state (
    switch text PRIMARY KEY,
    area_id int4 NOT NULL,
    -- counts changes of position and doubt
    moves int8 NOT NULL,
    moved_at timestamptz,
    -- GridModel.SwitchRecord as JSON
    record jsonb NOT NULL
);

-- What was recorded so far, by the same rule; a time ahead of the clock does not count.
WITH said AS (
    SELECT DISTINCT ON (switch, source = 'telemetry') area_id, switch, source = 'telemetry' AS is_telemetry, time, position, actor,
        recorded_at
    FROM backfeed_store.switch_position WHERE time <= now() + interval '5 seconds'
    ORDER BY switch, source = 'telemetry', time DESC, recorded_at DESC
), paired AS (
    SELECT coalesce(t.switch, s.switch) AS switch, coalesce(t.area_id, s.area_id) AS area_id, t.position AS told,
        t.time AS told_at, t.recorded_at AS told_recorded, s.position AS stated, s.time AS stated_at,
        s.recorded_at AS stated_recorded, s.actor
    FROM (SELECT * FROM said WHERE is_telemetry) t FULL JOIN (SELECT * FROM said WHERE NOT is_telemetry) s USING (switch)
)
INSERT INTO backfeed_store.switch_state (switch, area_id, moves, moved_at, record)
SELECT switch, area_id, 0, greatest(told_recorded, stated_recorded), jsonb_strip_nulls(jsonb_build_object(
    'id', switch, 'version', 1, 'moves', 0,
    -- nobody knows whether they ever agreed: what stands was in force
    'has_agreed', true, 'stated_by', actor,
    'moved_at', to_char(greatest(told_recorded, stated_recorded) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'telemetry', CASE WHEN told IS NOT NULL THEN jsonb_build_object('position', told,
        'time', to_char(told_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'recorded_at', to_char(told_recorded AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) END,
    'statement', CASE WHEN stated IS NOT NULL THEN jsonb_build_object('position', stated,
        'time', to_char(stated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'recorded_at', to_char(stated_recorded AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) END))
FROM paired;

-- Advisories of severity 1 to 3 on a feeder that began, ended or changed their severity: one that comes and goes between
-- two looks has happened all the same.
CREATE TABLE backfeed_store.advisory_activity (feeder text PRIMARY KEY, number int8 NOT NULL);

-- Acts of the safety register: placed, removed, handed over, declared.
CREATE TABLE backfeed_store.register_activity (number int8 NOT NULL);
INSERT INTO backfeed_store.register_activity VALUES (0);

-- The value that was seen when a condition was met; null: it had none.
ALTER TABLE backfeed_store.switching_condition ADD COLUMN value float8;

-- What an operator asks of ingest: devices that are handed over, streams that begin anew. Taken in this order.
CREATE TABLE backfeed_store.ingest_order (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('owner', 'reset')),
    -- of 'owner' the device, of 'reset' the aggregator
    subject text NOT NULL,
    -- of 'owner' the aggregator that owns it from now on; null: whoever speaks for it next
    aggregator text,
    ordered_by text NOT NULL,
    ordered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- when ingest had obeyed it, with the batch that was written then
    taken_at timestamptz
);
CREATE INDEX ingest_order_open ON backfeed_store.ingest_order (id) WHERE taken_at IS NULL;
