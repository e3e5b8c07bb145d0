-- What each feeder was expected to do 15, 30, 45 and 60 min later: arrays have one value for each. The analyser learns from
-- these rows, so they are kept for the eight weeks that it looks back.
CREATE TABLE backfeed_store.forecast (
    made_at timestamptz NOT NULL,
    net_w float4 NOT NULL, native_w float4 NOT NULL, pv_w float4 NOT NULL, pv_rating_w float4 NOT NULL,
    other_w float4 NOT NULL, clearness float4 NOT NULL,
    is_switched bool NOT NULL,
    load_w float4[] NOT NULL, pv_forecast_w float4[] NOT NULL, model_w float4[] NOT NULL,
    p05_w float4[] NOT NULL, p20_w float4[] NOT NULL, p50_w float4[] NOT NULL, p80_w float4[] NOT NULL,
    p95_w float4[] NOT NULL,
    reverse_probability float4[] NOT NULL, overload_probability float4[] NOT NULL, emergency_probability float4[] NOT NULL,
    is_persistence bool[] NOT NULL,
    sky int2[] NOT NULL,
    area_id int4 NOT NULL,
    feeder text NOT NULL,
    PRIMARY KEY (area_id, feeder, made_at)
);
CREATE INDEX forecast_made_at ON backfeed_store.forecast USING brin (made_at);

CREATE VIEW backfeed.forecast AS
    SELECT f.feeder, f.made_at, f.made_at + h * interval '15 minutes' AS time, h * 15 AS ahead_min,
        f.p05_w[h] AS p05_w, f.p20_w[h] AS p20_w, f.p50_w[h] AS p50_w, f.p80_w[h] AS p80_w, f.p95_w[h] AS p95_w,
        f.load_w[h] AS load_w, f.pv_forecast_w[h] AS pv_w, f.other_w, f.net_w AS net_then_w, f.clearness,
        f.reverse_probability[h] AS reverse_probability, f.overload_probability[h] AS overload_probability,
        CASE WHEN f.is_persistence[h] THEN 'persistence' ELSE 'profile' END AS method, f.is_switched
    FROM backfeed_store.forecast f CROSS JOIN generate_series(1, 4) AS h;
COMMENT ON VIEW backfeed.forecast IS 'Forecasts of the net power at feeder heads, a row for each run and horizon';
COMMENT ON COLUMN backfeed.forecast.feeder IS 'Feeder';
COMMENT ON COLUMN backfeed.forecast.made_at IS 'When it was made, by the time of the data';
COMMENT ON COLUMN backfeed.forecast.time IS 'When it is for: the mean of the five minutes before';
COMMENT ON COLUMN backfeed.forecast.ahead_min IS 'Minutes between both';
COMMENT ON COLUMN backfeed.forecast.p05_w IS 'W that net power is below with a probability of 5 %; negative: reverse';
COMMENT ON COLUMN backfeed.forecast.p20_w IS 'W that net power is below with a probability of 20 %';
COMMENT ON COLUMN backfeed.forecast.p50_w IS 'W, median';
COMMENT ON COLUMN backfeed.forecast.p80_w IS 'W that net power is below with a probability of 80 %';
COMMENT ON COLUMN backfeed.forecast.p95_w IS 'W that net power is below with a probability of 95 %';
COMMENT ON COLUMN backfeed.forecast.load_w IS 'W of native load expected';
COMMENT ON COLUMN backfeed.forecast.pv_w IS 'W of PV expected, INJ';
COMMENT ON COLUMN backfeed.forecast.other_w IS 'W of chargers, batteries and other generators, INJ, taken to go on';
COMMENT ON COLUMN backfeed.forecast.net_then_w IS 'W of net power when it was made: what persistence expects';
COMMENT ON COLUMN backfeed.forecast.clearness IS 'PV over what a clear sky would give, 0 to 1.2';
COMMENT ON COLUMN backfeed.forecast.reverse_probability IS 'That the head feeds back more than its threshold';
COMMENT ON COLUMN backfeed.forecast.overload_probability IS 'That the head carries more than its rating';
COMMENT ON COLUMN backfeed.forecast.method IS 'profile: usual load and clearness of the sky; persistence: the present';
COMMENT ON COLUMN backfeed.forecast.is_switched IS 'The feeder was not as normal: such runs are not compared';

CREATE VIEW backfeed.forecast_error AS
    SELECT f.feeder, f.made_at, f.time, f.ahead_min, f.p05_w, f.p20_w, f.p50_w, f.p80_w, f.p95_w, f.net_then_w,
        f.reverse_probability, f.method, m.net_w AS measured_w
    FROM backfeed.forecast f
    JOIN backfeed_store.forecast m ON m.feeder = f.feeder AND m.made_at = f.time
    WHERE NOT f.is_switched AND NOT m.is_switched;
COMMENT ON VIEW backfeed.forecast_error IS 'Forecasts beside what was measured at their time';
COMMENT ON COLUMN backfeed.forecast_error.feeder IS 'Feeder';
COMMENT ON COLUMN backfeed.forecast_error.made_at IS 'When it was made, by the time of the data';
COMMENT ON COLUMN backfeed.forecast_error.time IS 'When it is for: the mean of the five minutes before';
COMMENT ON COLUMN backfeed.forecast_error.ahead_min IS 'Minutes between both';
COMMENT ON COLUMN backfeed.forecast_error.net_then_w IS 'W of net power when it was made: what persistence expects';
COMMENT ON COLUMN backfeed.forecast_error.reverse_probability IS 'That the head feeds back more than its threshold';
COMMENT ON COLUMN backfeed.forecast_error.method IS 'profile: usual load and clearness of the sky; persistence: the present';
COMMENT ON COLUMN backfeed.forecast_error.p05_w IS 'W that net power is below with a probability of 5 %; negative: reverse';
COMMENT ON COLUMN backfeed.forecast_error.p20_w IS 'W that net power is below with a probability of 20 %';
COMMENT ON COLUMN backfeed.forecast_error.p50_w IS 'W, median';
COMMENT ON COLUMN backfeed.forecast_error.p80_w IS 'W that net power is below with a probability of 80 %';
COMMENT ON COLUMN backfeed.forecast_error.p95_w IS 'W that net power is below with a probability of 95 %';
COMMENT ON COLUMN backfeed.forecast_error.measured_w IS 'W that net power was';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA backfeed TO backfeed_reader;
    END IF;
END $$;
