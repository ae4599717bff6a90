SELECT s.segment, s.max_extent, s.heads
FROM json_each(?1) AS wanted
CROSS JOIN segments AS s ON s.segment = wanted.value
