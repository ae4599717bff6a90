INSERT INTO rollup_log (segment, deltas) VALUES (?1, ?2)
