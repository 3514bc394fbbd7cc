-- What an operator's changes need: revisions, a second secret during a rotation, groups of keys, tokens of
-- automation, the trail of changes, and answers that are given again.

-- Raised by every change, which names the one that it was decided on.
ALTER TABLE api_key ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
-- The secret before, and until when it is good.
ALTER TABLE api_key ADD COLUMN retiring_digest BLOB;
ALTER TABLE api_key ADD COLUMN retiring_until INTEGER;
-- config_version.keys after the last change of this key: who knows an older version reads only what is newer.
ALTER TABLE api_key ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX api_key_retiring ON api_key (retiring_digest) WHERE retiring_digest IS NOT NULL;
CREATE INDEX api_key_version ON api_key (version);
ALTER TABLE account ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER api_key_created;
DROP TRIGGER api_key_changed;
-- When the first use came is in the settings, with the end that it set.
ALTER TABLE api_key DROP COLUMN activated_at;
CREATE TRIGGER api_key_created AFTER INSERT ON api_key BEGIN
    UPDATE config_version SET keys = keys + 1;
    UPDATE api_key SET version = (SELECT keys FROM config_version) WHERE id = NEW.id;
END;
CREATE TRIGGER api_key_changed
AFTER UPDATE OF digest, settings, revision, retiring_digest, retiring_until ON api_key BEGIN
    UPDATE config_version SET keys = keys + 1;
    UPDATE api_key SET version = (SELECT keys FROM config_version) WHERE id = NEW.id;
END;

CREATE TABLE key_group (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    settings TEXT NOT NULL
) STRICT;

-- A key's limits are its group's too.
CREATE TRIGGER key_group_created AFTER INSERT ON key_group
BEGIN UPDATE config_version SET keys = keys + 1; END;
CREATE TRIGGER key_group_changed AFTER UPDATE ON key_group
BEGIN UPDATE config_version SET keys = keys + 1; END;
CREATE TRIGGER key_group_removed AFTER DELETE ON key_group
BEGIN UPDATE config_version SET keys = keys + 1; END;

CREATE TABLE admin_token (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id TEXT NOT NULL,
    entry TEXT NOT NULL
) STRICT;
CREATE INDEX audit_target ON audit (target_kind, target_id, seq);

-- Answers by the key under which a client asks for something once.
CREATE TABLE idempotency (
    name TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer TEXT,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_until ON idempotency (until);
