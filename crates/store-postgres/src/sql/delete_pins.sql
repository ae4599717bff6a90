DELETE FROM pins WHERE trace_id = ANY ($1)
