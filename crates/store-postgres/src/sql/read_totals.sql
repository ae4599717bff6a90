SELECT
    (d.stored + coalesce(sum(p.stored), 0))::bigint,
    (d.duplicate + coalesce(sum(p.duplicate), 0))::bigint,
    (d.left_out + coalesce(sum(p.left_out), 0))::bigint,
    d.row_count
FROM dropped AS d
LEFT JOIN partitions AS p ON p.state = 'live'
WHERE d.one = 1
GROUP BY d.one
