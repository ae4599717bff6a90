-- What rows are packed with, and how far the partition was re-packed (store::tables::Packing). Rows of segments
-- before counted_from were written when nobody counted.
ALTER TABLE partitions ADD COLUMN counted_from bigint NOT NULL DEFAULT 0;
ALTER TABLE partitions ADD COLUMN packing bytea NOT NULL DEFAULT '';
UPDATE partitions SET counted_from = newest + 1 WHERE newest > 0;
