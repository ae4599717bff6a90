INSERT INTO retained AS r (reason, partitions, row_count, bytes, pinned, at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (reason) DO UPDATE
SET partitions = r.partitions + excluded.partitions,
    row_count = r.row_count + excluded.row_count,
    bytes = r.bytes + excluded.bytes,
    pinned = r.pinned + excluded.pinned,
    at = greatest(r.at, excluded.at)
