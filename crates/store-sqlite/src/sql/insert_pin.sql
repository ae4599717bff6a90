INSERT OR IGNORE INTO pins (trace_id, pinned_at) VALUES (?1, ?2)
