SELECT frames FROM parts WHERE trace_id = ?1 AND n < ?2 ORDER BY n
