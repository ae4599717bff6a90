SELECT trace_id FROM pins
