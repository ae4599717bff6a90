SELECT f.key, f.segment, f.number_min, f.number_max, f.bytes
FROM unnest($1::bigint[]) AS wanted (key)
CROSS JOIN unnest($2::bigint[]) AS within (segment)
CROSS JOIN LATERAL (
    SELECT * FROM filters_X AS f
    WHERE f.segment = within.segment AND f.key = wanted.key
    OFFSET 0
) AS f
