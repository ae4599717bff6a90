-- Filters of 128 neighbouring segments (a group: segment / 128) as one for each key, so that a value is looked for in
-- few pages. A group that is merged has no filters by segment any more.

-- One row: groups from from_group on and before to_group are merged; earlier ones have filters of schema 1 and stay.
CREATE TABLE merging (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    from_group  INTEGER NOT NULL,
    to_group    INTEGER NOT NULL
) STRICT;
INSERT INTO merging VALUES (1, 0, 0);

-- What is known of a key in a group: which segments have it, and between which numbers.
CREATE TABLE merged_keys (
    grp         INTEGER NOT NULL,
    key         INTEGER NOT NULL,           -- as in filters
    shift       INTEGER NOT NULL,           -- a value's slice is its hash's first 20 bits without so many
    head        BLOB NOT NULL,
    PRIMARY KEY (grp, key)
) STRICT, WITHOUT ROWID;

-- The values: hashes, each with its segment and place.
CREATE TABLE merged (
    grp         INTEGER NOT NULL,
    key         INTEGER NOT NULL,
    slice       INTEGER NOT NULL,
    bytes       BLOB NOT NULL,
    PRIMARY KEY (grp, key, slice)
) STRICT, WITHOUT ROWID;

-- Of an interface: which segments of a group have spans of it, which have failed ones, how long the longest takes.
CREATE TABLE outlines (
    grp         INTEGER NOT NULL,
    interface   INTEGER NOT NULL,           -- interfaces.id
    bytes       BLOB NOT NULL,
    PRIMARY KEY (grp, interface)
) STRICT, WITHOUT ROWID;

-- What rows are packed with, and how far the partition was re-packed (store::tables::Packing). Rows of segments
-- before counted_from were written when nobody counted.
ALTER TABLE books ADD COLUMN counted_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE books ADD COLUMN packing BLOB NOT NULL DEFAULT x'';
UPDATE books SET counted_from = coalesce((SELECT max(segment) + 1 FROM segments), 0);

-- The greatest extent (first start to last end) of a segment's rows, and of a partition's: what ended within a
-- window started no earlier than that before it. Not known of what was written before.
ALTER TABLE segments ADD COLUMN max_extent INTEGER NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE books ADD COLUMN max_extent INTEGER NOT NULL DEFAULT 0;
UPDATE books SET max_extent = 9223372036854775807 WHERE EXISTS (SELECT 1 FROM segments);

PRAGMA user_version = 2;
