-- What records are searched by; the index has all of it, so that a search reads no record that it does
-- not find.
ALTER TABLE request ADD COLUMN key_id TEXT;
ALTER TABLE request ADD COLUMN account_id TEXT;
ALTER TABLE request ADD COLUMN model TEXT;
ALTER TABLE request ADD COLUMN served_model TEXT;
ALTER TABLE request ADD COLUMN status INTEGER;
ALTER TABLE request ADD COLUMN outcome TEXT;
ALTER TABLE request ADD COLUMN cost INTEGER;
UPDATE request SET
    key_id = record ->> '$.key',
    account_id = record ->> '$.account',
    model = record ->> '$.model',
    served_model = record ->> '$.served_model',
    status = record ->> '$.status',
    outcome = record ->> '$.outcome',
    cost = record ->> '$.cost';
CREATE INDEX request_search
    ON request (id, key_id, account_id, model, served_model, status, outcome, cost);

-- Statistics, in the form of `relay_store::statistics`. Hours are counted from the first of 1970 in the
-- operator's calendar.
CREATE TABLE statistics_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    state TEXT NOT NULL
) STRICT;

-- What commits have counted since it was last folded into segments.
CREATE TABLE statistics_fresh (
    seq INTEGER PRIMARY KEY,
    hour INTEGER NOT NULL,
    cells BLOB NOT NULL
) STRICT;

-- kind: 0 hour, 1 day, 2 day by account and model, 3 month by key and model, 4 month by account and model.
CREATE TABLE statistics_segment (
    kind INTEGER NOT NULL,
    start INTEGER NOT NULL,
    part INTEGER NOT NULL,
    cells BLOB NOT NULL,
    PRIMARY KEY (kind, start, part)
) STRICT;
