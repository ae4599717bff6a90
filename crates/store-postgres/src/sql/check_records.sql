SELECT segment, bytes FROM records_X WHERE segment >= $1 AND segment < $2
