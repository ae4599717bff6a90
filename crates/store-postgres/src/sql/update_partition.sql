UPDATE partitions
SET newest = $2,
    folded = $3,
    interface_count = interface_count + $4,
    stored = stored + $5,
    duplicate = duplicate + $6,
    left_out = left_out + $7,
    row_count = row_count + $8,
    packed_bytes = packed_bytes + $9,
    min_start = least(min_start, $10),
    max_start = greatest(max_start, $11),
    max_duration = greatest(max_duration, $12),
    packing = $13,
    max_extent = greatest(max_extent, $14)
WHERE from_nanos = $1
