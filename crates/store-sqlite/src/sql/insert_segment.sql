INSERT INTO segments
    (segment, min_start, max_start, min_duration, max_duration, row_count, heads, max_extent)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
