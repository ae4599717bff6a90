DELETE FROM pins WHERE trace_id = ?1
