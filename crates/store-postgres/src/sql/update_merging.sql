UPDATE partitions
SET merged_from = $2, merged_to = $3
WHERE from_nanos = $1 AND state = 'live'
