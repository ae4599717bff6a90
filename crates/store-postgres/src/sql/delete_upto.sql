DELETE FROM upto WHERE writer = $1 AND upto_max < $2
