UPDATE partitions
SET packed_bytes = packed_bytes - $2,
    packing = $3
WHERE from_nanos = $1
