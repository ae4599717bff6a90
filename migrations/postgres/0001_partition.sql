-- Everything about the requests of one span of time, partitioned by `day`: the first instant of the partition,
-- which is a line of `partitions`. Times and durations are nanoseconds. Names are bytea, since senders may put a
-- zero byte into them and text cannot hold one. What is compressed is not compressed again (EXTERNAL).

-- One row a request. row_id is the writing segment and the row's place in it.
CREATE TABLE requests (
    day             bigint NOT NULL,
    row_id          bigint NOT NULL,
    started_at      bigint NOT NULL,
    duration        bigint NOT NULL,
    extent          bigint NOT NULL,
    interface       bigint NOT NULL,        -- interfaces.id
    status          smallint NOT NULL,
    span_count      integer NOT NULL,
    hop_count       integer NOT NULL,
    service_count   integer NOT NULL,
    error_count     integer NOT NULL,
    flags           integer NOT NULL,
    capped_spans    bigint NOT NULL,
    part_count      integer NOT NULL,       -- further frames, in parts
    check32         integer NOT NULL,       -- of all frames
    trace_id        bytea NOT NULL,
    code            bytea,
    spans           bytea NOT NULL,         -- zstd frames of OTLP TracesData
    PRIMARY KEY (trace_id, day)
) PARTITION BY RANGE (day);
ALTER TABLE requests ALTER COLUMN spans SET STORAGE EXTERNAL;
CREATE INDEX requests_row ON requests (row_id);

-- Frames of requests too large for one row, in order.
CREATE TABLE parts (
    day         bigint NOT NULL,
    n           bigint NOT NULL,
    trace_id    bytea NOT NULL,
    frames      bytea NOT NULL,
    PRIMARY KEY (trace_id, n, day)
) PARTITION BY RANGE (day);
ALTER TABLE parts ALTER COLUMN frames SET STORAGE EXTERNAL;

-- One flushed batch: the bounds and sort keys of the rows it wrote.
CREATE TABLE segments (
    day             bigint NOT NULL,
    segment         bigint NOT NULL,
    min_start       bigint NOT NULL,
    max_start       bigint NOT NULL,
    min_duration    bigint NOT NULL,
    max_duration    bigint NOT NULL,
    row_count       bigint NOT NULL,
    heads           bytea NOT NULL,
    PRIMARY KEY (segment, day)
) PARTITION BY RANGE (day);
ALTER TABLE segments ALTER COLUMN heads SET STORAGE EXTERNAL;
CREATE INDEX segments_newest ON segments (max_start, segment, min_start);
CREATE INDEX segments_slowest ON segments (max_duration, segment, min_start, max_start);

-- Search records: which rows of a segment have a span of an interface, by service, and which values of
-- an attribute occur.
CREATE TABLE records (
    day         bigint NOT NULL,
    service     bigint NOT NULL,            -- least interfaces.id of the service
    segment     bigint NOT NULL,
    bytes       bytea NOT NULL,
    PRIMARY KEY (segment, service, day)
) PARTITION BY RANGE (day);
ALTER TABLE records ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE filters (
    day         bigint NOT NULL,
    key         bigint NOT NULL,            -- 64 bits of XXH3 of the attribute key
    segment     bigint NOT NULL,
    value_count bigint NOT NULL,
    number_min  double precision,
    number_max  double precision,
    bytes       bytea NOT NULL,
    PRIMARY KEY (segment, key, day)
) PARTITION BY RANGE (day);
ALTER TABLE filters ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE interfaces (
    day         bigint NOT NULL,
    id          bigint NOT NULL,
    service     bytea NOT NULL,
    kind        smallint NOT NULL,
    name        bytea NOT NULL,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);

-- Attribute keys for suggestions, as many as fit; nothing is found by them.
CREATE TABLE keys (
    day         bigint NOT NULL,
    key         bytea NOT NULL,
    PRIMARY KEY (key, day)
) PARTITION BY RANGE (day);

-- Spans by interface and the minute (or hour) since 1970 in which they started.
CREATE TABLE rollup_minute (
    day         bigint NOT NULL,
    at          bigint NOT NULL,
    interface   bigint NOT NULL,
    count       bigint NOT NULL,
    errors      bigint NOT NULL,
    sum         bigint NOT NULL,
    left_out    bigint NOT NULL,
    sketch      bytea NOT NULL,
    PRIMARY KEY (at, interface, day)
) PARTITION BY RANGE (day);

CREATE TABLE rollup_hour (
    day         bigint NOT NULL,
    at          bigint NOT NULL,
    interface   bigint NOT NULL,
    count       bigint NOT NULL,
    errors      bigint NOT NULL,
    sum         bigint NOT NULL,
    left_out    bigint NOT NULL,
    sketch      bytea NOT NULL,
    PRIMARY KEY (at, interface, day)
) PARTITION BY RANGE (day);

-- Changes of roll-ups that are not in the tables yet, a batch each.
CREATE TABLE rollup_log (
    day         bigint NOT NULL,
    segment     bigint NOT NULL,
    deltas      bytea NOT NULL,
    PRIMARY KEY (segment, day)
) PARTITION BY RANGE (day);
ALTER TABLE rollup_log ALTER COLUMN deltas SET STORAGE EXTERNAL;
