-- What an operator should hear of. An id begins with the moment, so that it sorts by time; at most some
-- thousands are kept, so that no other index is worth its writes.
CREATE TABLE event (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    key_id TEXT,
    group_id TEXT,
    account_id TEXT,
    event TEXT NOT NULL
) STRICT, WITHOUT ROWID;
