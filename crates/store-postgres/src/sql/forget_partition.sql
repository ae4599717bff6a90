DELETE FROM partitions WHERE from_nanos = $1 AND state = 'dropped'
