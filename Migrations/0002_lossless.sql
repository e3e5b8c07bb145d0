-- Streams: each batch that moves a position raises its version by one. The version is what compare-and-set compares:
-- a batch that only fills gaps leaves the last sequence where it is.
ALTER TABLE backfeed_store.stream_position ADD COLUMN version int8 NOT NULL DEFAULT 0,
    ADD COLUMN newest timestamptz;
ALTER TABLE backfeed_store.stream_gap ADD COLUMN after_time timestamptz, ADD COLUMN before_time timestamptz;

-- Messages that will never come. last_sequence null: nobody knows how many followed.
CREATE TABLE backfeed_store.data_gap (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    aggregator text NOT NULL,
    epoch int8 NOT NULL,
    first_sequence int8 NOT NULL,
    last_sequence int8,
    after_time timestamptz,
    before_time timestamptz,
    reason text NOT NULL CHECK (reason IN ('gone', 'epoch_replaced', 'given_up')),
    declared_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE VIEW backfeed.data_gap AS
    SELECT aggregator, to_timestamp(epoch / 1e6) AS epoch, first_sequence, last_sequence,
        last_sequence - first_sequence + 1 AS messages, seen_at, 'open' AS state, NULL::text AS reason,
        after_time, before_time, NULL::timestamptz AS declared_at
    FROM backfeed_store.stream_gap
    UNION ALL
    SELECT aggregator, to_timestamp(epoch / 1e6), first_sequence, last_sequence,
        last_sequence - first_sequence + 1, declared_at, 'lost', reason, after_time, before_time, declared_at
    FROM backfeed_store.data_gap;
COMMENT ON COLUMN backfeed.data_gap.last_sequence IS 'Last missing message; null: nobody knows how many followed';
COMMENT ON COLUMN backfeed.data_gap.messages IS 'Number of missing messages; null: not known';
COMMENT ON COLUMN backfeed.data_gap.state IS 'open: asked for, may still come; lost: will not come';
COMMENT ON COLUMN backfeed.data_gap.reason IS 'Why it is lost: gone (the aggregator keeps it no longer), epoch_replaced (the publisher started afresh), given_up (nobody answered)';
COMMENT ON COLUMN backfeed.data_gap.after_time IS 'Newest sample of the aggregator before the gap; null: not known';
COMMENT ON COLUMN backfeed.data_gap.before_time IS 'Oldest sample behind the gap; null: none has come yet';
COMMENT ON COLUMN backfeed.data_gap.declared_at IS 'When it was declared lost, by the wall clock';

-- Who may publish. A name may have several keys, so that they can be changed without a pause.
CREATE TABLE backfeed_store.publisher_key (
    public_key text PRIMARY KEY CHECK (length(public_key) = 40),
    aggregator text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    added_by text NOT NULL,
    revoked_at timestamptz,
    revoked_by text
);
