SELECT s.segment, s.max_extent, s.heads
FROM unnest($1::bigint[]) AS wanted (segment)
CROSS JOIN LATERAL (
    SELECT * FROM segments_X AS s
    WHERE s.segment >= wanted.segment
    ORDER BY s.segment
    LIMIT 1
) AS s
WHERE s.segment = wanted.segment
