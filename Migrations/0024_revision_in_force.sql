-- The data that a revision is for: what is analysed again is analysed with the network of its time. That of an import is
-- its minute; where the data that was analysed last was older than an hour, as when history is played, it is where that
-- had come to. Nothing was in force before the first.
ALTER TABLE backfeed_store.network_revision ADD COLUMN in_force_from timestamptz NOT NULL DEFAULT '-infinity';
UPDATE backfeed_store.network_revision SET in_force_from = date_trunc('minute', imported_at)
    WHERE id > (SELECT min(id) FROM backfeed_store.network_revision);
