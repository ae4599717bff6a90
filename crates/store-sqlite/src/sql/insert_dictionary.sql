INSERT OR IGNORE INTO dictionaries (id, added_at, density, bytes) VALUES (?1, ?2, ?3, ?4)
