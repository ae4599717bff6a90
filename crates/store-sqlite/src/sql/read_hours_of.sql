WITH RECURSIVE times (at) AS (
    SELECT min(at) FROM rollup_hour WHERE at >= ?1 AND at < ?2
    UNION ALL
    SELECT (SELECT min(r.at) FROM rollup_hour AS r WHERE r.at > times.at AND r.at < ?2)
    FROM times
    WHERE times.at IS NOT NULL
)
SELECT r.at, r.interface, r.count, r.errors, r.sum, r.left_out, r.sketch
FROM times
CROSS JOIN json_each(?3) AS wanted
CROSS JOIN rollup_hour AS r ON r.at = times.at AND r.interface = wanted.value
