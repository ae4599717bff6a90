SELECT row_id, check32, spans
FROM requests_X
WHERE row_id >= $1 AND row_id < $2 AND part_count = 0
ORDER BY row_id
