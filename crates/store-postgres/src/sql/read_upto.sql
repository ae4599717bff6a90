SELECT requests FROM upto WHERE writer = $1 AND upto_max >= $2 ORDER BY upto_max
