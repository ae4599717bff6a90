SELECT r.segment, r.bytes
FROM unnest($1::bigint[]) AS wanted (service)
CROSS JOIN unnest($2::bigint[]) AS within (segment)
CROSS JOIN LATERAL (
    SELECT * FROM records_X AS r
    WHERE r.segment = within.segment AND r.service = wanted.service
    OFFSET 0
) AS r
