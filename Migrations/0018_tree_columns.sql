-- What decides which advisory is part of which, apart from the facts: these are large, and there is one row for each
-- advisory that stands whenever one more is stored.
ALTER TABLE backfeed_store.advisory
    ADD COLUMN detector text GENERATED ALWAYS AS (facts ->> 'detector') STORED,
    ADD COLUMN cause text GENERATED ALWAYS AS (facts ->> 'cause') STORED,
    ADD COLUMN own_severity int2 GENERATED ALWAYS AS ((facts ->> 'severity')::int2) STORED;
