SELECT from_nanos, to_nanos, name, newest, folded, interface_count, stored, duplicate, left_out,
    row_count, packed_bytes, min_start, max_start, max_duration, n, merged_from, merged_to,
    counted_from, packing, max_extent, thinned,
    coalesce((SELECT n FROM dictionaries ORDER BY n DESC LIMIT 1), 0)
FROM partitions
WHERE state = 'live'
ORDER BY from_nanos
