SELECT n, id, density, bytes, added_at FROM dictionaries WHERE n > $1 ORDER BY n
