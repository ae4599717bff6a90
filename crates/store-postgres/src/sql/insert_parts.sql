INSERT INTO parts_X (day, n, trace_id, frames)
SELECT $1::bigint, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[])
