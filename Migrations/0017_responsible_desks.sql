-- For which desks an operator answers; none: for all.
ALTER TABLE backfeed_store.account ADD COLUMN desks text[] NOT NULL DEFAULT '{}';
