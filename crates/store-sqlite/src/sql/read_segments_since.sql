SELECT segment, min_start, max_start, min_duration, max_duration, heads, max_extent
FROM segments
WHERE segment > ?1
ORDER BY segment
LIMIT ?2
