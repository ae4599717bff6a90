SELECT at, interface, count, errors, sum, left_out, sketch
FROM rollup_hour_X
WHERE at >= $1 AND at < $2
