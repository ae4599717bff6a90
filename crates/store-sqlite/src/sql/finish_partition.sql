UPDATE partitions SET state = 'live' WHERE name = ?1
