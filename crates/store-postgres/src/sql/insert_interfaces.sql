INSERT INTO interfaces_X (day, id, service, kind, name)
SELECT $1::bigint, * FROM unnest($2::bigint[], $3::bytea[], $4::smallint[], $5::bytea[])
