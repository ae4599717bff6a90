SELECT r.at, r.interface, r.count, r.errors, r.sum, r.left_out, r.sketch
FROM generate_series($1::bigint, $2::bigint - 1) AS t (at)
CROSS JOIN unnest($3::bigint[]) AS wanted (interface)
CROSS JOIN LATERAL (
    SELECT * FROM rollup_hour_X AS r
    WHERE r.at = t.at AND r.interface = wanted.interface
    OFFSET 0
) AS r
