-- What a key was charged for Claude models in a week, beyond what "usage" has of the week's days and hours: it
-- came from a store that keeps it by the week alone.
CREATE TABLE claude_week (
    key TEXT NOT NULL,
    week TEXT NOT NULL,
    charged INTEGER NOT NULL,
    PRIMARY KEY (key, week)
) STRICT, WITHOUT ROWID;
