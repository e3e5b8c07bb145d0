-- Who is told of advisory events by HTTP. Each webhook has its own place in the events: one that is down holds up no other.
CREATE TABLE backfeed_store.webhook (
    name text PRIMARY KEY,
    url text NOT NULL,
    secret text NOT NULL,
    -- told of this severity and worse
    severity int2 NOT NULL,
    -- null: all
    feeder text,
    -- number of the last event that is done with
    done int8 NOT NULL,
    attempts int4 NOT NULL DEFAULT 0,
    failing_since timestamptz,
    problem text,
    delivered_at timestamptz,
    added_by text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);

-- Events that a webhook did not take for as long as it was tried.
CREATE TABLE backfeed_store.webhook_dead_letter (
    webhook text NOT NULL REFERENCES backfeed_store.webhook ON DELETE CASCADE,
    sequence int8 NOT NULL REFERENCES backfeed_store.advisory_event,
    attempts int4 NOT NULL,
    problem text NOT NULL,
    given_up_at timestamptz NOT NULL DEFAULT now(),
    -- to be tried again
    again bool NOT NULL DEFAULT false,
    PRIMARY KEY (webhook, sequence)
);
CREATE INDEX webhook_dead_letter_again ON backfeed_store.webhook_dead_letter (webhook, sequence) WHERE again;
