-- A commit that settles requests keeps their records; their counters in "usage" are added up from them
-- some time later, in one go. Until then a record is beyond the last that was counted.
ALTER TABLE request ADD COLUMN counted_at INTEGER;

CREATE TABLE counted (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO counted (one, seq) SELECT 1, coalesce(max(seq), 0) FROM request;
