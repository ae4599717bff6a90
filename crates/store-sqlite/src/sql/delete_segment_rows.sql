DELETE FROM requests WHERE row_id >= ?1 AND row_id < ?2
