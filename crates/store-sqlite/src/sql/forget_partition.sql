DELETE FROM partitions WHERE name = ?1
