INSERT INTO keys_X (day, key)
SELECT $1::bigint, * FROM unnest($2::bytea[])
ON CONFLICT (key, day) DO NOTHING
