-- A proposal to take an advisory out of service, to which nobody agrees, ends.
ALTER TABLE backfeed_store.advisory ADD COLUMN proposed_at timestamptz;
UPDATE backfeed_store.advisory SET proposed_at = now() WHERE proposed_by IS NOT NULL;
