SELECT segment, deltas FROM rollup_log_X WHERE segment > $1 AND segment <= $2 ORDER BY segment
