-- What rows are packed with, and how far the partition was re-packed (store::tables::Packing). Rows of segments
-- before counted_from were written when nobody counted.
ALTER TABLE books ADD COLUMN counted_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE books ADD COLUMN packing BLOB NOT NULL DEFAULT x'';
UPDATE books SET counted_from = coalesce((SELECT max(segment) + 1 FROM segments), 0);

PRAGMA user_version = 3;
