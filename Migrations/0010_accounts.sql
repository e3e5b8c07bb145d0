-- Who may look, act and administer. Secrets are kept as digests (tokens, sessions) and argon2id (passwords).
CREATE TABLE backfeed_store.account (
    name text PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'engineer', 'supervisor', 'admin', 'machine')),
    -- null: it has tokens only
    password text,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    revoked_by text,
    revoked_at timestamptz
);

CREATE TABLE backfeed_store.access_token (
    -- SHA-256 of the token
    digest text PRIMARY KEY,
    account text NOT NULL REFERENCES backfeed_store.account,
    note text NOT NULL,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    used_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE backfeed_store.console_session (
    digest text PRIMARY KEY,
    account text NOT NULL REFERENCES backfeed_store.account,
    opened_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
