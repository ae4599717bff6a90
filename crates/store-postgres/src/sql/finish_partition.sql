UPDATE partitions
SET state = 'live',
    thinned = $2,
    newest = $3,
    folded = $3,
    interface_count = $4,
    stored = $5,
    duplicate = $6,
    left_out = $7,
    row_count = $8,
    packed_bytes = $9,
    min_start = $10,
    max_start = $11,
    max_duration = $12,
    max_extent = $13,
    packing = $14,
    merged_from = $15,
    merged_to = $15
WHERE from_nanos = $1 AND state = 'dropped'
