-- Whose samples asked for a partition; null: made ahead. One aggregator may ask for so many.
ALTER TABLE backfeed_store.sample_partition ADD COLUMN opened_by text;
