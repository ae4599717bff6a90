DELETE FROM upto WHERE upto_max < ?1
