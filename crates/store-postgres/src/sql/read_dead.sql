SELECT relname::text
FROM pg_stat_user_tables
WHERE schemaname = 'hoplog' AND n_dead_tup >= 64 AND n_dead_tup * 4 >= n_live_tup
    AND pg_total_relation_size(relid) < $1
ORDER BY relname
