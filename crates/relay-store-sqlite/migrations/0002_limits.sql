-- What limits need to know. In "usage", scope 3 is a group of API keys.

-- What counts on the budgets of keys and groups.
ALTER TABLE usage ADD COLUMN charged INTEGER NOT NULL DEFAULT 0;
-- What counts on a weekly budget of Claude models: of an account the cost, of others the charge.
ALTER TABLE usage ADD COLUMN claude INTEGER NOT NULL DEFAULT 0;
-- Before there were rates of a key, it was charged what the provider was.
UPDATE usage SET charged = cost;

-- Rate windows that were open when they were last written. scope: as in "usage".
CREATE TABLE rate_window (
    scope INTEGER NOT NULL,
    id TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;

-- When limits were last started anew, and what had been counted in all until then, which weighs on none of
-- them any more.
CREATE TABLE limit_restart (
    scope INTEGER NOT NULL,
    id TEXT NOT NULL,
    restarted_at INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    claude INTEGER NOT NULL,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;

-- What accounts have spent in days that do not begin on the hour. Any other period follows from "usage".
CREATE TABLE account_day (
    account TEXT NOT NULL,
    day TEXT NOT NULL,
    cost INTEGER NOT NULL,
    PRIMARY KEY (account, day)
) STRICT, WITHOUT ROWID;
