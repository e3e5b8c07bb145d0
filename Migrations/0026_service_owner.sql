-- Whose the database is while a service runs, for whoever does not get its lock. One row at most. mark counts the owner's looks at it:
-- it never falls, unless the database is put back to an earlier time.
CREATE TABLE backfeed_store.service_owner (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    process int4 NOT NULL,
    host text NOT NULL,
    since timestamptz NOT NULL,
    directory text NOT NULL,
    mark int8 NOT NULL
);

-- Restores of the database that were noticed. Switch positions recorded before the newest of them are not certain.
CREATE TABLE backfeed_store.restore (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    restored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    noticed_by text NOT NULL,
    reason text NOT NULL,
    -- as asked for, where the product's own command did it
    until text,
    base text
);

-- That the database was restored is an event without an advisory.
ALTER TABLE backfeed_store.advisory_event ALTER COLUMN advisory_id DROP NOT NULL;
