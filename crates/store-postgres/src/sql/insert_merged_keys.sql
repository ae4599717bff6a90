INSERT INTO merged_keys_X (day, grp, key, shift, head)
SELECT $1::bigint, $2::bigint, *
FROM unnest($3::bigint[], $4::bigint[], $5::bytea[])
