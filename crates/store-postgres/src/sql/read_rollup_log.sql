SELECT segment, deltas FROM rollup_log_X WHERE segment > $1 ORDER BY segment
