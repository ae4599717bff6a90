UPDATE partitions SET thinned = $2 WHERE from_nanos = $1
