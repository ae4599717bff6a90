INSERT INTO retained (reason, partitions, row_count, bytes, pinned, at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (reason) DO UPDATE
SET partitions = partitions + excluded.partitions,
    row_count = row_count + excluded.row_count,
    bytes = bytes + excluded.bytes,
    pinned = pinned + excluded.pinned,
    at = max(at, excluded.at)
