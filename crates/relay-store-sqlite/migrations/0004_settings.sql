-- What an operator has set while Relay runs, whole documents by name.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
