INSERT OR REPLACE INTO partitions (name, from_nanos, to_nanos, state) VALUES (?1, ?2, ?3, 'live')
