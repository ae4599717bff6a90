INSERT INTO pins (trace_id, pinned_at) VALUES ($1, $2) ON CONFLICT (trace_id) DO NOTHING
