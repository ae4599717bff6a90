-- Which partitions there are, how far each inbox has become rows, what retention dropped. Everything lies in the
-- schema `hoplog`.

-- One line a partition: its figures, and the lock under which batches are written to it, so that segments are
-- numbered in the order in which they are committed.
CREATE TABLE partitions (
    from_nanos      bigint PRIMARY KEY,     -- first instant it is for
    to_nanos        bigint NOT NULL,        -- first instant it is no longer for
    name            text NOT NULL,          -- ending of its tables' names
    state           text NOT NULL CHECK (state IN ('live', 'dropped')),
    n               bigint GENERATED ALWAYS AS IDENTITY,    -- never used again, unlike the name
    newest          bigint NOT NULL DEFAULT 0,  -- the greatest segment
    folded          bigint NOT NULL DEFAULT 0,  -- up to this one, rollup_log is in the tables
    interface_count bigint NOT NULL DEFAULT 0,
    stored          bigint NOT NULL DEFAULT 0,
    duplicate       bigint NOT NULL DEFAULT 0,
    left_out        bigint NOT NULL DEFAULT 0,
    row_count       bigint NOT NULL DEFAULT 0,
    packed_bytes    bigint NOT NULL DEFAULT 0,
    min_start       bigint,
    max_start       bigint,
    max_duration    bigint
) WITH (fillfactor = 50);

-- Books and rows of dropped partitions, added up. One row.
CREATE TABLE dropped (
    one         integer PRIMARY KEY CHECK (one = 1),
    stored      bigint NOT NULL,
    duplicate   bigint NOT NULL,
    left_out    bigint NOT NULL,
    row_count   bigint NOT NULL
);
INSERT INTO dropped VALUES (1, 0, 0, 0, 0);

-- Each collector: how far its inbox has become rows, and what became of the spans it wrote. The position is
-- Position::to_u64.
CREATE TABLE collectors (
    writer          text PRIMARY KEY,
    position        bigint NOT NULL DEFAULT 0,
    inbox_totals    bytea NOT NULL DEFAULT '',
    stored          bigint NOT NULL DEFAULT 0,
    duplicate       bigint NOT NULL DEFAULT 0,
    left_out        bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- For every request of a batch the last inbox position taken; gone once the checkpoint has passed.
CREATE TABLE upto (
    writer      text NOT NULL,
    upto_max    bigint NOT NULL,
    day         bigint NOT NULL,
    segment     bigint NOT NULL,
    n           bigint GENERATED ALWAYS AS IDENTITY,
    requests    bytea NOT NULL,             -- 16 bytes trace id, 8 bytes position (big-endian) each
    PRIMARY KEY (writer, upto_max, n)
);
ALTER TABLE upto ALTER COLUMN requests SET STORAGE EXTERNAL;

-- Requests a policy left out; kept for an hour so that late spans follow.
CREATE TABLE decisions (
    trace_id    bytea PRIMARY KEY,
    outcome     text NOT NULL CHECK (outcome IN ('count_only', 'drop')),
    at          bigint NOT NULL
);
CREATE INDEX decisions_at ON decisions (at);

-- Every dictionary that a frame may be packed with; the newest packs.
CREATE TABLE dictionaries (
    n           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          bigint NOT NULL UNIQUE,     -- as in the frames' headers
    added_at    bigint NOT NULL,
    density     double precision,           -- raw bytes a packed byte when trained
    bytes       bytea NOT NULL
);
