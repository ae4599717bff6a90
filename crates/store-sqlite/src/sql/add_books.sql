UPDATE books
SET stored = stored + ?1,
    duplicate = duplicate + ?2,
    left_out = left_out + ?3,
    row_count = row_count + ?4,
    packed_bytes = packed_bytes + ?5,
    packing = ?6,
    max_extent = max(max_extent, ?7)
WHERE one = 1
