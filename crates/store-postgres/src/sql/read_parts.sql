SELECT frames FROM parts_X WHERE trace_id = $1 AND n < $2 ORDER BY n
