SELECT row_id, trace_id, started_at, flags, capped_spans, part_count, check32, spans, duration,
    extent, interface, status, code, span_count, hop_count, service_count, error_count
FROM requests_X
WHERE row_id >= $1 AND row_id < $2
ORDER BY row_id
