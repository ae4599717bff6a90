INSERT INTO merged_X (day, grp, key, slice, bytes)
SELECT $1::bigint, $2::bigint, *
FROM unnest($3::bigint[], $4::bigint[], $5::bytea[])
