SELECT segment, max_start, min_start, max_start
FROM segments_X
WHERE (max_start, segment) < ($1, $2) AND max_start >= $3 AND min_start <= $4
ORDER BY max_start DESC, segment DESC
LIMIT $5
