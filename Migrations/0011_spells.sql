-- Which spell of the analyser an event is about, and what that was by itself: a backtest is compared with it.
ALTER TABLE backfeed_store.advisory_event ADD COLUMN spell text, ADD COLUMN own_severity int2, ADD COLUMN own_onset timestamptz,
    ADD COLUMN own_occurrence int4;
UPDATE backfeed_store.advisory_event SET spell = advisory_id, own_severity = severity,
    own_onset = (event::jsonb #>> '{data,onset}')::timestamptz, own_occurrence = (event::jsonb #>> '{data,occurrence}')::int4;
CREATE INDEX advisory_event_spell ON backfeed_store.advisory_event (spell);
