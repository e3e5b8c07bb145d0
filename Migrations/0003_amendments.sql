-- Quarter hours whose profile a late sample changed, marked in the transaction that stored the sample; the mark goes in
-- the transaction that stored the profile made again. A version, so that a mark renewed meanwhile stays.
CREATE TABLE backfeed_store.profile_amendment (
    area_id int4 NOT NULL,
    feeder text NOT NULL,
    quarter timestamptz NOT NULL,
    version int8 NOT NULL DEFAULT 1,
    first_marked_at timestamptz NOT NULL DEFAULT now(),
    marked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (area_id, feeder, quarter)
);

CREATE VIEW backfeed.profile_amendment AS
    SELECT feeder, quarter, marked_at FROM backfeed_store.profile_amendment;
COMMENT ON COLUMN backfeed.profile_amendment.feeder IS 'Feeder whose late samples wait to be taken into the profiles';
COMMENT ON COLUMN backfeed.profile_amendment.quarter IS 'Start of the quarter hour that they change';
COMMENT ON COLUMN backfeed.profile_amendment.marked_at IS 'When the newest of them was stored';
