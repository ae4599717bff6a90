SELECT max_start, segment
FROM segments INDEXED BY segments_newest
WHERE (max_start, segment) < (?1, ?2) AND max_start >= ?3 AND min_start < ?4
ORDER BY max_start DESC, segment DESC
LIMIT ?5
