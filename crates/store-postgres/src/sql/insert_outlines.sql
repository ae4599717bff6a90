INSERT INTO outlines_X (day, grp, interface, bytes)
SELECT $1::bigint, $2::bigint, *
FROM unnest($3::bigint[], $4::bytea[])
