SELECT segment, max_start, min_start, max_start
FROM segments_X
WHERE segment > $1
ORDER BY segment
LIMIT $2
