-- Who did what, for ever: each record carries the SHA-256 of its own content and of the record before it. Written only by
-- backfeed_store.audit(), in the transaction that it records; no role of the service may change or remove a record.
CREATE TABLE backfeed_store.audit_record (
    number int8 PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    -- text, not jsonb: the digest is of these very bytes.
    content text NOT NULL,
    previous text NOT NULL,
    digest text NOT NULL
);
CREATE INDEX audit_record_recorded ON backfeed_store.audit_record USING brin (recorded_at);
CREATE INDEX audit_record_subject ON backfeed_store.audit_record (subject, number);

-- The newest record. Its row lock keeps the numbers gapless and the chain in commit order.
CREATE TABLE backfeed_store.audit_head (number int8 NOT NULL, digest text NOT NULL);
INSERT INTO backfeed_store.audit_head VALUES (0, repeat('0', 64));

-- Text with its length in front, so that no two lists of texts look alike.
CREATE FUNCTION backfeed_store.audit_part(content text) RETURNS text LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$ SELECT octet_length(convert_to(content, 'UTF8')) || ':' || content $$;

CREATE FUNCTION backfeed_store.audit(actor text, action text, subject text, content text) RETURNS int8
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head backfeed_store.audit_head;
    moment timestamptz;
    own text;
BEGIN
    UPDATE backfeed_store.audit_head SET number = audit_head.number + 1 RETURNING * INTO STRICT head;
    moment := clock_timestamp();
    SELECT encode(sha256(convert_to(string_agg(backfeed_store.audit_part(part), '' ORDER BY place), 'UTF8')), 'hex') INTO own
        FROM unnest(ARRAY[head.digest, head.number::text,
            to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), actor, action, subject, content])
        WITH ORDINALITY AS parts(part, place);
    INSERT INTO backfeed_store.audit_record VALUES (head.number, moment, actor, action, subject, content, head.digest, own);
    UPDATE backfeed_store.audit_head SET digest = own;
    RETURN head.number;
END $$;
REVOKE ALL ON FUNCTION backfeed_store.audit(text, text, text, text) FROM PUBLIC;

-- Behind the grants, also for whoever owns the tables while the database was not protected (see protect below).
CREATE FUNCTION backfeed_store.audit_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is never changed: correct a record by a new one' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON backfeed_store.audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION backfeed_store.audit_is_final();

CREATE VIEW backfeed.audit AS
    SELECT number, recorded_at, actor, action, subject, content::jsonb AS content, previous, digest
    FROM backfeed_store.audit_record;
COMMENT ON COLUMN backfeed.audit.number IS 'Gapless number';
COMMENT ON COLUMN backfeed.audit.recorded_at IS 'Wall clock of the database';
COMMENT ON COLUMN backfeed.audit.actor IS 'Who acted; validator: the service itself';
COMMENT ON COLUMN backfeed.audit.action IS 'What was done, see docs/audit.md; .refused: what was not';
COMMENT ON COLUMN backfeed.audit.subject IS 'Plan, switch, advisory, network or aggregator that it was done to';
COMMENT ON COLUMN backfeed.audit.content IS 'What there is to know of it';
COMMENT ON COLUMN backfeed.audit.previous IS 'SHA-256 of the record before, hexadecimal; 64 zeros before the first';
COMMENT ON COLUMN backfeed.audit.digest IS 'SHA-256 over previous, number, recorded_at, actor, action, subject, content, each with its length in bytes and a colon in front';

-- Refusals stand in the audit log from now on.
DO $$
DECLARE old record;
BEGIN
    FOR old IN SELECT * FROM backfeed_store.refused_action ORDER BY recorded_at LOOP
        PERFORM backfeed_store.audit(old.actor, 'advisory.acknowledge.refused', old.subject,
            jsonb_build_object('reason', old.reason, 'at', old.recorded_at)::text);
    END LOOP;
END $$;
DROP TABLE backfeed_store.refused_action;

-- Gives the audit log an owner that nobody can be, and everything else to the role of the service. Needs a superuser: with
-- a private cluster the service calls it after each migration; elsewhere the administrator does, once after each upgrade.
CREATE FUNCTION backfeed_store.protect(service text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE item record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_audit') THEN
        CREATE ROLE backfeed_audit NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', service);
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), service);
    EXECUTE format('ALTER SCHEMA backfeed OWNER TO %I', service);
    FOR item IN
        SELECT c.oid::regclass AS name, c.relkind AS kind, c.relname LIKE 'audit%' AS is_audit FROM pg_class c
        WHERE c.relnamespace IN ('backfeed'::regnamespace, 'backfeed_store'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm')
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO %I', CASE item.kind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
            item.name, CASE WHEN item.is_audit THEN 'backfeed_audit' ELSE service END);
    END LOOP;
    FOR item IN
        SELECT p.oid::regprocedure AS name, p.proname LIKE 'audit%' OR p.proname = 'protect' AS is_audit FROM pg_proc p
        WHERE p.pronamespace IN ('backfeed'::regnamespace, 'backfeed_store'::regnamespace)
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO %I', item.name, CASE WHEN item.is_audit THEN 'backfeed_audit' ELSE service END);
    END LOOP;
    -- Whoever owns a schema may drop what is in it: this one belongs to the owner of the log, too.
    ALTER SCHEMA backfeed_store OWNER TO backfeed_audit;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA backfeed_store TO %I', service);
    EXECUTE format('REVOKE ALL ON backfeed_store.audit_record, backfeed_store.audit_head FROM PUBLIC, %I', service);
    EXECUTE format('GRANT SELECT ON backfeed_store.audit_record, backfeed_store.audit_head, backfeed.audit TO %I', service);
    EXECUTE format('GRANT EXECUTE ON FUNCTION backfeed_store.audit(text, text, text, text) TO %I', service);
    EXECUTE format('GRANT SELECT ON public.backfeed_migration TO %I', service);
END $$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'backfeed_reader') THEN
        GRANT SELECT ON ALL TABLES IN SCHEMA backfeed TO backfeed_reader;
    END IF;
END $$;
