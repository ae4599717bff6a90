SELECT trace_id, row_id FROM requests_X WHERE trace_id = ANY ($1)
