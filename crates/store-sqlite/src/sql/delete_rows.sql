DELETE FROM requests WHERE row_id IN (SELECT value FROM json_each(?1))
