SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class AS c
WHERE c.relnamespace = 'hoplog'::regnamespace AND c.relkind = 'r'
