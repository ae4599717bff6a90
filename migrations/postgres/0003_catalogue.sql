-- What retention did and why, how far partitions are thinned, requests kept by hand.

-- The kinds of requests that retention has taken out of the partition, as bits (1 the rest, 2 slow ones, 4 those with
-- an error). `from_nanos` is from here on the value of `day`: beside the first instant it tells generations apart,
-- since a thinned partition takes the place of another one for the same time.
ALTER TABLE partitions ADD COLUMN thinned smallint NOT NULL DEFAULT 0;

-- A line a reason, added up. The total of rows since before this table stands in `dropped`.
CREATE TABLE retained (
    reason          text PRIMARY KEY CHECK (reason IN ('age', 'size', 'outcome')),
    partitions      bigint NOT NULL,
    row_count       bigint NOT NULL,
    bytes           bigint NOT NULL,
    pinned          bigint NOT NULL,        -- of the rows those that were to be kept by hand
    at              bigint NOT NULL         -- the last time
);

-- Requests that retention leaves alone. They need not have a row yet.
CREATE TABLE pins (
    trace_id    bytea PRIMARY KEY,
    pinned_at   bigint NOT NULL
);

-- One row: how many pins there are, and another number after every change. Whoever changes pins holds it.
CREATE TABLE pin_state (
    one         integer PRIMARY KEY CHECK (one = 1),
    pins        bigint NOT NULL,
    changes     bigint NOT NULL
);
INSERT INTO pin_state VALUES (1, 0, 0);
