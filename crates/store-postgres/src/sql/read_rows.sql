SELECT row_id, trace_id, started_at, flags, capped_spans, part_count, check32, spans
FROM requests_X
WHERE row_id = ANY ($1)
