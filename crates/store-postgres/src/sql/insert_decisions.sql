INSERT INTO decisions (trace_id, outcome, at)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[])
ON CONFLICT (trace_id) DO UPDATE SET outcome = excluded.outcome, at = excluded.at
