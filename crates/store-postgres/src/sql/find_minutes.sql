SELECT r.at, r.interface, r.count, r.errors, r.sum, r.left_out, r.sketch
FROM unnest($1::bigint[], $2::bigint[]) AS wanted (at, interface)
CROSS JOIN LATERAL (
    SELECT * FROM rollup_minute_X AS r
    WHERE r.at = wanted.at AND r.interface = wanted.interface
    OFFSET 0
) AS r
