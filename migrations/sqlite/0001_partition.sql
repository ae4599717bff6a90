-- p-<first instant>.db: everything about the requests of one span of time. Copying the file is a backup.
-- Times and durations are nanoseconds; rows keep all 64 bits, segments stop at the greatest INTEGER.

CREATE TABLE meta (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    from_nanos  INTEGER NOT NULL,
    to_nanos    INTEGER NOT NULL
) STRICT;

-- One row a request. row_id is the writing segment and the row's place in it.
CREATE TABLE requests (
    row_id          INTEGER PRIMARY KEY,
    trace_id        BLOB NOT NULL UNIQUE,
    started_at      INTEGER NOT NULL,
    duration        INTEGER NOT NULL,
    extent          INTEGER NOT NULL,
    interface       INTEGER NOT NULL,       -- interfaces.id
    status          INTEGER NOT NULL,
    code            TEXT,
    span_count      INTEGER NOT NULL,
    hop_count       INTEGER NOT NULL,
    service_count   INTEGER NOT NULL,
    error_count     INTEGER NOT NULL,
    flags           INTEGER NOT NULL,
    capped_spans    INTEGER NOT NULL,
    part_count      INTEGER NOT NULL,       -- further frames, in parts
    check32         INTEGER NOT NULL,       -- of all frames
    spans           BLOB NOT NULL           -- zstd frames of OTLP TracesData
) STRICT;

-- Frames of requests too large for one row, in order.
CREATE TABLE parts (
    trace_id    BLOB NOT NULL,
    n           INTEGER NOT NULL,
    frames      BLOB NOT NULL,
    UNIQUE (trace_id, n)
) STRICT;

-- One flushed batch: the bounds and sort keys of the rows it wrote.
CREATE TABLE segments (
    segment         INTEGER PRIMARY KEY,
    min_start       INTEGER NOT NULL,
    max_start       INTEGER NOT NULL,
    min_duration    INTEGER NOT NULL,
    max_duration    INTEGER NOT NULL,
    row_count       INTEGER NOT NULL,
    heads           BLOB NOT NULL
) STRICT;
CREATE INDEX segments_newest ON segments (max_start, segment, min_start);
CREATE INDEX segments_slowest ON segments (max_duration, segment, min_start, max_start);
CREATE INDEX segments_oldest ON segments (min_start);

-- Search records: which rows of a segment have a span of an interface, by service, and which values of
-- an attribute occur. bin = segment / 16: few pages to write a batch, few to read a search. What is
-- small stands in bytes; what is not, in the segment's area from start on.
CREATE TABLE records (
    bin         INTEGER NOT NULL,
    service     INTEGER NOT NULL,           -- least interfaces.id of the service
    segment     INTEGER NOT NULL,
    start       INTEGER,
    length      INTEGER NOT NULL,
    bytes       BLOB,
    PRIMARY KEY (bin, service, segment)
) STRICT, WITHOUT ROWID;

CREATE TABLE filters (
    bin         INTEGER NOT NULL,
    key         INTEGER NOT NULL,           -- 64 bits of XXH3 of the attribute key
    segment     INTEGER NOT NULL,
    value_count INTEGER NOT NULL,
    number_min  REAL,
    number_max  REAL,
    start       INTEGER,
    length      INTEGER NOT NULL,
    bytes       BLOB,
    PRIMARY KEY (bin, key, segment)
) STRICT, WITHOUT ROWID;

-- The larger search records of a segment one after the other, cut so that four pieces fill a page. Only
-- ever appended to.
CREATE TABLE area (
    piece       INTEGER PRIMARY KEY,        -- segment * 65536 + place in the segment's area
    bytes       BLOB NOT NULL
) STRICT;

-- For every request of a batch the last inbox position taken; gone once the checkpoint has passed.
CREATE TABLE upto (
    segment     INTEGER PRIMARY KEY,
    upto_max    INTEGER NOT NULL,
    requests    BLOB NOT NULL               -- 16 bytes trace id, 8 bytes position (big-endian) each
) STRICT;
CREATE INDEX upto_max ON upto (upto_max);

CREATE TABLE interfaces (
    id          INTEGER PRIMARY KEY,
    service     TEXT NOT NULL,
    kind        INTEGER NOT NULL,
    name        TEXT NOT NULL
) STRICT;

-- Attribute keys for suggestions, as many as fit; nothing is found by them.
CREATE TABLE keys (
    key         TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Spans by interface and the minute (or hour) since 1970 in which they started. By time first, so
-- that what is being written lies together.
CREATE TABLE rollup_minute (
    at          INTEGER NOT NULL,
    interface   INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    sum         INTEGER NOT NULL,
    left_out    INTEGER NOT NULL,
    sketch      BLOB NOT NULL,
    PRIMARY KEY (at, interface)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_hour (
    at          INTEGER NOT NULL,
    interface   INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    sum         INTEGER NOT NULL,
    left_out    INTEGER NOT NULL,
    sketch      BLOB NOT NULL,
    PRIMARY KEY (at, interface)
) STRICT, WITHOUT ROWID;

-- Changes of roll-ups that are not in the tables yet, a batch each.
CREATE TABLE rollup_log (
    segment     INTEGER PRIMARY KEY,
    deltas      BLOB NOT NULL
) STRICT;

-- One row: what became of the spans written to this partition, and figures kept beside it.
CREATE TABLE books (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    stored          INTEGER NOT NULL,
    duplicate       INTEGER NOT NULL,
    left_out        INTEGER NOT NULL,
    row_count       INTEGER NOT NULL,
    packed_bytes    INTEGER NOT NULL
) STRICT;
INSERT INTO books VALUES (1, 0, 0, 0, 0, 0);

-- Requests a policy left out; kept for an hour so that late spans follow.
CREATE TABLE decisions (
    trace_id    BLOB PRIMARY KEY,
    outcome     TEXT NOT NULL CHECK (outcome IN ('count_only', 'drop')),
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX decisions_at ON decisions (at);

-- Every dictionary that a frame in this file was packed with.
CREATE TABLE dictionaries (
    n           INTEGER PRIMARY KEY,        -- in the order in which they came
    id          INTEGER NOT NULL UNIQUE,    -- as in the frames' headers
    added_at    INTEGER NOT NULL,
    density     REAL,                       -- raw bytes a packed byte when trained here; NULL: copied here
    bytes       BLOB NOT NULL
) STRICT;

PRAGMA user_version = 1;
