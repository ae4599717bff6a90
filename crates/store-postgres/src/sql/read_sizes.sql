SELECT p.from_nanos,
    (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
     FROM pg_class AS c
     WHERE c.relnamespace = 'hoplog'::regnamespace AND c.relkind = 'r'
         AND c.relname = ANY (SELECT t || '_' || p.name FROM unnest($1::text[]) AS t))
FROM partitions AS p
WHERE p.state = 'live'
ORDER BY p.from_nanos
