SELECT m.grp, m.key, asked.slice, k.shift, m.bytes
FROM unnest($1::bigint[]) AS within (grp)
CROSS JOIN unnest($2::bigint[], $3::bigint[]) AS asked (key, slice)
CROSS JOIN LATERAL (
    SELECT k.shift FROM merged_keys_X AS k
    WHERE k.grp = within.grp AND k.key = asked.key
    OFFSET 0
) AS k
CROSS JOIN LATERAL (
    SELECT * FROM merged_X AS m
    WHERE m.grp = within.grp AND m.key = asked.key AND m.slice = asked.slice >> k.shift::integer
    OFFSET 0
) AS m
