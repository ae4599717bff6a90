SELECT trace_id FROM pins WHERE trace_id = ANY ($1)
