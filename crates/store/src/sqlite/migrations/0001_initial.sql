-- Times are seconds since 1970-01-01 UTC. Keys are SHA-256 hashes.

-- A session that was deleted stays as a tombstone (`sealed` is null) for a while,
-- so that its key cannot be used again.
CREATE TABLE sessions (
    key           BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    version       INTEGER NOT NULL,
    sealed        BLOB,
    subject_index BLOB CHECK (length(subject_index) = 32),
    sid_index     BLOB CHECK (length(sid_index) = 32),
    created       INTEGER NOT NULL,
    idle_expires  INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    CHECK (idle_expires <= expires)
) STRICT;

CREATE INDEX sessions_by_subject ON sessions (subject_index) WHERE subject_index IS NOT NULL;
CREATE INDEX sessions_by_sid ON sessions (sid_index) WHERE sid_index IS NOT NULL;
CREATE INDEX sessions_by_end ON sessions (idle_expires);

-- `fencing` is the last number that was issued for the name; a lease that was given back has expired.
CREATE TABLE leases (
    name    BLOB NOT NULL PRIMARY KEY CHECK (length(name) = 32),
    fencing INTEGER NOT NULL,
    holder  TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE replay_marks (
    id      BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX replay_marks_by_end ON replay_marks (expires);

-- AUTOINCREMENT: a number is never issued twice, also not after a removal.
CREATE TABLE revocations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    body     TEXT NOT NULL,
    expires  INTEGER NOT NULL
) STRICT;

CREATE INDEX revocations_by_end ON revocations (expires);

CREATE TABLE counters (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('fencing', 0), ('removals', 0);
