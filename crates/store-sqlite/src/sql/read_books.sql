SELECT stored, duplicate, left_out, row_count, packed_bytes, counted_from, packing,
    max_extent
FROM books
WHERE one = 1
