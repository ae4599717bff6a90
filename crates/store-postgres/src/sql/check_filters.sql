SELECT key, segment, number_min, number_max, bytes
FROM filters_X
WHERE segment >= $1 AND segment < $2
