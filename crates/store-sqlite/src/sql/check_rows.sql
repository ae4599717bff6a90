SELECT row_id, trace_id, started_at, duration, extent, interface, status, code, span_count,
    hop_count, service_count, error_count, flags, capped_spans, part_count, check32, spans
FROM requests
WHERE row_id >= ?1 AND row_id < ?2
ORDER BY row_id
