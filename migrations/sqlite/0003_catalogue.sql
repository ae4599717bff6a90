-- catalogue.db: what retention did and why, how far partitions are thinned, requests kept by hand.

-- Partitions that hold only what is kept longest: the kinds of requests that retention has taken out, as bits
-- (1 the rest, 2 slow ones, 4 those with an error).
CREATE TABLE thinned (
    name    TEXT PRIMARY KEY,
    past    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A line a reason, added up. The total of rows since before this table stands in `dropped`.
CREATE TABLE retained (
    reason          TEXT PRIMARY KEY CHECK (reason IN ('age', 'size', 'outcome')),
    partitions      INTEGER NOT NULL,
    row_count       INTEGER NOT NULL,
    bytes           INTEGER NOT NULL,
    pinned          INTEGER NOT NULL,       -- of the rows those that were to be kept by hand
    at              INTEGER NOT NULL        -- the last time
) STRICT, WITHOUT ROWID;

-- Requests that retention leaves alone. They need not have a row yet.
CREATE TABLE pins (
    trace_id    BLOB PRIMARY KEY,
    pinned_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The catalogue's second step.
PRAGMA user_version = 2;
