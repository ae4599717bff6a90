SELECT r.row_id, r.trace_id, r.started_at, r.flags, r.capped_spans, r.part_count, r.check32, r.spans
FROM json_each(?1) AS wanted
CROSS JOIN requests AS r ON r.row_id = wanted.value
