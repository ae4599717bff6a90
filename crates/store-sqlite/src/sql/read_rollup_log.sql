SELECT segment, deltas FROM rollup_log ORDER BY segment
