SELECT n, id, density, bytes FROM dictionaries WHERE n > $1 ORDER BY n
