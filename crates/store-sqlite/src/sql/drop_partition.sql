UPDATE partitions SET state = 'dropped' WHERE name = ?1
