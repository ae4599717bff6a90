SELECT m.grp, m.key, m.head
FROM unnest($1::bigint[]) AS within (grp)
CROSS JOIN unnest($2::bigint[]) AS wanted (key)
CROSS JOIN LATERAL (
    SELECT * FROM merged_keys_X AS m
    WHERE m.grp = within.grp AND m.key = wanted.key
    OFFSET 0
) AS m
