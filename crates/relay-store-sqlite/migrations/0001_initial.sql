-- Moments are milliseconds since 1970, money is nano-dollars.
-- What only Relay reads as a whole is JSON; what is looked up, ordered or added up is a column.

-- Raised by the triggers below, so that no change can forget to.
CREATE TABLE config_version (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    keys INTEGER NOT NULL,
    accounts INTEGER NOT NULL
) STRICT;
INSERT INTO config_version (one, keys, accounts) VALUES (1, 0, 0);

CREATE TABLE admin (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    username TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    session_epoch INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    -- When a first use last set the end of the key.
    activated_at INTEGER,
    -- As it was when the key was added; later use is dated in "usage".
    last_used_at INTEGER,
    settings TEXT NOT NULL
) STRICT;

CREATE TABLE account (
    id TEXT PRIMARY KEY,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- As it was when the account was added; later use is dated in "usage".
    last_used_at INTEGER,
    settings TEXT NOT NULL,
    health TEXT NOT NULL
) STRICT;

CREATE TRIGGER api_key_created AFTER INSERT ON api_key
BEGIN UPDATE config_version SET keys = keys + 1; END;
CREATE TRIGGER api_key_changed AFTER UPDATE ON api_key
BEGIN UPDATE config_version SET keys = keys + 1; END;
CREATE TRIGGER api_key_removed AFTER DELETE ON api_key
BEGIN UPDATE config_version SET keys = keys + 1; END;
CREATE TRIGGER account_created AFTER INSERT ON account
BEGIN UPDATE config_version SET accounts = accounts + 1; END;
CREATE TRIGGER account_changed AFTER UPDATE ON account
BEGIN UPDATE config_version SET accounts = accounts + 1; END;
CREATE TRIGGER account_removed AFTER DELETE ON account
BEGIN UPDATE config_version SET accounts = accounts + 1; END;

-- Requests that are admitted and not settled.
CREATE TABLE hold (
    request BLOB PRIMARY KEY,
    lease_until INTEGER NOT NULL,
    hold TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Settled requests, in the order of their settlement.
CREATE TABLE request (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT;

-- kind: 0 total, 1 month, 2 day, 3 hour. scope: 0 API key, 1 account, 2 model.
-- Ordered so that what is written at the same time lies side by side.
CREATE TABLE usage (
    kind INTEGER NOT NULL,
    period TEXT NOT NULL,
    scope INTEGER NOT NULL,
    id TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input INTEGER NOT NULL,
    output INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    unpriced_requests INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (kind, period, scope, id)
) STRICT, WITHOUT ROWID;

-- Conversations and their accounts.
CREATE TABLE binding (
    affinity TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX binding_until ON binding (until);
