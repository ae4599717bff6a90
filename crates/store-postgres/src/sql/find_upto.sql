SELECT 1 FROM upto WHERE writer = $1 AND upto_max = $2 AND day = $3 AND segment = $4
