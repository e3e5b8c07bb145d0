-- Tables live in backfeed_store and are the service's own; engineers read the views in schema backfeed.
-- Hot tables carry area_id in every key (a tie-connected group of feeders), so that areas can be spread over nodes.
CREATE SCHEMA backfeed_store;
CREATE SCHEMA backfeed;

CREATE TABLE backfeed_store.area (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    slot int2 NOT NULL CHECK (slot BETWEEN 0 AND 1023)
);

CREATE TABLE backfeed_store.network_revision (
    id int4 PRIMARY KEY,
    network text NOT NULL,
    imported_at timestamptz NOT NULL DEFAULT now(),
    imported_by text NOT NULL,
    digest text NOT NULL,
    document jsonb NOT NULL
);

CREATE TABLE backfeed_store.device (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    area_id int4 NOT NULL REFERENCES backfeed_store.area,
    name text NOT NULL UNIQUE,
    kind text NOT NULL,
    node text NOT NULL,
    normal_feeder text NOT NULL,
    lv_area text NOT NULL,
    rating_w float8 NOT NULL,
    voltage_base_v float8 NOT NULL,
    aggregator text,
    in_service boolean NOT NULL DEFAULT true
);

CREATE TABLE backfeed_store.feeder (
    name text PRIMARY KEY,
    area_id int4 NOT NULL REFERENCES backfeed_store.area,
    substation text NOT NULL,
    busbar text NOT NULL,
    rating_va float8 NOT NULL,
    in_service boolean NOT NULL DEFAULT true
);

CREATE TABLE backfeed_store.switch_position (
    area_id int4 NOT NULL,
    switch text NOT NULL,
    time timestamptz NOT NULL,
    position text NOT NULL CHECK (position IN ('open', 'closed', 'intermediate', 'unknown')),
    source text NOT NULL,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (area_id, switch, time, recorded_at)
);

-- 8-, 4-, then 2-byte columns: no padding. No key, no index but BRIN: duplicates are stopped before they get here.
CREATE TABLE backfeed_store.sample (
    time timestamptz NOT NULL,
    device_id int4 NOT NULL,
    area_id int4 NOT NULL,
    active_power_w float4,
    reactive_power_var float4,
    voltage_v float4,
    current_a float4,
    frequency_hz float4,
    state_of_charge_pct float4,
    interval_s float4,
    quality int2 NOT NULL,
    state int2
) PARTITION BY RANGE (time);
CREATE INDEX sample_time ON backfeed_store.sample USING brin (time) WITH (pages_per_range = 32);
CREATE TABLE backfeed_store.sample_default PARTITION OF backfeed_store.sample DEFAULT;

CREATE TABLE backfeed_store.sample_partition (
    name text PRIMARY KEY,
    starts timestamptz NOT NULL,
    ends timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE backfeed_store.sample_extra (
    time timestamptz NOT NULL,
    value float8 NOT NULL,
    device_id int4 NOT NULL,
    area_id int4 NOT NULL,
    quantity int2 NOT NULL
);
CREATE INDEX sample_extra_time ON backfeed_store.sample_extra USING brin (time);

CREATE TABLE backfeed_store.rejected_sample (
    received_at timestamptz NOT NULL,
    aggregator text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    bytes bytea NOT NULL
);
CREATE INDEX rejected_sample_received ON backfeed_store.rejected_sample USING brin (received_at);

CREATE TABLE backfeed_store.stream_position (
    aggregator text NOT NULL,
    epoch int8 NOT NULL,
    last_sequence int8 NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregator)
);

CREATE TABLE backfeed_store.stream_gap (
    aggregator text NOT NULL,
    epoch int8 NOT NULL,
    first_sequence int8 NOT NULL,
    last_sequence int8 NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (aggregator, epoch, first_sequence)
);

CREATE TABLE backfeed_store.feeder_clock (
    area_id int4 NOT NULL,
    feeder text NOT NULL,
    clock timestamptz NOT NULL,
    PRIMARY KEY (area_id, feeder)
);

CREATE TABLE backfeed_store.analyser_position (
    name text PRIMARY KEY,
    head timestamptz NOT NULL,
    minute timestamptz NOT NULL
);

CREATE TABLE backfeed_store.advisory (
    id text PRIMARY KEY,
    area_id int4 NOT NULL,
    kind text NOT NULL,
    feeder text NOT NULL,
    element text NOT NULL,
    state text NOT NULL,
    severity int2 NOT NULL,
    onset timestamptz NOT NULL,
    raised_at timestamptz NOT NULL,
    ended_at timestamptz,
    cleared_at timestamptz,
    version int4 NOT NULL,
    last_rise int4 NOT NULL,
    acknowledged_by text,
    acknowledged_at timestamptz,
    facts jsonb NOT NULL
);
-- One cause, one advisory: a second active one for the same element cannot be stored.
CREATE UNIQUE INDEX advisory_active ON backfeed_store.advisory (area_id, kind, element)
    WHERE state IN ('unacknowledged_active', 'acknowledged_active');
CREATE INDEX advisory_onset ON backfeed_store.advisory (onset);

-- last: newest number given; published: newest one that has left on PUB and SSE.
CREATE TABLE backfeed_store.event_counter (last int8 NOT NULL, published int8 NOT NULL);
INSERT INTO backfeed_store.event_counter VALUES (0, 0);

-- The outbox too: what is here has been, or will be, published with its number.
CREATE TABLE backfeed_store.advisory_event (
    sequence int8 PRIMARY KEY,
    area_id int4 NOT NULL,
    advisory_id text NOT NULL REFERENCES backfeed_store.advisory,
    type text NOT NULL,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    topic text NOT NULL,
    event text NOT NULL
);
CREATE INDEX advisory_event_advisory ON backfeed_store.advisory_event (advisory_id);

CREATE TABLE backfeed_store.refused_action (
    recorded_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL
);

CREATE TABLE backfeed_store.feeder_profile_1m (
    time timestamptz NOT NULL,
    net_w float8, net_min_w float8, net_max_w float8,
    reactive_var float8,
    voltage_pu float8, voltage_min_pu float8, voltage_max_pu float8,
    pv_w float8 NOT NULL, battery_w float8 NOT NULL, ev_charger_w float8 NOT NULL, other_der_w float8 NOT NULL,
    native_w float8,
    reverse_wh float8, forward_wh float8,
    head_coverage float4 NOT NULL, der_coverage float4 NOT NULL,
    area_id int4 NOT NULL,
    feeder text NOT NULL,
    normal_feeder text NOT NULL,
    PRIMARY KEY (area_id, feeder, time, normal_feeder)
);
CREATE INDEX feeder_profile_1m_time ON backfeed_store.feeder_profile_1m USING brin (time);
CREATE TABLE backfeed_store.feeder_profile_15m (LIKE backfeed_store.feeder_profile_1m INCLUDING ALL);
CREATE TABLE backfeed_store.feeder_profile_1d (LIKE backfeed_store.feeder_profile_1m INCLUDING ALL);

-- Recomputes buckets of one width from finer ones. Idempotent: writing a bucket twice gives the same row.
CREATE FUNCTION backfeed_store.roll_up(source regclass, target regclass, width interval, area int4, feeders text[],
                                       first timestamptz, last timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$
        INSERT INTO %2$s AS t (time, net_w, net_min_w, net_max_w, reactive_var, voltage_pu, voltage_min_pu,
            voltage_max_pu, pv_w, battery_w, ev_charger_w, other_der_w, native_w, reverse_wh, forward_wh,
            head_coverage, der_coverage, area_id, feeder, normal_feeder)
        SELECT date_bin($1, time, 'epoch'), sum(net_w * head_coverage) / nullif(sum(head_coverage) FILTER (WHERE net_w IS NOT NULL), 0),
            min(net_min_w), max(net_max_w), avg(reactive_var), avg(voltage_pu), min(voltage_min_pu), max(voltage_max_pu),
            avg(pv_w), avg(battery_w), avg(ev_charger_w), avg(other_der_w), avg(native_w), sum(reverse_wh), sum(forward_wh),
            (sum(head_coverage) * $6)::float4, (sum(der_coverage) * $6)::float4, area_id, feeder, normal_feeder
        FROM %1$s
        WHERE area_id = $2 AND feeder = ANY ($3) AND time >= date_bin($1, $4, 'epoch')
            AND time < date_bin($1, $5, 'epoch') + $1
        GROUP BY area_id, feeder, normal_feeder, date_bin($1, time, 'epoch')
        ON CONFLICT (area_id, feeder, time, normal_feeder) DO UPDATE SET
            net_w = excluded.net_w, net_min_w = excluded.net_min_w, net_max_w = excluded.net_max_w,
            reactive_var = excluded.reactive_var, voltage_pu = excluded.voltage_pu,
            voltage_min_pu = excluded.voltage_min_pu, voltage_max_pu = excluded.voltage_max_pu, pv_w = excluded.pv_w,
            battery_w = excluded.battery_w, ev_charger_w = excluded.ev_charger_w, other_der_w = excluded.other_der_w,
            native_w = excluded.native_w, reverse_wh = excluded.reverse_wh, forward_wh = excluded.forward_wh,
            head_coverage = excluded.head_coverage, der_coverage = excluded.der_coverage$q$, source, target)
    USING width, area, feeders, first, last,
        (CASE WHEN width = interval '15 minutes' THEN 1.0 / 15 ELSE 1.0 / 96 END)::float8;
END $$;

-- Views for engineers. Signs: network points FLOW, positive away from the substation, negative is reverse power; DER
-- terminals INJ, positive into the grid.
CREATE VIEW backfeed.feeder AS SELECT name AS feeder, substation, busbar, rating_va, in_service FROM backfeed_store.feeder;
CREATE VIEW backfeed.device AS
    SELECT name AS device, kind, node, normal_feeder, lv_area, rating_w, voltage_base_v, aggregator, in_service
    FROM backfeed_store.device;
CREATE VIEW backfeed.sample AS
    SELECT s.time, d.name AS device, d.kind, d.normal_feeder, s.active_power_w::float8, s.reactive_power_var::float8,
        s.voltage_v::float8, s.current_a::float8, s.frequency_hz::float8, s.state_of_charge_pct::float8,
        s.interval_s::float8, s.quality
    FROM backfeed_store.sample s JOIN backfeed_store.device d ON d.id = s.device_id;
CREATE VIEW backfeed.feeder_profile_1m AS
    SELECT feeder, normal_feeder, time, net_w, net_min_w, net_max_w, reactive_var, voltage_pu, voltage_min_pu,
        voltage_max_pu, pv_w, battery_w, ev_charger_w, other_der_w, native_w, reverse_wh, forward_wh, head_coverage,
        der_coverage FROM backfeed_store.feeder_profile_1m;
CREATE VIEW backfeed.feeder_profile_15m AS
    SELECT feeder, normal_feeder, time, net_w, net_min_w, net_max_w, reactive_var, voltage_pu, voltage_min_pu,
        voltage_max_pu, pv_w, battery_w, ev_charger_w, other_der_w, native_w, reverse_wh, forward_wh, head_coverage,
        der_coverage FROM backfeed_store.feeder_profile_15m;
CREATE VIEW backfeed.feeder_profile_1d AS
    SELECT feeder, normal_feeder, time, net_w, net_min_w, net_max_w, reactive_var, voltage_pu, voltage_min_pu,
        voltage_max_pu, pv_w, battery_w, ev_charger_w, other_der_w, native_w, reverse_wh, forward_wh, head_coverage,
        der_coverage FROM backfeed_store.feeder_profile_1d;
CREATE VIEW backfeed.voltage_10m AS
    SELECT d.name AS device, d.node, d.normal_feeder, date_bin('10 minutes', s.time, 'epoch') AS time,
        sqrt(avg((s.voltage_v::float8 / d.voltage_base_v) ^ 2)) AS voltage_pu, min(s.voltage_v::float8 / d.voltage_base_v) AS voltage_min_pu,
        max(s.voltage_v::float8 / d.voltage_base_v) AS voltage_max_pu, count(*) AS samples
    FROM backfeed_store.sample s JOIN backfeed_store.device d ON d.id = s.device_id
    WHERE s.voltage_v IS NOT NULL AND d.voltage_base_v > 0 AND s.quality & 4095 = 0
    GROUP BY d.name, d.node, d.normal_feeder, date_bin('10 minutes', s.time, 'epoch');
CREATE VIEW backfeed.advisory AS
    SELECT id, kind, facts ->> 'detector' AS detector, feeder, element, severity, state, onset, raised_at, ended_at,
        cleared_at, version, acknowledged_by, acknowledged_at, facts ->> 'message' AS message,
        facts ->> 'cause' AS cause, (facts #>> '{peak,value}')::float8 AS peak, facts #>> '{peak,unit}' AS peak_unit,
        facts FROM backfeed_store.advisory;
CREATE VIEW backfeed.advisory_event AS
    SELECT sequence, advisory_id, type, actor, recorded_at, event::jsonb AS event FROM backfeed_store.advisory_event;
CREATE VIEW backfeed.data_gap AS
    SELECT aggregator, to_timestamp(epoch / 1e6) AS epoch, first_sequence, last_sequence,
        last_sequence - first_sequence + 1 AS messages, seen_at FROM backfeed_store.stream_gap;

COMMENT ON SCHEMA backfeed IS 'Stable views for engineers. Times are UTC; units stand in the column names.';
COMMENT ON COLUMN backfeed.feeder.feeder IS 'Feeder id';
COMMENT ON COLUMN backfeed.feeder.substation IS 'Substation id';
COMMENT ON COLUMN backfeed.feeder.busbar IS 'Node that the feeder head is connected to';
COMMENT ON COLUMN backfeed.feeder.rating_va IS 'VA the head may carry; 0 unknown';
COMMENT ON COLUMN backfeed.feeder.in_service IS 'Part of the network revision in force';
COMMENT ON COLUMN backfeed.device.device IS 'Device id as in telemetry';
COMMENT ON COLUMN backfeed.device.kind IS 'pv, battery, ev_charger, wind, biomass, hydro, other, feeder_head, voltage_meter, switch';
COMMENT ON COLUMN backfeed.device.node IS 'Network node';
COMMENT ON COLUMN backfeed.device.normal_feeder IS 'Feeder in the normal switching state; empty at the substation';
COMMENT ON COLUMN backfeed.device.lv_area IS 'Low-voltage grid; empty on medium voltage';
COMMENT ON COLUMN backfeed.device.rating_w IS 'W; AC rating, of a feeder head VA';
COMMENT ON COLUMN backfeed.device.voltage_base_v IS 'V that are 1 pu: line to line above 1 kV, line to neutral below';
COMMENT ON COLUMN backfeed.device.aggregator IS 'Aggregator that speaks for the device; null until it first spoke';
COMMENT ON COLUMN backfeed.device.in_service IS 'Part of the network revision in force';
COMMENT ON COLUMN backfeed.sample.time IS 'When the value was taken, by the device''s clock; end of the interval for means';
COMMENT ON COLUMN backfeed.sample.device IS 'Device id';
COMMENT ON COLUMN backfeed.sample.kind IS 'Device kind';
COMMENT ON COLUMN backfeed.sample.normal_feeder IS 'Feeder of the device in the normal switching state';
COMMENT ON COLUMN backfeed.sample.active_power_w IS 'W; feeder heads FLOW (positive away from the substation, negative reverse), DER INJ (positive into the grid)';
COMMENT ON COLUMN backfeed.sample.reactive_power_var IS 'var, same sign frame as active power';
COMMENT ON COLUMN backfeed.sample.voltage_v IS 'V; line to line above 1 kV, line to neutral below; mean of the phases given';
COMMENT ON COLUMN backfeed.sample.current_a IS 'A, magnitude';
COMMENT ON COLUMN backfeed.sample.frequency_hz IS 'Hz';
COMMENT ON COLUMN backfeed.sample.state_of_charge_pct IS '%, 0 to 100';
COMMENT ON COLUMN backfeed.sample.interval_s IS 's; the value is the mean over the interval that ends at time; null: instantaneous';
COMMENT ON COLUMN backfeed.sample.quality IS 'Bits: 1 INVALID 2 QUESTIONABLE 4 OLD 8 OUT_OF_RANGE 16 FROZEN 32 TEST 64 CLOCK_SUSPECT 128 SIGN_UNVERIFIED 256 SIGN_SUSPECT 512 INCONSISTENT 1024 SUBSTITUTED 2048 ESTIMATED 4096 LATE';
COMMENT ON COLUMN backfeed.voltage_10m.device IS 'Device id';
COMMENT ON COLUMN backfeed.voltage_10m.node IS 'Network node';
COMMENT ON COLUMN backfeed.voltage_10m.normal_feeder IS 'Feeder in the normal switching state';
COMMENT ON COLUMN backfeed.voltage_10m.time IS 'Start of the clock-aligned ten minutes';
COMMENT ON COLUMN backfeed.voltage_10m.voltage_pu IS 'pu; root of the mean square of the samples';
COMMENT ON COLUMN backfeed.voltage_10m.voltage_min_pu IS 'pu; lowest sample';
COMMENT ON COLUMN backfeed.voltage_10m.voltage_max_pu IS 'pu; highest sample';
COMMENT ON COLUMN backfeed.voltage_10m.samples IS 'Number of samples';
DO $$
DECLARE width text;
BEGIN
    FOREACH width IN ARRAY ARRAY['1m', '15m', '1d'] LOOP
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.feeder IS %L', width, 'Feeder as switched at that time; sum the rows of one time for its fleet');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.normal_feeder IS %L', width, 'Feeder that the DER of this row belong to in the normal state; head values stand where it equals feeder');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.time IS %L', width, 'Start of the bucket');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.net_w IS %L', width, 'W at the head, mean; FLOW: negative is reverse power; null: not known');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.net_min_w IS %L', width, 'W at the head, lowest 10-s mean');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.net_max_w IS %L', width, 'W at the head, highest 10-s mean');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.reactive_var IS %L', width, 'var at the head, mean; FLOW');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.voltage_pu IS %L', width, 'pu at the head''s busbar, mean');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.voltage_min_pu IS %L', width, 'pu at the head''s busbar, lowest 10-s mean');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.voltage_max_pu IS %L', width, 'pu at the head''s busbar, highest 10-s mean');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.pv_w IS %L', width, 'W injected by PV; what did not report scaled from what did');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.battery_w IS %L', width, 'W injected by batteries; negative charging');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.ev_charger_w IS %L', width, 'W injected by EV chargers; negative charging');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.other_der_w IS %L', width, 'W injected by wind, hydro, biomass and other');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.native_w IS %L', width, 'W: net plus all injection, losses included; what customers would take without DER');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.reverse_wh IS %L', width, 'Wh that flowed back to the substation');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.forward_wh IS %L', width, 'Wh that flowed into the feeder');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.head_coverage IS %L', width, '0 to 1: part of the bucket with head data');
        EXECUTE format('COMMENT ON COLUMN backfeed.feeder_profile_%s.der_coverage IS %L', width, '0 to 1: part of the DER rating that reported');
    END LOOP;
END $$;
COMMENT ON COLUMN backfeed.advisory.id IS 'Advisory id';
COMMENT ON COLUMN backfeed.advisory.kind IS 'What it is about, see docs/advisories.md';
COMMENT ON COLUMN backfeed.advisory.detector IS 'Detector and level';
COMMENT ON COLUMN backfeed.advisory.feeder IS 'Feeder, or the bank';
COMMENT ON COLUMN backfeed.advisory.element IS 'Element it is anchored at';
COMMENT ON COLUMN backfeed.advisory.severity IS '1 urgent, 2 high, 3 medium, 4 note';
COMMENT ON COLUMN backfeed.advisory.state IS 'unacknowledged_active, acknowledged_active, unacknowledged_cleared, closed';
COMMENT ON COLUMN backfeed.advisory.onset IS 'When the condition began';
COMMENT ON COLUMN backfeed.advisory.raised_at IS 'When it had lasted long enough (time of the data)';
COMMENT ON COLUMN backfeed.advisory.ended_at IS 'When the condition ended';
COMMENT ON COLUMN backfeed.advisory.cleared_at IS 'When its end had lasted long enough';
COMMENT ON COLUMN backfeed.advisory.version IS 'Counts changes; an acknowledgement names the one that was seen';
COMMENT ON COLUMN backfeed.advisory.acknowledged_by IS 'Who acknowledged';
COMMENT ON COLUMN backfeed.advisory.acknowledged_at IS 'When, by the wall clock';
COMMENT ON COLUMN backfeed.advisory.message IS 'One sentence for the operator';
COMMENT ON COLUMN backfeed.advisory.cause IS 'Cause as far as known';
COMMENT ON COLUMN backfeed.advisory.peak IS 'Worst value, in peak_unit';
COMMENT ON COLUMN backfeed.advisory.peak_unit IS 'Unit of peak';
COMMENT ON COLUMN backfeed.advisory.facts IS 'Everything the analyser said, as published';
COMMENT ON COLUMN backfeed.advisory_event.sequence IS 'Gapless number';
COMMENT ON COLUMN backfeed.advisory_event.advisory_id IS 'Advisory id';
COMMENT ON COLUMN backfeed.advisory_event.type IS 'raised, updated, acknowledged, cleared, closed';
COMMENT ON COLUMN backfeed.advisory_event.actor IS 'analyser, or who acted';
COMMENT ON COLUMN backfeed.advisory_event.recorded_at IS 'Wall clock';
COMMENT ON COLUMN backfeed.advisory_event.event IS 'The CloudEvent as published';
COMMENT ON COLUMN backfeed.data_gap.aggregator IS 'Aggregator';
COMMENT ON COLUMN backfeed.data_gap.epoch IS 'When its journal was started';
COMMENT ON COLUMN backfeed.data_gap.first_sequence IS 'First missing message';
COMMENT ON COLUMN backfeed.data_gap.last_sequence IS 'Last missing message';
COMMENT ON COLUMN backfeed.data_gap.messages IS 'Number of missing messages';
COMMENT ON COLUMN backfeed.data_gap.seen_at IS 'When the gap was seen';

-- The reader's role belongs to the whole cluster; it may exist already, and a managed database may forbid making it.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        CREATE ROLE backfeed_reader NOLOGIN;
    END IF;
EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
    RAISE NOTICE 'role backfeed_reader was not created: ask an administrator';
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        GRANT USAGE ON SCHEMA backfeed TO backfeed_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA backfeed TO backfeed_reader;
    END IF;
END $$;
