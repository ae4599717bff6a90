DELETE FROM rollup_log WHERE segment <= ?1
