SELECT r.at, r.interface, r.count, r.errors, r.sum, r.left_out, r.sketch
FROM json_each(?1) AS wanted
CROSS JOIN rollup_minute AS r
    ON r.at = wanted.value ->> 0 AND r.interface = wanted.value ->> 1
