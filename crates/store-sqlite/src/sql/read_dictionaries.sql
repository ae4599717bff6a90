SELECT id, density, bytes FROM dictionaries ORDER BY n
