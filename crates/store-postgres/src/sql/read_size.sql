SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class AS c
WHERE c.relnamespace = 'hoplog'::regnamespace AND c.relkind = 'r'
    AND c.relname = ANY (SELECT t || '_' || $2 FROM unnest($1::text[]) AS t)
