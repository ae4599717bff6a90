UPDATE partitions SET state = 'dropped' WHERE from_nanos = $1 AND state = 'live'
RETURNING stored, duplicate, left_out, row_count, newest
