-- Groups of accounts, to which keys can be bound.
CREATE TABLE account_group (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER,
    revision INTEGER NOT NULL
) STRICT;

-- Changed together with the group's revision only.
CREATE TABLE account_group_member (
    account_group TEXT NOT NULL,
    account TEXT NOT NULL,
    PRIMARY KEY (account_group, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX account_group_member_account ON account_group_member (account);

-- Who is in a group decides which accounts serve a key.
CREATE TRIGGER account_group_created AFTER INSERT ON account_group
BEGIN UPDATE config_version SET accounts = accounts + 1; END;
CREATE TRIGGER account_group_changed AFTER UPDATE ON account_group
BEGIN UPDATE config_version SET accounts = accounts + 1; END;
CREATE TRIGGER account_group_removed AFTER DELETE ON account_group BEGIN
    DELETE FROM account_group_member WHERE account_group = OLD.id;
    UPDATE config_version SET accounts = accounts + 1;
END;
CREATE TRIGGER account_leaves_its_groups AFTER DELETE ON account BEGIN
    UPDATE account_group SET revision = revision + 1
    WHERE id IN (SELECT account_group FROM account_group_member WHERE account = OLD.id);
    DELETE FROM account_group_member WHERE account = OLD.id;
END;
