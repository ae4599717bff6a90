SELECT id, density, bytes, added_at FROM dictionaries ORDER BY n
