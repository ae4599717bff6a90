INSERT INTO dictionaries (id, added_at, density, bytes) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO NOTHING
