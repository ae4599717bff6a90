SELECT row_id, trace_id, started_at, flags, capped_spans, part_count, check32, spans
FROM requests_X
WHERE row_id >= $1
ORDER BY row_id DESC
LIMIT $2
