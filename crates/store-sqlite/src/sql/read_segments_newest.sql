SELECT json_group_array(json_array(segment, max_start, min_start, max_start))
FROM (
    SELECT segment, max_start, min_start
    FROM segments INDEXED BY segments_newest
    WHERE (max_start, segment) < (?1, ?2) AND max_start >= ?3 AND min_start <= ?4
    ORDER BY max_start DESC, segment DESC
    LIMIT ?5
)
