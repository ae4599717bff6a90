INSERT OR REPLACE INTO meta (one, from_nanos, to_nanos) VALUES (1, ?1, ?2)
