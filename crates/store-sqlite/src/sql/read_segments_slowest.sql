SELECT json_group_array(json_array(segment, max_duration, min_start, max_start))
FROM (
    SELECT segment, max_duration, min_start, max_start
    FROM segments INDEXED BY segments_slowest
    WHERE (max_duration, segment) < (?1, ?2) AND max_start >= ?3 AND min_start <= ?4
    ORDER BY max_duration DESC, segment DESC
    LIMIT ?5
)
