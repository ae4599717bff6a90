SELECT r.trace_id, r.row_id
FROM json_each(?1) AS wanted
CROSS JOIN requests AS r ON r.trace_id = unhex(wanted.value)
