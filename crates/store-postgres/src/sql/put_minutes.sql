INSERT INTO rollup_minute_X (day, at, interface, count, errors, sum, left_out, sketch)
SELECT $1::bigint, *
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bytea[])
ON CONFLICT (at, interface, day) DO UPDATE
SET count = excluded.count, errors = excluded.errors, sum = excluded.sum,
    left_out = excluded.left_out, sketch = excluded.sketch
