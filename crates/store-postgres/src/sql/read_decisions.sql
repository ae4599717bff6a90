SELECT trace_id, outcome, at FROM decisions WHERE at >= $1
