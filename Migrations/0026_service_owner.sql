-- Whose the database is while a service runs, for whoever does not get its lock. One row at most.
CREATE TABLE backfeed_store.service_owner (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    process int4 NOT NULL,
    host text NOT NULL,
    since timestamptz NOT NULL,
    directory text NOT NULL
);
