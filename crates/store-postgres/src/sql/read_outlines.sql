SELECT o.grp, o.interface, o.bytes
FROM unnest($1::bigint[]) AS within (grp)
CROSS JOIN unnest($2::bigint[]) AS wanted (interface)
CROSS JOIN LATERAL (
    SELECT * FROM outlines_X AS o
    WHERE o.grp = within.grp AND o.interface = wanted.interface
    OFFSET 0
) AS o
