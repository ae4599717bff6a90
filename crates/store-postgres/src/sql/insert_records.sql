INSERT INTO records_X (day, segment, service, bytes)
SELECT $1::bigint, $2::bigint, * FROM unnest($3::bigint[], $4::bytea[])
