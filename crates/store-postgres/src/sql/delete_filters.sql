DELETE FROM filters_X WHERE segment >= $1 AND segment < $2
