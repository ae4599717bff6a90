INSERT INTO rollup_log_X (day, segment, deltas) VALUES ($1, $2, $3)
