SELECT requests FROM upto WHERE upto_max >= ?1 ORDER BY upto_max
