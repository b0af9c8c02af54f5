-- Times are seconds since 1970-01-01 UTC. Keys are SHA-256 hashes.

-- A session that was deleted stays as a tombstone (`sealed` is null) for a while,
-- so that its key cannot be used again.
CREATE TABLE portcullis_sessions (
    key           bytea PRIMARY KEY CHECK (length(key) = 32),
    version       bigint NOT NULL,
    sealed        bytea,
    subject_index bytea CHECK (length(subject_index) = 32),
    sid_index     bytea CHECK (length(sid_index) = 32),
    created       bigint NOT NULL,
    idle_expires  bigint NOT NULL,
    expires       bigint NOT NULL,
    CHECK (idle_expires <= expires)
);

CREATE INDEX portcullis_sessions_by_subject ON portcullis_sessions (subject_index) WHERE subject_index IS NOT NULL;
CREATE INDEX portcullis_sessions_by_sid ON portcullis_sessions (sid_index) WHERE sid_index IS NOT NULL;
CREATE INDEX portcullis_sessions_by_end ON portcullis_sessions (idle_expires);

-- `fencing` is the last number that was issued for the name; a lease that was given back has expired.
CREATE SEQUENCE portcullis_fencing;

CREATE TABLE portcullis_leases (
    name    bytea PRIMARY KEY CHECK (length(name) = 32),
    fencing bigint NOT NULL,
    holder  text NOT NULL,
    expires bigint NOT NULL
);

CREATE TABLE portcullis_replay_marks (
    id      bytea PRIMARY KEY CHECK (length(id) = 32),
    expires bigint NOT NULL
);

CREATE INDEX portcullis_replay_marks_by_end ON portcullis_replay_marks (expires);

CREATE TABLE portcullis_revocations (
    sequence bigint PRIMARY KEY,
    body     text NOT NULL,
    expires  bigint NOT NULL
);

CREATE INDEX portcullis_revocations_by_end ON portcullis_revocations (expires);

CREATE TABLE portcullis_counters (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);

INSERT INTO portcullis_counters (name, value) VALUES ('revocations', 0), ('removals', 0);
