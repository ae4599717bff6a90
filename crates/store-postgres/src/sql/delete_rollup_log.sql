DELETE FROM rollup_log_X WHERE segment <= $1
