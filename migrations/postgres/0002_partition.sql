-- Filters of 128 neighbouring segments (a group: segment / 128) as one for each key, so that a value is looked for in
-- few pages. A group that is merged has no filters by segment any more.

-- Groups from merged_from on and before merged_to are merged; earlier ones have filters of schema 1 and stay.
ALTER TABLE partitions
    ADD COLUMN merged_from bigint NOT NULL DEFAULT 0,
    ADD COLUMN merged_to bigint NOT NULL DEFAULT 0;

-- What is known of a key in a group: which segments have it, and between which numbers.
CREATE TABLE merged_keys (
    day         bigint NOT NULL,
    grp         bigint NOT NULL,
    key         bigint NOT NULL,            -- as in filters
    shift       bigint NOT NULL,            -- a value's slice is its hash's first 20 bits without so many
    head        bytea NOT NULL,
    PRIMARY KEY (grp, key, day)
) PARTITION BY RANGE (day);
ALTER TABLE merged_keys ALTER COLUMN head SET STORAGE EXTERNAL;

-- The values: hashes, each with its segment and place.
CREATE TABLE merged (
    day         bigint NOT NULL,
    grp         bigint NOT NULL,
    key         bigint NOT NULL,
    slice       bigint NOT NULL,
    bytes       bytea NOT NULL,
    PRIMARY KEY (grp, key, slice, day)
) PARTITION BY RANGE (day);
ALTER TABLE merged ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Of an interface: which segments of a group have spans of it, which have failed ones, how long the longest takes.
CREATE TABLE outlines (
    day         bigint NOT NULL,
    grp         bigint NOT NULL,
    interface   bigint NOT NULL,            -- interfaces.id
    bytes       bytea NOT NULL,
    PRIMARY KEY (grp, interface, day)
) PARTITION BY RANGE (day);
ALTER TABLE outlines ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- What rows are packed with, and how far the partition was re-packed (store::tables::Packing). Rows of segments
-- before counted_from were written when nobody counted.
ALTER TABLE partitions ADD COLUMN counted_from bigint NOT NULL DEFAULT 0;
ALTER TABLE partitions ADD COLUMN packing bytea NOT NULL DEFAULT '';
UPDATE partitions SET counted_from = newest + 1 WHERE newest > 0;

-- The greatest extent (first start to last end) of a segment's rows, and of a partition's: what ended within a
-- window started no earlier than that before it. Not known of what was written before.
ALTER TABLE segments ADD COLUMN max_extent bigint NOT NULL DEFAULT 9223372036854775807;
ALTER TABLE partitions ADD COLUMN max_extent bigint NOT NULL DEFAULT 0;
UPDATE partitions SET max_extent = 9223372036854775807 WHERE newest > 0;
